"""The queue of tasks to poll, and a place for the API's answers."""

import asyncio
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import SECOND, Clock
from bot.core.tasks import Claim, DeliveryState, TaskState, TrackedTask, may_become
from bot.core.verdicts import Final, PollOutcome, StillWaiting
from bot.storage.card_queue import mark_cards_due
from bot.storage.engine import Database, notify, transaction
from bot.storage.queue import NOW, LeaseQueue
from bot.storage.rate_limit import SharedRateLimiter
from bot.storage.tables import columns, deliveries, read, tasks

# How soon most results are posted after their task has ended.
RESULT_FOLLOWS = 5 * SECOND


class TaskQueue(LeaseQueue):
    """The waiting tasks, by when to poll them."""

    def __init__(
        self, database: Database, *, lease_time: int, limiter: SharedRateLimiter | None = None
    ) -> None:
        super().__init__(database, tasks, lease_time=lease_time)
        self._limiter = limiter
        self._claim = self._claim_statement(columns(TrackedTask), polled_at=NOW)

    @transaction
    async def claim(self, connection: AsyncConnection, limit: int, now: int) -> Claim[TrackedTask]:
        """Up to `limit` due tasks, and no more than the rate limit of all processes allows.

        `polled_at` is written already, so that a poll after a crash is not too early.
        """
        if self._limiter is not None:
            limit = min(limit, await self._limiter.allowed(connection, now))
        if limit < 1:
            return Claim(0, ())
        values = self._new_lease(limit, now)
        found = (await connection.execute(self._claim, values)).all()
        if self._limiter is not None and found:
            await self._limiter.spend(connection, len(found), now)
        return Claim(values["new_lease"], tuple(read(TrackedTask, row) for row in found))

    @transaction
    async def record(self, connection: AsyncConnection, outcomes: Sequence[PollOutcome], now: int) -> int:
        """Write many outcomes in one transaction; returns how many tasks became final.

        An outcome whose lease was lost changes nothing.
        """
        # In the same order everywhere, because two processes must not wait for each other's rows.
        ordered = sorted(outcomes, key=lambda outcome: outcome.task.id)
        await self._keep_waiting(connection, ordered)
        ended, changed = [], []
        for outcome in ordered:
            match outcome.verdict:
                case Final() as verdict if await self._end(connection, outcome, verdict, now):
                    ended.append(outcome.task.id)
                case StillWaiting() as verdict if _is_new_status(outcome):
                    if await self._change_status(connection, outcome, verdict, now):
                        changed.append(outcome.task.id)
        if changed:
            await mark_cards_due(connection, tasks.c.id.in_(changed), now)
        if ended:
            # The result makes the card due as well: one edit for both, if the result comes soon.
            await mark_cards_due(connection, tasks.c.id.in_(ended), now + RESULT_FOLLOWS)
        return len(ended)

    async def _keep_waiting(self, connection: AsyncConnection, outcomes: Sequence[PollOutcome]) -> None:
        """The common case, as one prepared statement for all outcomes."""
        unchanged = [
            {
                "key": o.task.id,
                "claim": o.lease,
                "polled": o.polled_at,
                "due": o.verdict.due_at,
                "attempts": o.verdict.attempt,
                "doubted": o.verdict.doubts,
            }
            for o in outcomes
            if isinstance(o.verdict, StillWaiting) and not _is_new_status(o)
        ]
        if unchanged:
            await connection.execute(_KEEP_WAITING, unchanged)

    async def _change_status(
        self, connection: AsyncConnection, outcome: PollOutcome, verdict: StillWaiting, now: int
    ) -> bool:
        return await self._finish(
            connection,
            outcome.task.id,
            outcome.lease,
            only=_may_become(TaskState.WAITING),
            api_status=verdict.api_status,
            api_status_since=now,
            polled_at=outcome.polled_at,
            due_at=verdict.due_at,
            attempt=verdict.attempt,
            doubts=verdict.doubts,
        )

    async def _end(self, connection: AsyncConnection, outcome: PollOutcome, verdict: Final, now: int) -> bool:
        ended = await self._finish(
            connection,
            outcome.task.id,
            outcome.lease,
            only=_may_become(verdict.state),
            state=verdict.state,
            reason=verdict.reason,
            video_url=verdict.video_url,
            seconds=verdict.seconds,
            polled_at=outcome.polled_at,
            finished_at=now,
            due_at=None,
        )
        if ended:
            # In the same transaction: a final task never leaves a delivery open.
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.task_id == outcome.task.id)
                .where(deliveries.c.state == DeliveryState.OPEN)
                .values(state=DeliveryState.DUE, due_at=now)
            )
            await notify(connection, deliveries)
        return ended

    async def release_leases(self, now: int, interval: int) -> int:
        """End every lease, keeping `interval` ms between two polls. Only for a process without others."""
        earliest = tasks.c.polled_at + interval
        return await self.release_all_leases(sa.case((earliest > now, earliest), else_=sa.literal(now)))


_KEEP_WAITING = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("key"), tasks.c.lease == sa.bindparam("claim"))
    .values(
        lease=None,
        quarantine_reason=None,
        polled_at=sa.bindparam("polled"),
        due_at=sa.bindparam("due"),
        attempt=sa.bindparam("attempts"),
        doubts=sa.bindparam("doubted"),
    )
)


def _may_become(state: TaskState) -> sa.ColumnElement[bool]:
    return tasks.c.state.in_(may_become(state))


def _is_new_status(outcome: PollOutcome) -> bool:
    verdict = outcome.verdict
    return isinstance(verdict, StillWaiting) and verdict.api_status not in (None, outcome.task.api_status)


class OutcomeRecorder:
    """Writes outcomes that come at the same time in one transaction, because a commit costs an fsync.

    A single outcome is written at once; the others wait only for the transaction before theirs. `on_commit`
    is called with the outcomes of each transaction.
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
        """Returns once `outcome` is committed. Raises StorageUnavailable."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, committed))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="outcomes")
        await committed

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._writing = None

    async def _write(self, batch: list[tuple[PollOutcome, asyncio.Future[None]]]) -> None:
        outcomes = [outcome for outcome, _ in batch]
        try:
            await self._queue.record(outcomes, self._clock())
        except Exception as error:
            for _, committed in batch:
                if not committed.done():
                    committed.set_exception(error)
            return
        for _, committed in batch:
            if not committed.done():  # its job may have been cancelled meanwhile
                committed.set_result(None)
        self._on_commit(outcomes)
