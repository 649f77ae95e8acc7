"""Transactions on either database, and the decorator `@transaction` for methods that run in one."""

import asyncio
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.aio import finish
from bot.core.errors import StorageUnavailable

_POSTGRESQL = "postgresql"
# The channel of LISTEN and NOTIFY, by which processes notify each other of work.
CHANNEL = "veo_courier_work"
_CLASS_NAME = re.compile(r"^<class '[\w.]+'>: ")

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]


class Database(ABC):
    """Runs units of work, each in a separate transaction.

    A unit of work must await only its connection, because SQLite has a single one. Pass `exclusive=True` when
    the work reads and then writes depending on what it read (everything that a user triggers). SQLite
    transactions are always exclusive.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work on it."""
        return self.dialect == _POSTGRESQL

    async def run(self, work: Work[Result], *, exclusive: bool = False, no_timeout: bool = False) -> Result:
        """Commit all that `work` does, or nothing; returns its result. Raises StorageUnavailable.

        `no_timeout` is for work that touches every row and may take long: a migration, a copy.
        """
        job = asyncio.create_task(self._transaction(work, exclusive, no_timeout))
        self._running.add(job)
        job.add_done_callback(self._running.discard)
        # The transaction ends even if the caller is cancelled, so the next reader sees its result.
        return await finish(job)

    async def _transaction(self, work: Work[Result], exclusive: bool, no_timeout: bool) -> Result:
        try:
            return await self._commit(work, exclusive, no_timeout)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
            if isinstance(error, sa.exc.DBAPIError) and not self._is_transient(error):
                raise
            raise StorageUnavailable(f"the database did not answer: {_cause(error)}") from error

    async def _commit(self, work: Work[Result], exclusive: bool, no_timeout: bool) -> Result:
        """Commit what `work` does. Raises what the driver raises."""
        async with self._engine.begin() as connection:
            if no_timeout:
                await self._lift_timeout(connection)
            await self._lock(connection, exclusive)
            return await work(connection)

    @abstractmethod
    async def _lift_timeout(self, connection: AsyncConnection) -> None:
        """Disable the transaction timeout (migrations, copies)."""

    @abstractmethod
    async def _lock(self, connection: AsyncConnection, exclusive: bool) -> None:
        """Wait until this transaction may run: beside other shared ones, or alone if `exclusive`."""

    @abstractmethod
    def _is_transient(self, error: sa.exc.DBAPIError) -> bool:
        """Whether another attempt may succeed. Every other error is our bug."""

    async def close(self) -> None:
        """Wait for the running transactions, then close the connections."""
        if self._running:
            await asyncio.wait(set(self._running))
        await self._engine.dispose()


class Queries:
    """Base of the classes whose methods are queries: holds the database for `@transaction`."""

    def __init__(self, database: Database) -> None:
        self._database = database


Owner = TypeVar("Owner", bound=Queries)
Parameters = ParamSpec("Parameters")
_Query = Callable[Concatenate[Owner, AsyncConnection, Parameters], Awaitable[Result]]
_Call = Callable[Concatenate[Owner, Parameters], Coroutine[Any, Any, Result]]


@overload
def transaction(query: _Query[Owner, Parameters, Result], /) -> _Call[Owner, Parameters, Result]: ...
@overload
def transaction(
    *, exclusive: bool
) -> Callable[[_Query[Owner, Parameters, Result]], _Call[Owner, Parameters, Result]]: ...
def transaction(query: Any = None, /, *, exclusive: bool = False) -> Any:
    """Run a method `async def query(self, connection, ...)` in a separate transaction.

    Callers leave `connection` out. `exclusive` as in Database. Every such method may raise
    StorageUnavailable.
    """

    def decorate(query: Any) -> Any:
        @functools.wraps(query)
        def call(self: Queries, *arguments: Any, **named: Any) -> Coroutine[Any, Any, Any]:
            return self._database.run(
                lambda connection: query(self, connection, *arguments, **named), exclusive=exclusive
            )

        return call

    return decorate if query is None else decorate(query)


def _cause(error: BaseException) -> str:
    """Return the driver's message, without the statement, its values and the name of a class."""
    return _CLASS_NAME.sub("", str(getattr(error, "orig", None) or error))


async def notify(connection: AsyncConnection, *queues: sa.Table) -> None:
    """Notify every process, once this transaction is committed, that these queues have work.

    Does nothing on SQLite, which has a single process.
    """
    if connection.dialect.name == _POSTGRESQL:
        for queue in queues:
            await connection.execute(sa.select(sa.func.pg_notify(CHANNEL, queue.name)))
