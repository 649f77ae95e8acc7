"""What the poller asks of the database: due tasks, and a place for the API's answers."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import SECOND
from bot.core.tasks import Claim, DeliveryState, TaskState, TrackedTask, may_become
from bot.core.verdicts import Final, PollOutcome, StillWaiting
from bot.storage import rows
from bot.storage.engine import Database, announce
from bot.storage.paces import SharedPace
from bot.storage.queue import NOW, LeaseQueue
from bot.storage.tables import cards, deliveries, tasks

# How soon most results are posted once their task has ended.
RESULT_FOLLOWS = 5 * SECOND


class TaskQueue:
    """The tasks that wait, by when to ask about them."""

    def __init__(self, database: Database, *, lease_time: int, pace: SharedPace | None = None) -> None:
        self._database = database
        self._pace = pace
        self._queue = LeaseQueue(database, tasks, lease_time=lease_time)
        self._claiming = self._queue.claiming(rows.columns(TrackedTask), asked_at=NOW)
        self.next_due = self._queue.next_due
        self.renew = self._queue.renew

    async def claim(self, limit: int, now: int) -> Claim[TrackedTask]:
        """Up to `limit` due tasks, and no more than the pace of all processes allows.

        `asked_at` is written already: after a crash it is not too early.
        """

        async def work(connection: AsyncConnection) -> Claim[TrackedTask]:
            room = limit if self._pace is None else min(limit, await self._pace.room(connection, now))
            if room < 1:
                return Claim(0, ())
            lease, found = await self._queue.claim(connection, self._claiming, room, now)
            if self._pace is not None and found:
                await self._pace.spend(connection, len(found), now)
            return Claim(lease, tuple(rows.read(TrackedTask, row) for row in found))

        return await self._database.run(work)

    async def postpone(self, task_id: str, lease: int, due_at: int, *, set_aside: str | None = None) -> bool:
        """Ask later, nothing having been learnt."""
        return await self._queue.postpone(task_id, lease, due_at, set_aside=set_aside)

    async def record(self, outcomes: Sequence[PollOutcome], now: int) -> int:
        """Write many outcomes in one transaction; returns how many tasks became final.

        An outcome whose lease is no longer ours changes nothing.
        """

        # In one order everywhere: two processes must not wait for each other's rows.
        ordered = sorted(outcomes, key=lambda outcome: outcome.task.id)

        async def work(connection: AsyncConnection) -> int:
            await self._keep_waiting(connection, ordered)
            ended, changed = [], []
            for outcome in ordered:
                match outcome.verdict:
                    case Final() as verdict if await self._end(connection, outcome, verdict, now):
                        ended.append(outcome.task.id)
                    case StillWaiting(word) if word not in (None, outcome.task.word):
                        if await self._change_word(connection, outcome, word, now):
                            changed.append(outcome.task.id)
            if changed:
                await mark_cards(connection, tasks.c.id.in_(changed), now)
            if ended:
                # Its result follows, and has the card redrawn as well: one edit for both, if it comes soon.
                await mark_cards(connection, tasks.c.id.in_(ended), now + RESULT_FOLLOWS)
            return len(ended)

        return await self._database.run(work)

    async def _keep_waiting(self, connection: AsyncConnection, outcomes: Sequence[PollOutcome]) -> None:
        """The common case, as one prepared statement for all of them."""
        unchanged = [
            {
                "key": o.task.id,
                "claim": o.lease,
                "asked": o.asked_at,
                "due": o.verdict.due_at,
                "attempts": o.verdict.attempt,
                "doubted": o.verdict.doubts,
            }
            for o in outcomes
            if isinstance(o.verdict, StillWaiting) and o.verdict.word in (None, o.task.word)
        ]
        if unchanged:
            await connection.execute(_KEEP_WAITING, unchanged)

    async def _change_word(
        self, connection: AsyncConnection, outcome: PollOutcome, word: str | None, now: int
    ) -> bool:
        verdict = outcome.verdict
        assert isinstance(verdict, StillWaiting)  # noqa: S101 - narrows for the type checker
        return await self._queue.finish(
            connection,
            outcome.task.id,
            outcome.lease,
            only=_may_become(TaskState.WAITING),
            word=word,
            word_at=now,
            asked_at=outcome.asked_at,
            due_at=verdict.due_at,
            attempt=verdict.attempt,
            doubts=verdict.doubts,
        )

    async def _end(self, connection: AsyncConnection, outcome: PollOutcome, verdict: Final, now: int) -> bool:
        ended = await self._queue.finish(
            connection,
            outcome.task.id,
            outcome.lease,
            only=_may_become(verdict.state),
            state=verdict.state,
            reason=verdict.reason,
            video_url=verdict.video_url,
            seconds=verdict.seconds,
            asked_at=outcome.asked_at,
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
            await announce(connection, deliveries)
        return ended

    async def release_orphans(self, now: int, interval: int) -> int:
        """End the leases of a process that died, keeping `interval` ms between two questions."""
        earliest = tasks.c.asked_at + interval
        return await self._queue.release_orphans(sa.case((earliest > now, earliest), else_=sa.literal(now)))


_KEEP_WAITING = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam("key"), tasks.c.lease == sa.bindparam("claim"))
    .values(
        lease=None,
        set_aside=None,
        asked_at=sa.bindparam("asked"),
        due_at=sa.bindparam("due"),
        attempt=sa.bindparam("attempts"),
        doubts=sa.bindparam("doubted"),
    )
)


def _may_become(state: TaskState) -> sa.ColumnElement[bool]:
    return tasks.c.state.in_(may_become(state))


async def mark_cards(connection: AsyncConnection, of: sa.ColumnElement[bool], due_at: int) -> None:
    """Have every card redrawn, by that time, that shows a delivery of a task matching `of`.

    One that is being drawn right now is about what was true before: it is due again once that has ended,
    so that two edits of one message cannot overtake each other.
    """
    shown = (
        sa.select(deliveries.c.card_id)
        .join_from(deliveries, tasks, deliveries.c.task_id == tasks.c.id)
        .where(of, deliveries.c.card_id.is_not(None))
    )
    # In one order everywhere, see `record`.
    in_order = sa.select(cards.c.id).where(cards.c.id.in_(shown)).order_by(cards.c.id).with_for_update()
    later = cards.c.due_at.is_(None) | (cards.c.due_at > due_at)
    await connection.execute(
        sa.update(cards)
        .where(cards.c.id.in_(in_order))
        .values(
            due_at=sa.case((cards.c.lease.is_(None) & later, sa.literal(due_at)), else_=cards.c.due_at),
            version=cards.c.version + 1,
            attempt=0,
        )
    )
    await announce(connection, cards)
