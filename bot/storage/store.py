"""The store: every query there is, grouped by who asks, over one database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.core.budget import Pace
from bot.core.clock import SECOND
from bot.core.registration import Limits
from bot.storage import tables
from bot.storage.card_queue import CardQueue
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.diagnosis import Diagnosis
from bot.storage.engine import Database
from bot.storage.facts import Facts
from bot.storage.guilds import Guilds
from bot.storage.lookups import Lookups
from bot.storage.migrations import migrate
from bot.storage.moving import note_use
from bot.storage.opening import open_database
from bot.storage.paces import SharedPace
from bot.storage.people import People
from bot.storage.registrations import Registrations
from bot.storage.task_queue import TaskQueue

# How soon the work of a dead process is taken over. What takes longer is renewed while it runs.
LEASE_TIME = 30 * SECOND
# The queues by their names, as `announce` tells them.
TASKS, DELIVERIES, CARDS = tables.tasks.name, tables.deliveries.name, tables.cards.name
# By the names of their rows, see migrations.py.
VIDEO_API, DISCORD = "video_api", "discord"


@dataclass(frozen=True, slots=True)
class Store:
    """`interval` below is POLL_INTERVAL in milliseconds."""

    database: Database
    tasks: TaskQueue
    deliveries: DeliveryQueue
    cards: CardQueue
    registrations: Registrations
    lookups: Lookups
    facts: Facts
    guilds: Guilds
    people: People
    diagnosis: Diagnosis
    interval: int

    async def take_over(self, now: int) -> int:
        """A bot begins to run on it. What a dead process held is ours, and counted, if no other may be alive.

        Where others may, the end of its lease tells.
        """
        if self.database.is_shared:
            await note_use(self.database)
            return 0
        return (
            await self.tasks.release_orphans(now, self.interval)
            + await self.deliveries.release_orphans(now)
            + await self.cards.release_orphans(now)
        )


@asynccontextmanager
async def open_store(
    url: str, *, limits: Limits, interval: int, lease_time: int = LEASE_TIME, pace: Pace | None = None
) -> AsyncIterator[Store]:
    """Migrates, then gives the store. Raises StorageUnavailable, DependencyDown, SettingsWrong.

    `interval` and `lease_time` are in milliseconds. `pace` is that of the questions of all processes which
    share the database; a process that is alone keeps it by itself.
    """
    database = open_database(url)
    try:
        await migrate(database)
        yield _store(database, limits, interval, lease_time, pace if database.is_shared else None)
    finally:
        await database.close()


def _store(database: Database, limits: Limits, interval: int, lease_time: int, pace: Pace | None) -> Store:
    shared = None if pace is None else SharedPace(VIDEO_API, pace)
    return Store(
        database=database,
        tasks=TaskQueue(database, lease_time=max(lease_time, interval), pace=shared),
        deliveries=DeliveryQueue(database, lease_time=lease_time),
        cards=CardQueue(database, lease_time=lease_time),
        registrations=Registrations(database, limits=limits, interval=interval),
        lookups=Lookups(database),
        facts=Facts(database),
        guilds=Guilds(database),
        people=People(database),
        diagnosis=Diagnosis(database),
        interval=interval,
    )
