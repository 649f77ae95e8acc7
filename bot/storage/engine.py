"""Transactions: each unit of work in one of its own, on either database."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.core.errors import StorageUnavailable

POSTGRESQL = "postgresql"
# LISTEN and NOTIFY: which processes look for work when they hear of it.
CHANNEL = "veo_courier_work"

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]


class Database(ABC):
    """Runs units of work, each in one transaction of its own.

    A unit awaits nothing but its connection: it holds the only one that SQLite has. What people do runs
    `alone`: it decides by what it has read. SQLite runs everything alone.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work on it."""
        return self.dialect == POSTGRESQL

    async def run(self, work: Work[Result], *, alone: bool = False, unhurried: bool = False) -> Result:
        """Commit what `work` does, or nothing of it. Raises StorageUnavailable.

        `unhurried` is for what touches every row, and may take long: a new schema, a copy.
        """
        job = asyncio.create_task(self._transaction(work, alone, unhurried))
        self._running.add(job)
        job.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            # The caller may go only when its transaction has: whoever looks next sees the outcome.
            await asyncio.wait({job})
            raise

    async def _transaction(self, work: Work[Result], alone: bool, unhurried: bool) -> Result:
        try:
            async with self._engine.begin() as connection:
                if unhurried:
                    await self._take_time(connection)
                await self._take_turn(connection, alone)
                return await work(connection)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
            if isinstance(error, sa.exc.DBAPIError) and not self._passes(error):
                raise
            raise StorageUnavailable(f"the database did not answer: {_cause(error)}") from error

    @abstractmethod
    async def _take_time(self, connection: AsyncConnection) -> None:
        """Lets this transaction take as long as it does."""

    @abstractmethod
    async def _take_turn(self, connection: AsyncConnection, alone: bool) -> None:
        """Waits until this transaction may be beside the others there are, or alone."""

    @abstractmethod
    def _passes(self, error: sa.exc.DBAPIError) -> bool:
        """Whether another attempt may succeed; everything else is a bug of ours."""

    async def close(self) -> None:
        """Waits for the transactions that have begun."""
        if self._running:
            await asyncio.wait(set(self._running))
        await self._engine.dispose()


def _cause(error: BaseException) -> str:
    """The driver's own sentence, without the statement and its values."""
    return str(getattr(error, "orig", None) or error)


async def announce(connection: AsyncConnection, *queues: sa.Table) -> None:
    """Once this transaction is committed, every process looks for work there. SQLite has one process."""
    if connection.dialect.name == POSTGRESQL:
        for queue in queues:
            await connection.execute(sa.select(sa.func.pg_notify(CHANNEL, queue.name)))
