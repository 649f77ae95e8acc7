"""Polls the video API about each due task, and records the verdict on the answer."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from bot.core.answers import USABLE, Answer, AnswerKind
from bot.core.api_pause import PauseReason
from bot.core.clock import HOUR, MINUTE, SECOND, Clock
from bot.core.log_fields import log_about
from bot.core.rate_limit import RateLimiter
from bot.core.tasks import Claim, Doubt, TrackedTask
from bot.core.verdicts import (
    Final,
    Others,
    PollOutcome,
    PollRules,
    StillWaiting,
    Verdict,
    changes_card,
    judge,
)
from bot.metrics import Metrics, WaitReason
from bot.storage.task_queue import OutcomeRecorder, TaskQueue
from bot.work.answered_ids import AnsweredIds
from bot.work.api_pause import ApiPause

logger = logging.getLogger(__name__)
_QUARANTINE_TIME = 5 * MINUTE
_NOTHING: Claim[TrackedTask] = Claim(0, ())
# The same unreadable reply is logged as an error after this time.
_UNREADABLE_FOR = HOUR
_VARIABLE_PART = re.compile(r"[0-9a-f-]{8,}|\d+", re.IGNORECASE)


class VideoApi(Protocol):
    """The part of the video API that the poller needs."""

    async def poll(self, task_id: str) -> Answer:
        """Poll one task. Never raises for what the API or the network does."""
        ...


class Poller:
    """The handler of the poll loop, and its queue, which obeys the API pause and the rate.

    `on_change` is called when something must be posted or a card edited.
    """

    name = "poller"

    def __init__(
        self,
        *,
        api: VideoApi,
        queue: TaskQueue,
        pause: ApiPause,
        limiter: RateLimiter,
        rules: PollRules,
        clock: Clock,
        on_change: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        self._api = api
        self._queue = queue
        self._pause = pause
        self._limiter = limiter
        self._rules = rules
        self._clock = clock
        self._on_change = on_change
        self._metrics = metrics
        self._recorder = OutcomeRecorder(queue, clock, self._log_and_wake)
        self._answered = AnsweredIds()
        self._troubles = _TroubleLog(clock)
        self._in_flight = 0
        self._claimed_at: dict[tuple[int, str], float] = {}  # by lease and id, in monotonic seconds
        self._throttled_until = 0

    async def claim(self, limit: int, now: int) -> Claim[TrackedTask]:
        """Claim up to `limit` due tasks; during an API pause one at a time, when its time has come."""
        limit = min(limit, self._limiter.available())
        if self._pause.state:
            await self._pause.show_if_long(now)
            if self._in_flight or now < self._pause.ends_at(now):
                return _NOTHING
        if limit < 1:
            return _NOTHING
        began = time.monotonic()
        claim = await (self._claim_probe(now) if self._pause.state else self._queue.claim(limit, now))
        self._claimed_at |= dict.fromkeys(((claim.lease, task.id) for task in claim.work), began)
        self._limiter.spend(len(claim.work))
        self._in_flight += len(claim.work)
        return claim

    async def _claim_probe(self, now: int) -> Claim[TrackedTask]:
        """Claim the task that was answered last, because the API knows its id; else any."""
        latest = self._answered.latest
        claim = _NOTHING if latest is None else await self._queue.claim_one(latest, now)
        return claim if claim.work else await self._queue.claim_unrefused(now)

    async def next_due(self) -> int | None:
        """Return when the next task may be polled."""
        due = await self._queue.next_due()
        return None if due is None else max(due, self._pause.ends_at(self._clock()), self._limiter.ready_at())

    async def renew(self, leases: Iterable[int], now: int) -> None:
        """Extend the leases of tasks whose poll takes longer than a lease."""
        await self._queue.renew(leases, now)

    async def pull_back(self, now: int) -> int:
        """Make tasks due that a wrong clock had planned too far ahead."""
        return await self._queue.pull_back(now)

    async def handle(self, lease: int, work: TrackedTask) -> None:
        """Poll one task and record the outcome."""
        log_about("poll", work)
        polled_at = self._clock()
        try:
            if not self._is_leased(lease, work):
                logger.warning("%s: its lease ended before it was polled; it is due again", work.id)
                return
            answer = await self._api.poll(work.id)
            verdict = await self._judge(replace(work, polled_at=polled_at), answer, polled_at)
        finally:
            self._in_flight -= 1
        await self._recorder.record(PollOutcome(work, lease, polled_at, verdict))

    def _is_leased(self, lease: int, work: TrackedTask) -> bool:
        """Whether no other process can have polled it: this one may have stood still since its claim.

        By a clock that nobody sets, because a wrong clock is no reason not to poll.
        """
        waited = time.monotonic() - self._claimed_at.pop((lease, work.id))
        return waited * SECOND < self._queue.lease_time

    async def _judge(self, task: TrackedTask, answer: Answer, polled_at: int) -> Verdict:
        self._metrics.polled(answer.kind)
        if answer.kind in USABLE:
            self._answered.answered(task.id)
            others = Others()
        else:
            others = await self._others(task, answer)
        self._troubles.record_answer(task, answer, others)
        await self._update_pause(task, answer, polled_at)
        return judge(task, answer, self._clock(), self._rules, others)

    async def _others(self, task: TrackedTask, answer: Answer) -> Others:
        """Return what the API says about other ids; the database is read only where it matters."""
        if answer.kind in (AnswerKind.SILENCE, AnswerKind.THROTTLED):
            return Others()
        is_404 = answer.kind is AnswerKind.NOT_FOUND
        others = self._answered.others(task.id, is_404=is_404)
        if task.known and (is_404 or answer.kind is AnswerKind.UNKNOWN_ID):
            is_unknown = await self._queue.is_other_known_id_unknown(task.id)
            return replace(others, known_id_is_unknown=is_unknown)
        return others

    async def _update_pause(self, task: TrackedTask, answer: Answer, polled_at: int) -> None:
        """Begin, prolong or end the API pause."""
        match answer.kind:
            case AnswerKind.KEY_REFUSED:
                await self._pause.refuse_key(task, polled_at)
            case AnswerKind.THROTTLED:
                await self._pause.throttle(task.id, polled_at, answer.retry_after)
                self._count_throttling()
            case AnswerKind.UNKNOWN_ID if self._pause.state is not None:
                await self._pause.accept(task.id)
            case kind if kind in USABLE:
                await self._pause.accept(task.id)

    def _count_throttling(self) -> None:
        """Count the pause once, although many polls in flight may be throttled."""
        state = self._pause.state
        if state is None or state.reason is not PauseReason.THROTTLED:
            return  # a single throttled id makes no pause; a refused key is no throttling
        pause = state.until - max(self._throttled_until, self._clock())
        self._throttled_until = max(self._throttled_until, state.until)
        self._metrics.waited(WaitReason.VIDEO_API, pause / SECOND)

    def _log_and_wake(self, outcomes: Sequence[PollOutcome]) -> None:
        """Log what changed, and wake the loops that post and edit."""
        changes = [outcome for outcome in outcomes if self._is_change(outcome)]
        for outcome in changes:
            verdict = outcome.verdict
            log_about("poll", outcome.task)
            if isinstance(verdict, Final):
                self._answered.forget(outcome.task.id)
                why = f" ({verdict.cause})" if verdict.cause else ""
                logger.info("%s is %s%s", outcome.task.id, verdict.state, why)
            else:
                status = verdict.task.doubt or verdict.task.api_status
                logger.info("%s is %s", outcome.task.id, status or "not answered")
        if changes:
            self._on_change()

    def _is_change(self, outcome: PollOutcome) -> bool:
        verdict = outcome.verdict
        return not isinstance(verdict, StillWaiting) or changes_card(outcome.task, verdict.task)

    async def quarantine(self, lease: int, work: TrackedTask, reason: str) -> None:
        """Keep a task back for five minutes, because our own bug stopped it."""
        due_at = self._clock() + _QUARANTINE_TIME
        await self._queue.postpone(work.id, lease, due_at, quarantine_reason=reason)


class _TroubleLog:
    """Logs trouble with the API: a line when it begins, one when it lasts, one when it ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_silent = False
        self._unreadable: tuple[str, int, bool] | None = None

    def record_answer(self, task: TrackedTask, answer: Answer, others: Others) -> None:
        """Log what one answer changes."""
        if answer.kind in USABLE:
            self._end_trouble()
            return
        logger.info("no status of %s: %s (%s)", task.id, answer.kind, answer.where)
        if answer.kind is AnswerKind.UNKNOWN_ID or task.doubt is Doubt.REFUSED:
            return  # trouble with this id alone
        if others.answered_since_last_poll or others.answered_since_first_404:
            return  # trouble with this id alone
        if not self._is_silent:
            self._is_silent = True
            logger.warning(
                "the video API gives no usable answer (%s)%s; polling goes on, nothing is lost",
                answer.where,
                _advice(answer.kind),
            )
        self._log_unreadable(answer)

    def _end_trouble(self) -> None:
        if self._is_silent:
            self._is_silent = False
            logger.info("the video API answers again")
        self._unreadable = None

    def _log_unreadable(self, answer: Answer) -> None:
        reply, now = _VARIABLE_PART.sub("#", answer.where), self._clock()
        if self._unreadable is None or self._unreadable[0] != reply:
            self._unreadable = (reply, now, False)
            return
        _, since, logged = self._unreadable
        if not logged and now - since >= _UNREADABLE_FOR:
            self._unreadable = (reply, since, True)
            logger.error(
                "for an hour the video API has given nothing but this reply: %s%s",
                answer.where,
                _advice(answer.kind),
            )


def _advice(kind: AnswerKind) -> str:
    return ": perhaps VEO_API_URL is wrong" if kind is AnswerKind.NOT_FOUND else ""
