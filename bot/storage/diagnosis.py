"""What an operator needs to know of the database: what is late, stuck or quarantined. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import MINUTE
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import DeliveryState, Doubt, TaskState
from bot.storage.engine import Queries, transaction
from bot.storage.tables import IS_LIVE, AnyRow, cards, deliveries, key_values, left_guilds, tasks

_MAX_ROWS = 20
_MAX_CHANNELS = 50
# A poll is late after three intervals: one poll may be lost, and the next be in progress.
MAX_INTERVALS_LATE = 3
# A result that is owed for longer is overdue, unless it waits for something that no operator can change.
RESULT_OVERDUE_AFTER = 15 * MINUTE
# For so long a due row may be unclaimed before it is reported.
_UNCLAIMED = MINUTE
_EDGE_BLOCK = Problem(ProblemCode.DISCORD_UNAVAILABLE, {"blocked": 1}).to_text()

# Owed since the task ended or since it was requested, whichever is later.
_SINCE = sa.case(
    (tasks.c.finished_at > deliveries.c.created_at, tasks.c.finished_at), else_=deliveries.c.created_at
).label("since")
_OWED = (
    sa.select(
        deliveries.c.task_id,
        deliveries.c.channel_id,
        deliveries.c.attempt,
        deliveries.c.last_error,
        _SINCE,
    )
    .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
    .where(deliveries.c.state == DeliveryState.DUE)
)


@dataclass(frozen=True, slots=True)
class OverdueRow:
    """A row that has been due since `since` (UTC milliseconds)."""

    task_id: str
    channel_id: int | None
    since: int
    attempt: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows wait, and since when the first of them is due (UTC milliseconds)."""

    count: int
    since: int | None


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that our own bug stopped."""

    queue: str
    row_id: str
    reason: str
    due_at: int | None


@dataclass(frozen=True, slots=True)
class UndeliverableResults:
    """How many results a channel refused, and why."""

    guild_id: int
    channel_id: int
    reason: str
    count: int


class Diagnosis(Queries):
    """Queries for operators. All may raise StorageUnavailable."""

    async def tasks_by_state(self) -> dict[str, int]:
        """Return the number of tasks in each state."""
        return dict(await self._rows(sa.select(tasks.c.state, sa.func.count()).group_by(tasks.c.state)))

    async def deliveries_by_state(self) -> dict[str, int]:
        """Return the number of deliveries in each state."""
        states = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
        return dict(await self._rows(states))

    async def last_good_answer(self) -> int | None:
        """Return when the latest poll with a usable answer was made (UTC milliseconds)."""
        answered = tasks.c.known | tasks.c.finished_at.is_not(None)
        [row] = await self._rows(
            sa.select(sa.func.max(tasks.c.polled_at)).where(answered, tasks.c.attempt == 0)
        )
        return None if row[0] is None else int(row[0])

    async def tasks_not_found(self) -> int:
        """Count the waiting tasks whose latest answer is a bare 404."""
        waiting = sa.select(sa.func.count()).select_from(tasks).where(tasks.c.state == TaskState.WAITING)
        [row] = await self._rows(waiting.where(tasks.c.doubt == Doubt.NOT_FOUND))
        return int(row[0])

    async def most_overdue_poll(self) -> OverdueRow | None:
        """Return the waiting task that has been due longest, or is due next."""
        found = await self._rows(
            sa.select(tasks.c.id, tasks.c.due_at, tasks.c.attempt)
            .where(tasks.c.state == TaskState.WAITING, tasks.c.due_at.is_not(None))
            .order_by(tasks.c.due_at)
            .limit(1)
        )
        return next((OverdueRow(row.id, None, row.due_at, row.attempt, None) for row in found), None)

    async def polls_wanted(self, until: int) -> Waiting:
        """Count the tasks to poll before `until`; `since` is when the most overdue of all was due."""
        wanted = sa.func.coalesce(sa.func.sum(sa.case((tasks.c.due_at <= until, 1), else_=0)), 0)
        [row] = await self._rows(
            sa.select(wanted, sa.func.min(tasks.c.due_at)).where(
                tasks.c.state == TaskState.WAITING, tasks.c.due_at.is_not(None)
            )
        )
        return Waiting(int(row[0]), row[1])

    async def overdue_results(self, now: int) -> Waiting:
        """Count the results owed for more than 15 minutes that no process claims or Discord did not take.

        Results whose video is still being downloaded are left out, because that may take two hours. So are
        those that wait for the end of a block by Discord's edge.
        """
        table = deliveries.c
        tried = (table.attempt > 0) | (table.odd_attempt > 0) | (table.tell_attempt > 0)
        failed = tried | table.quarantine_reason.is_not(None)
        is_blocked = sa.func.coalesce(table.last_error, "") == _EDGE_BLOCK
        [row] = await self._rows(
            sa.select(sa.func.count(), sa.func.min(_SINCE))
            .join_from(deliveries, tasks, table.task_id == tasks.c.id)
            .where(table.state == DeliveryState.DUE, now - RESULT_OVERDUE_AFTER >= _SINCE)
            .where((table.due_at <= now - _UNCLAIMED) | (failed & ~is_blocked))
        )
        return Waiting(int(row[0]), row[1])

    async def late_poll(self, interval: int, now: int) -> OverdueRow | None:
        """Return the most overdue poll, if it is more than three intervals late."""
        poll = await self.most_overdue_poll()
        return poll if poll is not None and now - poll.since > MAX_INTERVALS_LATE * interval else None

    async def most_overdue_delivery(self) -> OverdueRow | None:
        """Return the result that has been owed longest, tried or not."""
        return next(iter(await self._overdue(_OWED.order_by(_SINCE).limit(1))), None)

    async def tried_often(self, min_attempts: int) -> list[OverdueRow]:
        """Return owed results after at least `min_attempts` attempts, the most often tried first."""
        often = _OWED.where(deliveries.c.attempt >= min_attempts).order_by(deliveries.c.attempt.desc())
        return await self._overdue(often.limit(_MAX_ROWS))

    async def _overdue(self, query: sa.Select[*tuple[object, ...]]) -> list[OverdueRow]:
        rows = await self._rows(query)
        return [OverdueRow(r.task_id, r.channel_id, r.since, r.attempt, r.last_error) for r in rows]

    async def quarantined(self) -> list[QuarantinedRow]:
        """Return the quarantined rows of all three queues."""
        found = []
        for table in (tasks, deliveries, cards):
            rows = await self._rows(
                sa.select(table.c.id, table.c.quarantine_reason, table.c.due_at)
                .where(table.c.quarantine_reason.is_not(None))
                .limit(_MAX_ROWS)
            )
            found += [
                QuarantinedRow(table.name, str(row.id), row.quarantine_reason, row.due_at) for row in rows
            ]
        return found

    async def undeliverable(self) -> list[UndeliverableResults]:
        """Count the undeliverable results by channel and reason, the largest count first."""
        count = sa.func.count().label("count")
        grouped = (deliveries.c.guild_id, deliveries.c.channel_id, deliveries.c.last_error)
        found = await self._rows(
            sa.select(*grouped, count)
            .where(deliveries.c.state == DeliveryState.UNDELIVERABLE)
            .group_by(*grouped)
            .order_by(count.desc())
            .limit(_MAX_ROWS)
        )
        return [UndeliverableResults(row[0], row[1], row[2] or "", row[3]) for row in found]

    async def left_guilds(self) -> dict[int, int]:
        """Return the servers that the bot has left, and since when (UTC milliseconds)."""
        return dict(await self._rows(sa.select(left_guilds.c.guild_id, left_guilds.c.since).limit(_MAX_ROWS)))

    async def places(self) -> list[tuple[int, int]]:
        """Return server and channel of results that are owed or were undeliverable, the latest first."""
        latest = sa.func.max(deliveries.c.id)
        found = await self._rows(
            sa.select(deliveries.c.guild_id, deliveries.c.channel_id)
            .where(IS_LIVE | (deliveries.c.state == DeliveryState.UNDELIVERABLE))
            .group_by(deliveries.c.guild_id, deliveries.c.channel_id)
            .order_by(latest.desc())
            .limit(_MAX_CHANNELS)
        )
        return [(row[0], row[1]) for row in found]

    async def values(self, prefix: str) -> list[str]:
        """Return the values of all names that begin with `prefix`."""
        named = key_values.c.name.startswith(prefix, autoescape=True)
        return [str(row[0]) for row in await self._rows(sa.select(key_values.c.value).where(named))]

    async def value(self, name: str) -> str | None:
        """Return the value of one name."""
        found = await self._rows(sa.select(key_values.c.value).where(key_values.c.name == name))
        return found[0][0] if found else None

    @transaction
    async def _rows(
        self, connection: AsyncConnection, query: sa.Select[*tuple[object, ...]]
    ) -> Sequence[AnyRow]:
        return (await connection.execute(query)).all()
