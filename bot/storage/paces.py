"""One pace for all processes: how fast they call somebody together."""

import asyncio

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.budget import Pace
from bot.core.clock import SECOND, Clock
from bot.storage.engine import Database
from bot.storage.tables import paces


class SharedPace:
    """`name` is a row that a migration made. Whoever takes a share holds it until the transaction ends."""

    def __init__(self, database: Database, name: str, pace: Pace) -> None:
        self._database = database
        self._row = paces.c.name == name
        self._pace = pace

    async def room(self, connection: AsyncConnection, now: int) -> int:
        """How many calls may be made now. Nobody else is told until this transaction ends."""
        return self._pace.calls(await self._used_until(connection), now)

    async def spend(self, connection: AsyncConnection, calls: int, now: int) -> int:
        """Plans so many calls; returns when the last of them may be made, in microseconds."""
        used_until = self._pace.after(await self._used_until(connection), now, calls)
        await connection.execute(sa.update(paces).where(self._row).values(used_until=used_until))
        return used_until

    async def _used_until(self, connection: AsyncConnection) -> int:
        held = sa.select(paces.c.used_until).where(self._row).with_for_update()
        return int((await connection.execute(held)).scalar_one())


class SharedTurns:
    """Gives every call of every process a time of its own, in the order of coming."""

    def __init__(self, database: Database, name: str, pace: Pace, clock: Clock) -> None:
        self._database = database
        self._shared = SharedPace(database, name, pace)
        self._clock = clock

    async def take(self) -> None:
        """Returns when it is our turn. Raises StorageUnavailable."""
        planned = await self._database.run(lambda c: self._shared.spend(c, 1, self._clock()))
        ahead = planned / (1_000_000 / SECOND) - self._clock()
        if ahead > 0:
            await asyncio.sleep(ahead / SECOND)
