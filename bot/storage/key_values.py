"""Single values that must outlive the process, by name."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.engine import Queries, transaction
from bot.storage.tables import key_values


class KeyValues(Queries):
    """Text by name: which commands Discord has, why polling is paused."""

    @transaction
    async def get(self, connection: AsyncConnection, name: str) -> str | None:
        found = sa.select(key_values.c.value).where(key_values.c.name == name)
        return (await connection.execute(found)).scalar()

    @transaction(exclusive=True)
    async def put(self, connection: AsyncConnection, name: str, value: str | None) -> None:
        """Store `value` under `name`; None removes it."""
        await connection.execute(sa.delete(key_values).where(key_values.c.name == name))
        if value is not None:
            await connection.execute(sa.insert(key_values).values(name=name, value=value))
