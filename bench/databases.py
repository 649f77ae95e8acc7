"""A new database of either kind, and many waiting tasks in it.

The tasks are inserted as rows, because registering 100,000 by commands takes minutes.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import system_clock
from bot.core.ids import MAX_IDS
from bot.core.results import new_nonce
from bot.core.tasks import DeliveryState, TaskState
from bot.storage.store import Store
from bot.storage.tables import cards, deliveries, tasks

WORD = "processing"
# One transaction each, because the store bounds how long one may take.
_ROWS_AT_ONCE = 2_000


class Kind(StrEnum):
    """The kinds of database. Both flush every commit to the disk, as in operation."""

    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


@asynccontextmanager
async def database(kind: Kind, folder: Path) -> AsyncIterator[str]:
    """Create a database, and give its address as DATABASE_URL takes it. `folder` must hold no other one."""
    if kind is Kind.SQLITE:
        yield f"sqlite:///{folder / 'bot.db'}"
        return
    # Imported here, because only `make test` and `make check` install its wheel.
    from sandbox.postgres import postgres

    with postgres(safe=True) as server:
        yield server.database()


def task_id(number: int) -> str:
    """An id in the service's form, as the stand-in gives them; its first number is 1."""
    return f"vgen_{number:012x}"


async def fill(store: Store, due: Sequence[int], *, guild_id: int = 1) -> None:
    """Insert a task for each time in `due`: task number n, counted from 1, is polled next at `due[n - 1]`.

    Each has been polled once with the status `WORD`, the common case for a poller. Twenty share a card and a
    channel.
    """
    now, numbers = system_clock(), range(1, len(due) + 1)

    for table, made in (
        (tasks, (_task(n, due[n - 1], now) for n in numbers)),
        (cards, (_card(n, guild_id) for n in range(1, _card_of(len(due)) + 1))),
        (deliveries, (_delivery(n, guild_id, now) for n in numbers)),
    ):
        for rows in _in_batches(made):
            await store.database.run(partial(_insert, table, rows))


async def _insert(table: sa.Table, rows: list[dict[str, Any]], connection: AsyncConnection) -> None:
    await connection.execute(sa.insert(table), rows)


def _in_batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _task(number: int, due_at: int, now: int) -> dict[str, Any]:
    return {
        "id": task_id(number),
        "state": TaskState.WAITING,
        "api_status": WORD,
        "api_status_since": now,
        "registered_at": now,
        "polled_at": now,
        "due_at": due_at,
        "attempt": 0,
        "known": True,
        "doubt_count": 0,
    }


def _card_of(number: int) -> int:
    return (number - 1) // MAX_IDS + 1


def _card(number: int, guild_id: int) -> dict[str, Any]:
    return {
        "id": number,
        "guild_id": guild_id,
        "channel_id": number,
        "message_id": number,
        "attempt": 0,
    }


def _delivery(number: int, guild_id: int, now: int) -> dict[str, Any]:
    card = _card_of(number)
    return {
        "task_id": task_id(number),
        "guild_id": guild_id,
        "channel_id": card,
        "requester_id": card,
        "state": DeliveryState.OPEN,
        "nonce": new_nonce(),
        "card_id": card,
        "created_at": now,
        "attempt": 0,
    }
