"""The store: opens the database of an address, and holds all queries grouped by their users."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.core.clock import SECOND, system_clock
from bot.core.database_url import SQLITE_PREFIX, is_postgresql
from bot.core.errors import DependencyDown, SettingsWrong
from bot.core.rate_limit import RateLimit
from bot.core.tracking import Limits
from bot.storage import tables
from bot.storage.card_queue import CardQueue
from bot.storage.copying import mark_used, moved_to
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.diagnosis import Diagnosis
from bot.storage.engine import Database
from bot.storage.guilds import Guilds
from bot.storage.key_values import KeyValues
from bot.storage.lookups import Lookups
from bot.storage.migrations import migrate
from bot.storage.people import People
from bot.storage.rate_limit import SharedRateLimiter
from bot.storage.sqlite import SqliteDatabase
from bot.storage.sqlite_files import sqlite_path
from bot.storage.task_queue import TaskQueue
from bot.storage.tracking import TrackingQueries

# After this time the work of a dead process is claimed again. Work that takes longer renews its lease.
LEASE_TIME = 30 * SECOND
# The queues by the names that `notify` uses.
TASKS, DELIVERIES, CARDS = tables.tasks.name, tables.deliveries.name, tables.cards.name
# The names of the shared rate limits, see migrations.py.
VIDEO_API, DISCORD = "video_api", "discord"


@dataclass(frozen=True, slots=True)
class Store:
    """All queries over one database."""

    database: Database
    tasks: TaskQueue
    deliveries: DeliveryQueue
    cards: CardQueue
    tracking: TrackingQueries
    lookups: Lookups
    key_values: KeyValues
    guilds: Guilds
    people: People
    diagnosis: Diagnosis

    async def recover(self, now: int, interval: int) -> int:
        """Call once at start. On SQLite (a single process) releases every lease and returns how many.

        On PostgreSQL leases expire without help and 0 is returned. `interval` is POLL_INTERVAL in ms.
        """
        if self.database.is_shared:
            await mark_used(self.database)
            return 0
        return (
            await self.tasks.release_leases(now, interval)
            + await self.deliveries.release_all_leases(now)
            + await self.cards.release_all_leases(now)
        )


@asynccontextmanager
async def open_store(
    url: str, *, limits: Limits, interval: int, lease_time: int = LEASE_TIME, rate: RateLimit | None = None
) -> AsyncIterator[Store]:
    """Run the migrations, then yield the store. Raises StorageUnavailable, DependencyDown, SettingsWrong.

    `interval` (POLL_INTERVAL) and `lease_time` are in milliseconds. `rate` limits the polls of all processes
    that share the database; with SQLite the process keeps the limit in memory.
    """
    database = open_database(url)
    run = secrets.randbits(62)
    try:
        await migrate(database)
        await refuse_moved(database)
        limiter = None
        if rate is not None and database.is_shared:
            limiter = SharedRateLimiter(database, VIDEO_API, rate, system_clock)
        yield Store(
            database=database,
            tasks=TaskQueue(
                database, lease_time=max(lease_time, interval), interval=interval, limiter=limiter
            ),
            deliveries=DeliveryQueue(database, lease_time=lease_time, run=run),
            cards=CardQueue(database, lease_time=lease_time),
            tracking=TrackingQueries(database, limits=limits, interval=interval, run=run),
            lookups=Lookups(database),
            key_values=KeyValues(database),
            guilds=Guilds(database),
            people=People(database),
            diagnosis=Diagnosis(database),
        )
    finally:
        await database.close()


async def refuse_moved(database: Database) -> None:
    """Raise DependencyDown for a database that was moved, because two bots would post everything twice.

    Raises StorageUnavailable, too.
    """
    if (place := await moved_to(database)) is not None:
        raise DependencyDown(
            f"DATABASE_URL: this database was moved to {place}: set DATABASE_URL to that address. To go on "
            "with this one as it is, end every bot on the other and run: python -m bot move --undo"
        )


def open_database(url: str, *, read_only: bool = False) -> Database:
    """Return the database at `url`, not yet connected. Raises SettingsWrong, also without the driver for it.

    `read_only`: nothing can be changed through it, and a PostgreSQL standby will do.
    """
    if url.startswith(SQLITE_PREFIX):
        return SqliteDatabase(sqlite_path(url), read_only=read_only)
    if not is_postgresql(url):
        raise SettingsWrong(["DATABASE_URL: must begin with sqlite:/// or postgresql://"])
    try:
        # Imported only here: it is an optional dependency, and costs some MiB.
        from bot.storage.postgresql import PostgresDatabase
    except ImportError as error:
        raise SettingsWrong(
            ["DATABASE_URL: PostgreSQL needs its driver: pip install 'veo-courier[postgres]'"]
        ) from error
    return PostgresDatabase(url, read_only=read_only)
