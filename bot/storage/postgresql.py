"""PostgreSQL: connecting, turns between transactions, and news from other processes.

Needs a session of its own per connection (LISTEN, locks): not through a pooler that shares sessions.
"""

import asyncio
import logging
from collections.abc import Callable

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.core.backoff import retry_delay
from bot.core.clock import SECOND, Clock
from bot.core.errors import StorageUnavailable
from bot.storage.engine import CHANNEL, Database

logger = logging.getLogger(__name__)

# One number among all that share the database: the lock that transactions take turns by.
_TURN = 0x76656F
_CONNECTIONS = 8
_CONNECT_WITHIN = 10.0
_ANSWER_WITHIN = 30.0
# A process that is frozen in the middle of a transaction holds up the others for no longer. From PostgreSQL
# 17 on that is exact; older ones count only while no statement is under way, and a statement that is new to
# a connection is two messages: one frozen between them is under way for ever.
_LONGEST = "10s"
_SERVER_SETTINGS = {
    "application_name": "veo-courier",
    "idle_in_transaction_session_timeout": _LONGEST,
    "lock_timeout": "20s",
    # Statements of a few rows: planning them anew costs more than it saves.
    "jit": "off",
}
# Changes nothing where the server does not know the setting.
_LIMIT_TRANSACTION = (
    "SELECT set_config(name, '{longest}', {local}) FROM pg_settings WHERE name = 'transaction_timeout'"
)
# Classes of SQLSTATE (PostgreSQL, appendix A) for what another attempt may find gone: connection, read-only
# after a failover, log-in, aborted by the server, resources, lock, shutting down, disk, damage.
_PASSES = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX")
_ALIVE_EVERY = 10.0
_MOST_BACKOFF = 10 * SECOND


class PostgresDatabase(Database):
    """Connects to nothing yet."""

    def __init__(self, url: str) -> None:
        super().__init__(_open_engine(url))

    async def _take_time(self, connection: AsyncConnection) -> None:
        await connection.execute(sa.text(_LIMIT_TRANSACTION.format(longest=0, local="true")))

    async def _take_turn(self, connection: AsyncConnection, alone: bool) -> None:
        """What people do is alone, as on SQLite: it decides by limits, states and rows that it has read.

        The loops write rows that they hold a lease of, and do it side by side.
        """
        lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
        await connection.execute(sa.select(lock(_TURN)))

    def _passes(self, error: sa.exc.DBAPIError) -> bool:
        if error.connection_invalidated:
            return True
        return str(getattr(error.orig, "sqlstate", None) or "").startswith(_PASSES)


async def clock_difference(database: Database, clock: Clock) -> int:
    """How far ahead of the server's clock ours is, in milliseconds: each process judges leases by its own."""
    theirs = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * SECOND, sa.BigInteger))
    told = await database.run(lambda connection: connection.execute(theirs))
    return clock() - int(told.scalar_one())


def _open_engine(url: str) -> AsyncEngine:
    """asyncpg reads the address itself, so that everything libpq knows may stand in it."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda *_, **__: connect(url),
        pool_size=_CONNECTIONS,
        max_overflow=0,
        # After a failover every connection in the pool is dead; this notices before work is given to one.
        pool_pre_ping=True,
    )


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Raises StorageUnavailable, in words that hold neither the address nor its password."""
    try:
        connection = await asyncpg.connect(
            url, timeout=_CONNECT_WITHIN, command_timeout=_ANSWER_WITHIN, server_settings=_SERVER_SETTINGS
        )
        return await _limit_transactions(connection)
    except asyncpg.PostgresError as error:
        raise StorageUnavailable(f"PostgreSQL does not let us in: {error.args[0]}") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise StorageUnavailable("the address of PostgreSQL cannot be understood") from error
    except OSError as error:
        raise StorageUnavailable(f"PostgreSQL cannot be reached ({error.strerror or error})") from error


async def _limit_transactions(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        await connection.execute(_LIMIT_TRANSACTION.format(longest=_LONGEST, local="false"))
    except BaseException:
        connection.terminate()
        raise
    return connection


class News:
    """Tells this process where another one has made work. A job of its own, as it holds a connection.

    `on_work` is called with the queue's name, or without one when it may be anywhere.
    """

    def __init__(self, url: str, on_work: Callable[..., None]) -> None:
        self._url = url
        self._on_work = on_work

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. While it hears nothing, the loops still look every 30 s."""
        failures = 0
        while not stop.is_set():
            try:
                connection = await connect(self._url)
                try:
                    failures = 0
                    await self._listen(connection, stop)
                finally:
                    connection.terminate()
            except (StorageUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                failures += 1
                delay = retry_delay(failures, first=SECOND, most=_MOST_BACKOFF) / SECOND
                logger.warning("no news from other processes (%s): again in %.0f s", error, delay)
                await _first_of(stop, within=delay)

    async def _listen(self, connection: "asyncpg.Connection[asyncpg.Record]", stop: asyncio.Event) -> None:
        """Raises when the connection ends."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(CHANNEL, lambda *told: self._on_work(str(told[-1])))
        # What was told while nobody listened is found by looking.
        self._on_work()
        while not await _first_of(stop, ended, within=_ALIVE_EVERY):
            # A connection that died without a word is noticed here.
            await connection.execute("SELECT 1")


async def _first_of(stop: asyncio.Event, ended: asyncio.Event | None = None, *, within: float) -> bool:
    """Whether it is time to stop; returns early when the connection has ended."""
    waits = {asyncio.create_task(event.wait()) for event in (stop, ended) if event is not None}
    try:
        await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return stop.is_set()
