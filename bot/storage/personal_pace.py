"""When the API is first polled about a person's new ids."""

from typing import Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import HOUR, SECOND
from bot.core.rate_limit import RateLimit, seconds_until
from bot.storage.tables import deliveries

# New ids of one person that are polled at once; after them, one a second.
_NEW_IDS = RateLimit(rate=1, burst=20)


class PersonalPace:
    """When the API is first asked about a person's new ids, so that nobody's list fills everybody's time."""

    def __init__(self, used_until: int) -> None:
        self._used_until = used_until

    @classmethod
    async def of(cls, connection: AsyncConnection, person_id: int, now: int) -> Self:
        """From what they registered within the last hour."""
        theirs = sa.select(deliveries.c.created_at).where(
            deliveries.c.requester_id == person_id, deliveries.c.created_at.between(now - HOUR, now)
        )
        used_until = 0
        for registered_at in sorted((await connection.execute(theirs)).scalars()):
            used_until = _NEW_IDS.after(used_until, registered_at, 1)
        return cls(used_until)

    def next_poll(self, now: int) -> int:
        """When one more new id is polled first (UTC milliseconds)."""
        self._used_until = _NEW_IDS.after(self._used_until, now, 1)
        return now + int(seconds_until(self._used_until, now) * SECOND)
