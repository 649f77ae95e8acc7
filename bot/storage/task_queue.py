"""The queue of tasks to poll, and the recording of the API's answers."""

import asyncio
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.backoff import max_poll_pause
from bot.core.clock import SECOND, Clock
from bot.core.tasks import Claim, DeliveryState, Doubt, TaskState, TrackedTask, may_become
from bot.core.verdicts import Final, PollOutcome, StillWaiting, changes_card
from bot.storage.card_queue import mark_cards_due, mark_cards_of_tasks_due
from bot.storage.engine import Database, notify, transaction
from bot.storage.prepared import prepared
from bot.storage.queue import NOW, LeaseQueue, claim_statement
from bot.storage.rate_limit import SharedRateLimiter
from bot.storage.tables import columns, deliveries, read, tasks

# How soon most results are posted after their task has ended.
RESULT_FOLLOWS = 5 * SECOND


class TaskQueue(LeaseQueue):
    """The waiting tasks, by due time of their next poll."""

    def __init__(
        self,
        database: Database,
        *,
        lease_time: int,
        interval: int,
        limiter: SharedRateLimiter | None = None,
    ) -> None:
        super().__init__(database, tasks, lease_time=lease_time, max_pause=max_poll_pause(interval))
        self._interval = interval
        self._limiter = limiter

    @transaction
    async def claim(self, connection: AsyncConnection, limit: int, now: int) -> Claim[TrackedTask]:
        """Claim up to `limit` due tasks, and no more than the rate limit of all processes allows.

        `polled_at` is written at the claim, so that a poll after a crash is not too early.
        """
        if self._limiter is not None:
            limit = min(limit, await self._limiter.allowed(connection, now))
        if limit < 1:
            return Claim(0, ())
        values = self._new_lease(limit, now)
        found = (await connection.execute(_CLAIM, values)).all()
        if self._limiter is not None and found:
            await self._limiter.spend(connection, len(found), now)
        return Claim(values["new_lease"], tuple(read(TrackedTask, row) for row in found))

    @transaction
    async def claim_one(self, connection: AsyncConnection, task_id: str, now: int) -> Claim[TrackedTask]:
        """Claim this task if it is due, or if an interval has passed since its last poll."""
        values = self._new_lease(1, now)
        wanted = {"wanted": task_id, "rested_since": now - self._interval}
        found = (await connection.execute(_CLAIM_ONE, values | wanted)).all()
        return Claim(values["new_lease"], tuple(read(TrackedTask, row) for row in found))

    @transaction
    async def claim_unrefused(self, connection: AsyncConnection, now: int) -> Claim[TrackedTask]:
        """Claim one due task, if possible one that the API has not refused."""
        values = self._new_lease(1, now)
        found = (await connection.execute(_CLAIM_UNREFUSED, values)).all()
        return Claim(values["new_lease"], tuple(read(TrackedTask, row) for row in found))

    @transaction
    async def record(self, connection: AsyncConnection, outcomes: Sequence[PollOutcome], now: int) -> int:
        """Write many outcomes in one transaction; returns how many tasks became final.

        An outcome whose lease was lost changes nothing.
        """
        # In the same order everywhere, because two processes must not wait for each other's rows.
        ordered = sorted(outcomes, key=lambda outcome: outcome.task.id)
        waiting = [o for o in ordered if isinstance(o.verdict, StillWaiting)]
        if waiting:
            await connection.execute(_KEEP_WAITING, [_waiting_row(o) for o in waiting])
        ended = [
            o.task.id
            for o in ordered
            if isinstance(o.verdict, Final) and await self._end_task(connection, o, o.verdict, now)
        ]
        changed = [o.task.id for o in waiting if _changes_card(o)]
        if changed:
            await mark_cards_of_tasks_due(connection, changed, now)
        if ended:
            # The result makes the card due as well. If it comes soon, one edit shows both.
            await mark_cards_of_tasks_due(connection, ended, now + RESULT_FOLLOWS)
        return len(ended)

    @transaction(exclusive=True)
    async def begin_link_poll(
        self, connection: AsyncConnection, task_id: str, now: int, interval: int
    ) -> TrackedTask | None:
        """Return the completed task as it was; mark it as polled now if its interval is over.

        None when the task is not completed. `interval` is in milliseconds.
        """
        this = sa.select(*columns(TrackedTask)).where(tasks.c.id == task_id)
        row = (await connection.execute(this.where(tasks.c.state == TaskState.COMPLETED))).one_or_none()
        if row is None:
            return None
        task = read(TrackedTask, row)
        if task.polled_at is None or not now - interval < task.polled_at <= now:
            await connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(polled_at=now))
        return task

    @transaction
    async def replace_link(
        self, connection: AsyncConnection, task_id: str, video_url: str, link_ends_at: int
    ) -> TrackedTask:
        """Store a fresh link of a completed task. Each delivery may try it as often as the first link."""
        replaced = await connection.execute(
            sa.update(tasks)
            .where(tasks.c.id == task_id)
            .values(video_url=video_url, link_ends_at=link_ends_at)
            .returning(*columns(TrackedTask))
        )
        await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.task_id == task_id, deliveries.c.state == DeliveryState.DUE)
            .values(download_tries=0)
        )
        return read(TrackedTask, replaced.one())

    @transaction
    async def is_other_waiting(self, connection: AsyncConnection, task_id: str) -> bool:
        """Whether another task waits that the API has not refused."""
        unrefused = tasks.c.doubt.is_(None) | (tasks.c.doubt != Doubt.REFUSED)
        other = sa.select(tasks.c.id).where(_IS_WAITING, tasks.c.id != task_id, unrefused).limit(1)
        return (await connection.execute(other)).first() is not None

    @transaction
    async def is_other_known_id_unknown(self, connection: AsyncConnection, task_id: str) -> bool:
        """Whether the API does not know another id that it knew before."""
        other = (
            sa.select(tasks.c.id)
            .where(_IS_WAITING, tasks.c.id != task_id)
            .where(tasks.c.known, tasks.c.doubt.in_([Doubt.UNKNOWN_ID, Doubt.NOT_FOUND]))
            .limit(1)
        )
        return (await connection.execute(other)).first() is not None

    @transaction
    async def show_pause(self, connection: AsyncConnection, now: int) -> None:
        """Make due the cards of all waiting tasks, because an API pause is to be shown or to disappear."""
        await mark_cards_due(connection, _IS_WAITING, now)

    async def _end_task(
        self, connection: AsyncConnection, outcome: PollOutcome, verdict: Final, now: int
    ) -> bool:
        ended = await self._finish(
            connection,
            outcome.task.id,
            outcome.lease,
            only=_MAY_BECOME[verdict.state],
            state=verdict.state,
            reason=verdict.reason,
            cause=None if verdict.cause is None else verdict.cause.to_text(),
            video_url=verdict.video_url,
            link_ends_at=verdict.link_ends_at,
            seconds=verdict.seconds,
            model=verdict.model,
            created=verdict.created,
            took=verdict.took,
            polled_at=outcome.polled_at,
            finished_at=now,
            due_at=None,
        )
        if ended:
            # In the same transaction, because a final task must not leave a delivery open.
            await connection.execute(*_make_deliveries_due(outcome.task.id, now))
            await notify(connection, deliveries)
        return ended

    async def release_leases(self, now: int, interval: int) -> int:
        """End every lease, keeping `interval` ms between two polls. Only for a single process."""
        earliest = tasks.c.polled_at + interval
        return await self.release_all_leases(sa.case((earliest > now, earliest), else_=sa.literal(now)))


