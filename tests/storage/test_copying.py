"""Copying a database to PostgreSQL: every row, or none."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import DependencyDown
from bot.core.tracking import Limits
from bot.storage.copying import copy_all, forget_move, moved_to
from bot.storage.store import Store, open_store
from bot.storage.tables import key_values, metadata, rate_limits, tasks
from sandbox.postgres import Server
from tests.conftest import INTERVAL
from tests.factories import (
    CHANNEL,
    OTHER_CHANNEL,
    STRANGER,
    TASK,
    ask_about,
    post_next,
    press_bell,
    take_delivery,
    track,
)
from tests.timing import FakeClock


@dataclass
class MoveEnv:
    old: Store
    new: Store

    async def copy(self) -> dict[str, int]:
        return await copy_all(self.old.database, self.new.database, "veo on db")


@pytest.fixture
async def env(tmp_path: Path, server: Server, clock: FakeClock) -> AsyncIterator[MoveEnv]:
    """A file with rows in every table, and an empty PostgreSQL."""
    limits = Limits(per_user=20, per_channel=50, per_guild=200)
    async with AsyncExitStack() as stack:
        old, new = [
            await stack.enter_async_context(open_store(url, limits=limits, interval=INTERVAL))
            for url in (f"sqlite:///{tmp_path / 'bot.db'}", server.database())
        ]
        shown = await track(old, clock, TASK, "vgen_other", note="a \0 note")
        await press_bell(old, shown, STRANGER)
        await track(old, clock, TASK, channel=OTHER_CHANNEL)
        await ask_about(old, clock)
        await post_next(old, clock)
        await old.key_values.put("colour", "red")
        await old.guilds.left(1, clock())
        yield MoveEnv(old, new)


async def rows(store: Store) -> dict[str, list[dict[str, object]]]:
    async def work(connection: AsyncConnection) -> dict[str, list[dict[str, object]]]:
        found = {}
        for table in metadata.sorted_tables:
            query = sa.select(table).order_by(*table.primary_key.columns)
            found[table.name] = [dict(row) for row in (await connection.execute(query)).mappings()]
        return found

    return await store.database.run(work)


async def test_every_row_arrives_and_is_counted(env: MoveEnv):
    """Also due times and leases, so that work continues where it was."""
    before = await rows(env.old)
    counts = await env.copy()
    after = await rows(env.new)

    assert counts == {name: len(each) for name, each in before.items() if name != rate_limits.name}
    assert all(counts.values())
    note = [row["note"] for row in after["deliveries"] if row["note"]]
    assert note == ["a  note"] * 2
    after[key_values.name] = [row for row in after[key_values.name] if row["name"] != "moved.untouched"]
    for row in (*after["deliveries"], *before["deliveries"]):
        row["note"] = None
    assert after == before


async def test_move_can_be_repeated_until_a_bot_ran_there(env: MoveEnv, clock: FakeClock):
    """A bot went on with the file; after a start on the new database, that one is in use."""
    await env.copy()
    await track(env.old, clock, "vgen_later")
    assert (await env.copy())["tasks"] == 3

    await env.new.recover(clock(), INTERVAL)
    before = await rows(env.new)
    with pytest.raises(DependencyDown, match="the target is in use: it has 3 rows in cards"):
        await env.copy()
    assert await rows(env.new) == before


async def test_old_database_is_marked_and_the_new_one_is_not(env: MoveEnv):
    """Also when the copy is repeated; a copy that fails does not change the mark."""
    assert await moved_to(env.old.database) is None
    await env.copy()
    await env.copy()
    assert await moved_to(env.old.database) == "veo on db"
    assert await moved_to(env.new.database) is None

    await env.new.recover(0, INTERVAL)
    with pytest.raises(DependencyDown):
        await env.copy()
    assert await moved_to(env.old.database) == "veo on db"
    await forget_move(env.old.database)
    assert await moved_to(env.old.database) is None


async def test_target_with_rows_is_refused(env: MoveEnv, clock: FakeClock):
    """So that a wrong address overwrites nothing."""
    await track(env.new, clock, "vgen_theirs")

    with pytest.raises(DependencyDown, match="the target is in use"):
        await env.copy()
    assert [row["id"] for row in (await rows(env.new))["tasks"]] == ["vgen_theirs"]


async def test_ids_are_never_reused_after_the_move(env: MoveEnv, clock: FakeClock):
    """Not even ids of deleted rows: their buttons are still in Discord."""
    latest = await track(env.old, clock, "vgen_gone", by=STRANGER)
    assert latest.card
    gone = latest.card.rows[0].delivery.id
    await env.old.people.erase(STRANGER, clock())
    await env.copy()

    new = await track(env.new, clock, "vgen_new")
    assert new.card
    assert new.card.rows[0].delivery.id > gone
    assert new.card.card.id > latest.card.card.id


async def test_rows_that_do_not_arrive_stop_the_move(env: MoveEnv):
    """Then nothing was moved."""
    swallow = """CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"""
    trigger = "CREATE TRIGGER swallow BEFORE INSERT ON watchers FOR EACH ROW EXECUTE FUNCTION swallow()"
    for statement in (swallow, trigger):
        await env.new.database.run(lambda c, s=statement: c.execute(sa.text(s)))  # type: ignore[misc]

    with pytest.raises(DependencyDown, match=r"only .*'watchers': 0.* arrived: nothing is moved"):
        await env.copy()
    assert await env.new.database.run(lambda c: c.scalar(sa.select(sa.func.count()).select_from(tasks))) == 0


async def test_work_continues_in_the_new_database(env: MoveEnv, clock: FakeClock):
    """The second channel's result is still due, and the waiting task is polled."""
    await env.copy()
    clock.advance(INTERVAL)

    _, due = await take_delivery(env.new, clock)
    assert due.delivery.channel_id in (CHANNEL, OTHER_CHANNEL)
    assert [task.id for task in (await env.new.tasks.claim(5, clock())).work] == ["vgen_other"]
