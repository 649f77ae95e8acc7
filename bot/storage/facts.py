"""Single values that must outlive the process, by name."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.engine import Database
from bot.storage.tables import facts


class Facts:
    """Text by name: what was registered at Discord, why polling is paused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        async def work(connection: AsyncConnection) -> str | None:
            found = sa.select(facts.c.value).where(facts.c.name == name)
            return (await connection.execute(found)).scalar()

        return await self._database.run(work)

    async def put(self, name: str, value: str | None) -> None:
        """None removes it."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(sa.delete(facts).where(facts.c.name == name))
            if value is not None:
                await connection.execute(sa.insert(facts).values(name=name, value=value))

        await self._database.run(work, alone=True)