_CLAIM = claim_statement(tasks, columns(TrackedTask), polled_at=NOW)
# Before its time, but never before the interval since its last poll is over.
_RESTED = (
    (tasks.c.polled_at <= sa.bindparam("rested_since", type_=sa.BigInteger))
    & tasks.c.lease.is_(None)
    & tasks.c.due_at.is_not(None)
)
_CLAIM_ONE = claim_statement(
    tasks,
    columns(TrackedTask),
    only=tasks.c.id == sa.bindparam("wanted", type_=sa.Text),
    or_due=_RESTED,
    polled_at=NOW,
)
_CLAIM_UNREFUSED = claim_statement(
    tasks,
    columns(TrackedTask),
    order_by=sa.case((tasks.c.doubt == Doubt.REFUSED, 1), else_=0),
    polled_at=NOW,
)
_IS_WAITING = (tasks.c.state == TaskState.WAITING) & tasks.c.due_at.is_not(None)
# The columns that a verdict on a waiting task may change.
_JUDGED = (
    *(
        "polled_at",
        "judged_at",
        "due_at",
        "planned_delay",
        "attempt",
        "known",
        "api_status",
        "api_status_since",
    ),
    *("doubt", "doubt_count", "doubt_time", "answered_time", "silent_time", "words", "trouble"),
    *("model", "created"),
)
_KEEP_WAITING = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("key"), tasks.c.lease == sa.bindparam("claim"))
    .where(tasks.c.state == TaskState.WAITING)
    .values(
        lease=None,
        quarantine_reason=None,
        **{name: sa.bindparam(f"new_{name}", type_=tasks.c[name].type) for name in _JUDGED},
    )
)


def _waiting_row(outcome: PollOutcome) -> dict[str, object]:
    assert isinstance(outcome.verdict, StillWaiting)  # noqa: S101 - narrows for the type checker
    judged = outcome.verdict.task
    values = {f"new_{name}": getattr(judged, name) for name in _JUDGED}
    return {"key": outcome.task.id, "claim": outcome.lease, **values}


_FINAL = (TaskState.COMPLETED, TaskState.FAILED, TaskState.LOST)
_MAY_BECOME = {state: tasks.c.state.in_(may_become(state)) for state in _FINAL}


@prepared
def _make_deliveries_due(task_id: str, now: int) -> sa.Update:
    is_open = (deliveries.c.task_id == task_id) & (deliveries.c.state == DeliveryState.OPEN)
    return sa.update(deliveries).where(is_open).values(state=DeliveryState.DUE, due_at=now)


def _changes_card(outcome: PollOutcome) -> bool:
    verdict = outcome.verdict
    return isinstance(verdict, StillWaiting) and changes_card(outcome.task, verdict.task)


class OutcomeRecorder:
    """Writes outcomes that come at the same time in one transaction, because a commit costs an fsync.

    A single outcome is written at once; others wait only for the transaction before theirs. `on_commit` is
    called with the outcomes of each transaction.
    """

    def __init__(
        self, queue: TaskQueue, clock: Clock, on_commit: Callable[[Sequence[PollOutcome]], None]
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._on_commit = on_commit
        self._waiting: list[tuple[PollOutcome, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, outcome: PollOutcome) -> None:
        """Return once `outcome` is committed. Raises StorageUnavailable."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, committed))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="outcomes")
        await committed

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(self, batch: list[tuple[PollOutcome, asyncio.Future[None]]]) -> None:
        outcomes = [outcome for outcome, _ in batch]
        try:
            await self._queue.record(outcomes, self._clock())
        except Exception as error:
            for _, committed in batch:
                if not committed.done():
                    committed.set_exception(error)
            return
        for _, committed in batch:
            if not committed.done():  # done when its job was cancelled
                committed.set_result(None)
        self._on_commit(outcomes)
