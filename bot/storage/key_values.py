"""Single values that must outlive the process, stored by name."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.engine import Queries, transaction
from bot.storage.prepared import prepared
from bot.storage.tables import key_values


class KeyValues(Queries):
    """Text by name: which commands Discord has, why polling is paused."""

    @transaction
    async def get(self, connection: AsyncConnection, name: str) -> str | None:
        """Return the value of `name`; None without one."""
        found: str | None = (await connection.execute(*_value(name))).scalar()
        return found

    @transaction
    async def names(self, connection: AsyncConnection, prefix: str) -> list[str]:
        """Return the names that begin with `prefix`."""
        found = sa.select(key_values.c.name).where(key_values.c.name.startswith(prefix, autoescape=True))
        return list((await connection.execute(found)).scalars())

    @transaction(exclusive=True)
    async def add(self, connection: AsyncConnection, name: str, value: str) -> bool:
        """Store `value` under `name`, unless that has one; returns whether it did."""
        found = sa.select(key_values.c.name).where(key_values.c.name == name)
        if (await connection.execute(found)).first() is not None:
            return False
        await connection.execute(sa.insert(key_values).values(name=name, value=value))
        return True

    @transaction(exclusive=True)
    async def put(self, connection: AsyncConnection, name: str, value: str | None) -> None:
        """Store `value` under `name`; None removes it."""
        await connection.execute(sa.delete(key_values).where(key_values.c.name == name))
        if value is not None:
            await connection.execute(sa.insert(key_values).values(name=name, value=value))


@prepared
def _value(name: str) -> sa.Select[Any]:
    return sa.select(key_values.c.value).where(key_values.c.name == name)
