"""PostgreSQL: connections, locks between transactions, and notifications from other processes.

LISTEN and locks need a session for each connection, so a pooler that shares sessions cannot be used.
"""

import asyncio
import logging
from collections.abc import Callable

import asyncpg
import sqlalchemy as sa
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.aio import wait_for_any
from bot.core.backoff import retry_delay
from bot.core.clock import SECOND, Clock
from bot.core.errors import StorageUnavailable
from bot.storage.engine import CHANNEL, Database

logger = logging.getLogger(__name__)

# The advisory lock of all transactions: a number that no other program uses in this database.
_LOCK_KEY = 0x76656F
_MAX_CONNECTIONS = 8
_CONNECT_TIMEOUT = 10.0
_COMMAND_TIMEOUT = 30.0
# How long a process that froze inside a transaction delays the others. Exact from PostgreSQL 17 on. Older
# versions count only while no statement runs. A statement that is new to a connection is two messages, and a
# process that freezes between them counts as running for ever.
_TRANSACTION_TIMEOUT = "10s"
_SERVER_SETTINGS = {
    "application_name": "veo-courier",
    "idle_in_transaction_session_timeout": _TRANSACTION_TIMEOUT,
    "lock_timeout": "20s",
    # Our statements read a few rows: compiling them costs more than it saves.
    "jit": "off",
}
# Has no effect where the server does not know the setting.
_SET_TRANSACTION_TIMEOUT = (
    "SELECT set_config(name, '{timeout}', {local}) FROM pg_settings WHERE name = 'transaction_timeout'"
)
# Classes of SQLSTATE (PostgreSQL, appendix A) after which another attempt may succeed: connection, read-only
# after a failover, log-in, aborted by the server, a missing right, resources, lock, shutdown, disk, damage.
_TRANSIENT_SQLSTATES = ("08", "25", "28", "3D", "40", "42501", "53", "55", "57", "58", "XX")
# This server stops, or has become read-only: after a failover the address may name another server.
_MOVED_ON_SQLSTATES = frozenset({"25006", "57P01", "57P02", "57P03"})
_KEEPALIVE_INTERVAL = 10.0
_MAX_BACKOFF = 10 * SECOND


class PostgresDatabase(Database):
    """A PostgreSQL database; it connects at the first use.

    `read_only`: transactions can change nothing, and a standby server will do.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        super().__init__(_open_engine(url, read_only))
        self._read_only = read_only

    async def _lift_timeout(self, connection: AsyncConnection) -> None:
        await connection.execute(sa.text(_SET_TRANSACTION_TIMEOUT.format(timeout=0, local="true")))

    async def _lock(self, connection: AsyncConnection, exclusive: bool) -> None:
        """Take the shared advisory lock, or the exclusive one; a read-only database takes none.

        What users trigger is exclusive, as on SQLite, because it depends on limits and rows that it read. The
        loops share the lock, because they write only rows that they hold by lease.
        """
        if self._read_only:
            return
        lock = sa.func.pg_advisory_xact_lock if exclusive else sa.func.pg_advisory_xact_lock_shared
        await connection.execute(sa.select(lock(_LOCK_KEY)))

    def _is_transient(self, error: sa.exc.DBAPIError) -> bool:
        if error.connection_invalidated:
            return True
        return _sqlstate(error.orig).startswith(_TRANSIENT_SQLSTATES)


def _sqlstate(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or "")


async def clock_difference(database: Database, clock: Clock) -> int:
    """Return how far our clock is ahead of the server's, in milliseconds.

    It matters because each process judges leases by its own clock.
    """
    theirs = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * SECOND, sa.BigInteger))
    read = await database.run(lambda connection: connection.execute(theirs))
    return clock() - int(read.scalar_one())


def _open_engine(url: str, read_only: bool) -> AsyncEngine:
    """Make the engine. asyncpg parses the address, because it knows everything that libpq allows in it."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda *_, **__: connect(url, read_only=read_only),
        pool_size=_MAX_CONNECTIONS,
        max_overflow=0,
        # After a failover every connection in the pool is dead; this notices before one is used.
        pool_pre_ping=True,
        # Otherwise an error's text would show links and notes.
        hide_parameters=True,
        execution_options={"postgresql_readonly": read_only},
    )
    sa.event.listen(engine.sync_engine, "handle_error", _disconnect_if_replaced)
    return engine


def _disconnect_if_replaced(context: sa.engine.ExceptionContext) -> None:
    """Close this connection and every idle one, so that the next ones go to where the address points now.

    A server that was replaced may still run, read-only: the ping before each use would still succeed.
    """
    if _sqlstate(context.sqlalchemy_exception and context.sqlalchemy_exception.orig) in _MOVED_ON_SQLSTATES:
        context.is_disconnect = True


async def connect(url: str, *, read_only: bool = False) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect to the server in the address that takes writes; with `read_only` to any of them.

    Raises StorageUnavailable. Its message holds neither the address nor the password.
    """
    try:
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_TIMEOUT,
            command_timeout=_COMMAND_TIMEOUT,
            server_settings=_SERVER_SETTINGS,
            target_session_attrs=SessionAttribute.any if read_only else SessionAttribute.read_write,
        )
        return await _set_timeout(connection)
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise StorageUnavailable("PostgreSQL takes no writes: a standby, or set to read-only") from error
    except asyncpg.PostgresError as error:
        raise StorageUnavailable(f"PostgreSQL refuses the connection: {error.args[0]}") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise StorageUnavailable("the address of PostgreSQL cannot be read") from error
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
    """Wakes this process when another one has added work. It holds a connection, so it is a separate job.

    `on_work` is called with the queue's name, or without one when any queue may have work.
    """

    def __init__(self, url: str, on_work: Callable[..., None]) -> None:
        self._url = url
        self._on_work = on_work

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set. Without a connection the loops still check for work every 30 s."""
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
        """Listen on one connection. Raises when it ends."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(CHANNEL, lambda *message: self._on_work(str(message[-1])))
        # The loops check their queues now, because earlier notifications are lost.
        self._on_work()
        while not stop.is_set():
            await wait_for_any(stop, ended, timeout=_KEEPALIVE_INTERVAL)
            if not stop.is_set():
                await _check_writable(connection)


async def _check_writable(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Raise when the server is read-only now, or when the connection broke without a message."""
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        raise StorageUnavailable("PostgreSQL no longer takes writes")
