"""What an operator wants to know of the database: what is late, stuck or set aside. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.tasks import LIVE, DeliveryState, TaskState
from bot.storage.engine import Database
from bot.storage.rows import AnyRow
from bot.storage.tables import cards, deliveries, departures, facts, tasks

_MOST = 20
_MOST_CHANNELS = 50

# Ended, and asked for: a result that was there long before is owed since somebody asked.
_SINCE = sa.case(
    (tasks.c.finished_at > deliveries.c.created_at, tasks.c.finished_at), else_=deliveries.c.created_at
).label("since")
_OWED = (
    sa.select(
        deliveries.c.task_id,
        deliveries.c.channel_id,
        deliveries.c.attempt,
        deliveries.c.trouble,
        _SINCE,
    )
    .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
    .where(deliveries.c.state == DeliveryState.DUE)
)


@dataclass(frozen=True, slots=True)
class Late:
    """The oldest of what is due. Times in UTC milliseconds."""

    task_id: str
    channel_id: int | None
    since: int
    attempt: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row whose handling failed in a way that nobody foresaw."""

    queue: str
    row_id: str
    why: str
    due_at: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """What a channel did not take."""

    guild_id: int
    channel_id: int
    why: str
    count: int


class Diagnosis:
    """One question each. All may raise StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tasks_by_state(self) -> dict[str, int]:
        return dict(await self._rows(sa.select(tasks.c.state, sa.func.count()).group_by(tasks.c.state)))

    async def deliveries_by_state(self) -> dict[str, int]:
        states = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
        return dict(await self._rows(states))

    async def last_good_answer(self) -> int | None:
        """When a question was asked that the video API gave a usable answer to."""
        answered = tasks.c.word.is_not(None) | tasks.c.finished_at.is_not(None)
        [row] = await self._rows(
            sa.select(sa.func.max(tasks.c.asked_at)).where(answered, tasks.c.attempt == 0)
        )
        return None if row[0] is None else int(row[0])

    async def latest_question(self) -> Late | None:
        """The task that should have been asked about longest ago."""
        found = await self._rows(
            sa.select(tasks.c.id, tasks.c.due_at, tasks.c.attempt)
            .where(tasks.c.state == TaskState.WAITING, tasks.c.due_at.is_not(None))
            .order_by(tasks.c.due_at)
            .limit(1)
        )
        return next((Late(row.id, None, row.due_at, row.attempt, None) for row in found), None)

    async def latest_delivery(self) -> Late | None:
        """The result that is owed for longest, whatever has been tried."""
        return next(iter(await self._late(_OWED.order_by(_SINCE).limit(1))), None)

    async def tried_often(self, least: int) -> list[Late]:
        """Results that are owed though they were tried so many times, the most often tried first."""
        often = _OWED.where(deliveries.c.attempt >= least).order_by(deliveries.c.attempt.desc())
        return await self._late(often.limit(_MOST))

    async def _late(self, query: sa.Select[*tuple[object, ...]]) -> list[Late]:
        rows = await self._rows(query)
        return [Late(r.task_id, r.channel_id, r.since, r.attempt, r.trouble) for r in rows]

    async def set_aside(self) -> list[SetAside]:
        """In all three queues."""
        found = []
        for table in (tasks, deliveries, cards):
            rows = await self._rows(
                sa.select(table.c.id, table.c.set_aside, table.c.due_at)
                .where(table.c.set_aside.is_not(None))
                .limit(_MOST)
            )
            found += [SetAside(table.name, str(row.id), row.set_aside, row.due_at) for row in rows]
        return found

    async def refused(self) -> list[Refused]:
        """By channel and reason, the most first."""
        count = sa.func.count().label("count")
        columns = (deliveries.c.guild_id, deliveries.c.channel_id, deliveries.c.trouble)
        found = await self._rows(
            sa.select(*columns, count)
            .where(deliveries.c.state == DeliveryState.UNDELIVERABLE)
            .group_by(*columns)
            .order_by(count.desc())
            .limit(_MOST)
        )
        return [Refused(row[0], row[1], row[2] or "", row[3]) for row in found]

    async def departures(self) -> dict[int, int]:
        """Guilds that the bot is no longer in, and since when."""
        return dict(await self._rows(sa.select(departures.c.guild_id, departures.c.since).limit(_MOST)))

    async def places(self) -> list[tuple[int, int]]:
        """Guild and channel of what is owed or could not be posted, the latest first."""
        latest = sa.func.max(deliveries.c.id)
        found = await self._rows(
            sa.select(deliveries.c.guild_id, deliveries.c.channel_id)
            .where(deliveries.c.state.in_([*LIVE, DeliveryState.UNDELIVERABLE]))
            .group_by(deliveries.c.guild_id, deliveries.c.channel_id)
            .order_by(latest.desc())
            .limit(_MOST_CHANNELS)
        )
        return [(row[0], row[1]) for row in found]

    async def fact(self, name: str) -> str | None:
        found = await self._rows(sa.select(facts.c.value).where(facts.c.name == name))
        return found[0][0] if found else None

    async def _rows(self, query: sa.Select[*tuple[object, ...]]) -> Sequence[AnyRow]:
        async def work(connection: AsyncConnection) -> Sequence[AnyRow]:
            return (await connection.execute(query)).all()

        return await self._database.run(work)
