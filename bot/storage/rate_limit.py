"""A rate limit that all processes share, kept in the database."""

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import Clock
from bot.core.rate_limit import RateLimit, seconds_until
from bot.storage.engine import Database, Queries, transaction
from bot.storage.tables import rate_limits

# A call that is planned further ahead was planned before the clock was set back.
_MAX_SECONDS_AHEAD = 60


class SharedRateLimiter(Queries):
    """A rate limit in the row `name`, which a migration made. A transaction that uses the row locks it."""

    def __init__(self, database: Database, name: str, limit: RateLimit, clock: Clock) -> None:
        super().__init__(database)
        self._row = rate_limits.c.name == name
        self._limit = limit
        self._clock = clock

    async def acquire(self) -> None:
        """Return when the next call may be made. First come, first served. Raises StorageUnavailable."""
        planned = await self._plan_call()
        await asyncio.sleep(seconds_until(planned, self._clock()))

    @transaction
    async def _plan_call(self, connection: AsyncConnection) -> int:
        return await self.spend(connection, 1, self._clock())

    async def allowed(self, connection: AsyncConnection, now: int) -> int:
        """Return how many calls may be made now. Other processes wait until this transaction ends."""
        return self._limit.allowed(await self._used_until(connection, now), now)

    async def spend(self, connection: AsyncConnection, calls: int, now: int) -> int:
        """Plan `calls` calls; returns when the last of them may be made, in microseconds."""
        used_until = self._limit.after(await self._used_until(connection, now), now, calls)
        await connection.execute(sa.update(rate_limits).where(self._row).values(used_until=used_until))
        return used_until

    async def _used_until(self, connection: AsyncConnection, now: int) -> int:
        held = sa.select(rate_limits.c.used_until).where(self._row).with_for_update()
        used_until = int((await connection.execute(held)).scalar_one())
        return 0 if seconds_until(used_until, now) > _MAX_SECONDS_AHEAD else used_until
