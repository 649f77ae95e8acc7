"""The store: every query there is, grouped by who asks, over one database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.core.clock import MINUTE
from bot.core.registration import Limits
from bot.storage.card_queue import CardQueue
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.diagnosis import Diagnosis
from bot.storage.engine import Database, open_database
from bot.storage.facts import Facts
from bot.storage.guilds import Guilds
from bot.storage.lookups import Lookups
from bot.storage.migrations import migrate
from bot.storage.people import People
from bot.storage.registrations import Registrations
from bot.storage.task_queue import TaskQueue

# Longer than one question can take (20 s); what takes longer is renewed while it runs.
LEASE_TIME = MINUTE


@dataclass(frozen=True, slots=True)
class Store:
    """`interval` below is POLL_INTERVAL in milliseconds."""

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

    async def release_orphans(self, now: int) -> int:
        """Take over what a dead process held. Only when this process has the database alone."""
        return (
            await self.tasks.release_orphans(now, self.interval)
            + await self.deliveries.release_orphans(now)
            + await self.cards.release_orphans(now)
        )


@asynccontextmanager
async def open_store(url: str, *, limits: Limits, interval: int) -> AsyncIterator[Store]:
    """Migrates, then gives the store. Raises StorageUnavailable, DependencyDown, SettingsWrong."""
    database = open_database(url)
    try:
        await migrate(database)
        yield _store(database, limits, interval)
    finally:
        await database.close()


def _store(database: Database, limits: Limits, interval: int) -> Store:
    lease_time = max(LEASE_TIME, interval)
    return Store(
        tasks=TaskQueue(database, lease_time=lease_time),
        deliveries=DeliveryQueue(database, lease_time=LEASE_TIME),
        cards=CardQueue(database, lease_time=LEASE_TIME),
        registrations=Registrations(database, limits=limits, interval=interval),
        lookups=Lookups(database),
        facts=Facts(database),
        guilds=Guilds(database),
        people=People(database),
        diagnosis=Diagnosis(database),
        interval=interval,
    )
