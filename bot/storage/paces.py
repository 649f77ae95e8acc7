"""One pace for all processes: how fast they call somebody together."""

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.budget import Pace, seconds_until
from bot.core.clock import Clock
from bot.storage.engine import Database
from bot.storage.tables import paces

# Seconds. What is planned further ahead was planned by a clock that has been set back since.
_FURTHEST_AHEAD = 60


class SharedPace:
    """`name` is a row that a migration made. Whoever takes a share holds it until the transaction ends."""

    def __init__(self, name: str, pace: Pace) -> None:
        self._row = paces.c.name == name
        self._pace = pace

    async def room(self, connection: AsyncConnection, now: int) -> int:
        """How many calls may be made now. Nobody else is told until this transaction ends."""
        return self._pace.calls(await self._used_until(connection, now), now)

    async def spend(self, connection: AsyncConnection, calls: int, now: int) -> int:
        """Plans so many calls; returns when the last of them may be made, in microseconds."""
        used_until = self._pace.after(await self._used_until(connection, now), now, calls)
        await connection.execute(sa.update(paces).where(self._row).values(used_until=used_until))
        return used_until

    async def _used_until(self, connection: AsyncConnection, now: int) -> int:
        held = sa.select(paces.c.used_until).where(self._row).with_for_update()
        used_until = int((await connection.execute(held)).scalar_one())
        return 0 if seconds_until(used_until, now) > _FURTHEST_AHEAD else used_until


class SharedTurns:
    """Gives every call of every process a time of its own, in the order of coming."""

    def __init__(self, database: Database, name: str, pace: Pace, clock: Clock) -> None:
        self._database = database
        self._shared = SharedPace(name, pace)
        self._clock = clock

    async def take(self) -> None:
        """Returns when it is our turn. Raises StorageUnavailable."""
        planned = await self._database.run(lambda c: self._shared.spend(c, 1, self._clock()))
        await asyncio.sleep(seconds_until(planned, self._clock()))
