"""Statements that are built once: their values and types, and nothing of one call stays for the next."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.prepared import prepared
from bot.storage.store import Store
from bot.storage.tables import key_values, left_guilds

BUILT: list[str] = []


@prepared
def named(name: str, other: str | None) -> sa.Select[Any]:
    BUILT.append("named")
    return sa.select(key_values.c.value).where((key_values.c.name == name) | (key_values.c.value == other))


@prepared
def set_value(name: str, value: str) -> sa.Update:
    """Its arguments are called as the columns are."""
    return sa.update(key_values).where(key_values.c.name == name).values(value=value)


@prepared
def among(names: Sequence[str]) -> sa.Select[Any]:
    return sa.select(key_values.c.value).where(key_values.c.name.in_(names)).order_by(key_values.c.name)


@prepared
def later(by: int) -> sa.Select[Any]:
    return sa.select(left_guilds.c.since + by, sa.case((left_guilds.c.since > by, by), else_=0))


async def test_each_call_has_its_values(store: Store) -> None:
    for name in "abc":
        await store.key_values.put(name, name.upper())

    async def work(connection: AsyncConnection) -> list[Any]:
        await connection.execute(*set_value("c", value="changed"))
        queries = [named("a", None), named(name="b", other="A"), among(["a", "c"]), among([]), among("b")]
        return [(await connection.execute(*query)).scalars().all() for query in queries]

    BUILT.clear()
    assert await store.database.run(work) == [["A"], ["A", "B"], ["A", "changed"], [], ["B"]]
    assert len(BUILT) <= 1


async def test_number_is_a_number_where_no_column_says_so(store: Store) -> None:
    async def work(connection: AsyncConnection) -> Any:
        await connection.execute(sa.insert(left_guilds), {"guild_id": 1, "since": 2**40})
        return (await connection.execute(*later(2**35))).one()

    assert tuple(await store.database.run(work)) == (2**40 + 2**35, 2**35)
