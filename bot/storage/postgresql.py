"""PostgreSQL: connecting, locks between transactions, and notifications from other processes.

Needs a session of its own per connection (LISTEN, locks): not through a pooler that shares sessions.
"""

import asyncio
import logging
from collections.abc import Callable

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.aio import wait_for_any
from bot.core.backoff import retry_delay
from bot.core.clock import SECOND, Clock
from bot.core.errors import StorageUnavailable
from bot.storage.engine import CHANNEL, Database

logger = logging.getLogger(__name__)

# The advisory lock of all transactions: a number that no other user of the database has.
_LOCK_KEY = 0x76656F
_MAX_CONNECTIONS = 8
_CONNECT_TIMEOUT = 10.0
_COMMAND_TIMEOUT = 30.0
# How long a process that froze inside a transaction delays the others. Exact from PostgreSQL 17 on. Older
# versions count only while no statement runs, and a statement that is new to a connection is two messages: a
# process frozen between them counts as running for ever.
_TRANSACTION_TIMEOUT = "10s"
_SERVER_SETTINGS = {
    "application_name": "veo-courier",
    "idle_in_transaction_session_timeout": _TRANSACTION_TIMEOUT,
    "lock_timeout": "20s",
    # Statements of a few rows: planning them anew costs more than it saves.
    "jit": "off",
}
# Has no effect where the server does not know the setting.
_SET_TRANSACTION_TIMEOUT = (
    "SELECT set_config(name, '{timeout}', {local}) FROM pg_settings WHERE name = 'transaction_timeout'"
)
# Classes of SQLSTATE (PostgreSQL, appendix A) after which another attempt may succeed: connection, read-only
# after a failover, log-in, aborted by the server, resources, lock, shutdown, disk, damage.
_TRANSIENT_SQLSTATES = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX")
_KEEPALIVE_INTERVAL = 10.0
_MAX_BACKOFF = 10 * SECOND


class PostgresDatabase(Database):
    """Connects to nothing yet."""

    def __init__(self, url: str) -> None:
        super().__init__(_open_engine(url))

    async def _lift_timeout(self, connection: AsyncConnection) -> None:
        await connection.execute(sa.text(_SET_TRANSACTION_TIMEOUT.format(timeout=0, local="true")))

    async def _lock(self, connection: AsyncConnection, exclusive: bool) -> None:
        """What people trigger is exclusive, as on SQLite, because it depends on limits and rows that it read.

        The loops write rows that they hold a lease of, and share the lock.
        """
        lock = sa.func.pg_advisory_xact_lock if exclusive else sa.func.pg_advisory_xact_lock_shared
        await connection.execute(sa.select(lock(_LOCK_KEY)))

    def _is_transient(self, error: sa.exc.DBAPIError) -> bool:
        if error.connection_invalidated:
            return True
        return str(getattr(error.orig, "sqlstate", None) or "").startswith(_TRANSIENT_SQLSTATES)


async def clock_difference(database: Database, clock: Clock) -> int:
    """How far our clock is ahead of the server's, in milliseconds. Each process judges leases by its own."""
    theirs = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * SECOND, sa.BigInteger))
    read = await database.run(lambda connection: connection.execute(theirs))
    return clock() - int(read.scalar_one())


def _open_engine(url: str) -> AsyncEngine:
    """asyncpg parses the address, so that it may hold everything that libpq knows."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda *_, **__: connect(url),
        pool_size=_MAX_CONNECTIONS,
        max_overflow=0,
        # After a failover every connection in the pool is dead; this notices before one is used.
        pool_pre_ping=True,
    )


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Raises StorageUnavailable, in words that hold neither the address nor its password."""
    try:
        connection = await asyncpg.connect(
            url, timeout=_CONNECT_TIMEOUT, command_timeout=_COMMAND_TIMEOUT, server_settings=_SERVER_SETTINGS
        )
        return await _set_timeout(connection)
    except asyncpg.PostgresError as error:
        raise StorageUnavailable(f"PostgreSQL does not let us in: {error.args[0]}") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise StorageUnavailable("the address of PostgreSQL cannot be understood") from error
    except OSError as error:
        raise StorageUnavailable(f"PostgreSQL cannot be reached ({error.strerror or error})") from error


async def _set_timeout(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        await connection.execute(_SET_TRANSACTION_TIMEOUT.format(timeout=_TRANSACTION_TIMEOUT, local="false"))
    except BaseException:
        connection.terminate()
        raise
    return connection


class NotificationListener:
    """Wakes this process when another one has made work. A job of its own, because it holds a connection.

    `on_work` is called with the queue's name, or without one when any queue may have work.
    """

    def __init__(self, url: str, on_work: Callable[..., None]) -> None:
        self._url = url
        self._on_work = on_work

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set. Without a connection the loops still look every 30 s."""
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
                delay = retry_delay(failures, base=SECOND, cap=_MAX_BACKOFF) / SECOND
                logger.warning("no notifications from other processes (%s): again in %.0f s", error, delay)
                await wait_for_any(stop, timeout=delay)

    async def _listen(self, connection: "asyncpg.Connection[asyncpg.Record]", stop: asyncio.Event) -> None:
        """Raises when the connection ends."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(CHANNEL, lambda *message: self._on_work(str(message[-1])))
        # Notifications sent before this one listened are found by looking.
        self._on_work()
        while not stop.is_set():
            await wait_for_any(stop, ended, timeout=_KEEPALIVE_INTERVAL)
            if not stop.is_set():
                # Notices a connection that broke without a message.
                await connection.execute("SELECT 1")
