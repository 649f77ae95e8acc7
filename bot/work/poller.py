"""Polls the video API about each due task, and records what the answer means."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bot.core.clock import MINUTE, SECOND, Clock
from bot.core.errors import KeyRefused, TryLater, VideoApiThrottled
from bot.core.log_fields import log_about
from bot.core.rate_limit import RateLimiter
from bot.core.tasks import Claim, TrackedTask
from bot.core.verdicts import (
    Answer,
    Completed,
    Doubt,
    Doubtful,
    Failed,
    Final,
    PauseReason,
    PollOutcome,
    PollRules,
    StillWaiting,
    Verdict,
    Waiting,
    judge,
    judge_silence,
)
from bot.metrics import Metrics, PollAnswer, WaitReason
from bot.storage.task_queue import OutcomeRecorder, TaskQueue
from bot.work.api_pause import ApiPause

logger = logging.getLogger(__name__)
_QUARANTINE_TIME = 5 * MINUTE
_DOUBTS = {Doubt.UNKNOWN_ID: PollAnswer.UNKNOWN_ID, Doubt.NO_VIDEO: PollAnswer.NO_VIDEO}
_NOTHING: Claim[TrackedTask] = Claim(0, ())


class VideoApi(Protocol):
    """The API as the poller sees it."""

    async def poll(self, task_id: str) -> Answer:
        """Raises VideoApiUnavailable, VideoApiThrottled, KeyRefused."""
        ...


class Poller:
    """The handler of the poll loop, and its queue: due tasks as far as the API pause and the rate allow.

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
        self._recorder = OutcomeRecorder(queue, clock, self._announce)
        self._in_flight = 0
        self._api_is_silent = False
        self._throttled_until = 0

    async def claim(self, limit: int, now: int) -> Claim[TrackedTask]:
        """Up to `limit` due tasks; after a pause one at a time, until there is an answer."""
        if now < self._pause.ends_at:
            return _NOTHING
        limit = min(limit, self._limiter.available())
        if self._pause.state:
            limit = 0 if self._in_flight else min(limit, 1)
        if limit < 1:
            return _NOTHING
        claim = await self._queue.claim(limit, now)
        self._limiter.spend(len(claim.work))
        self._in_flight += len(claim.work)
        return claim

    async def next_due(self) -> int | None:
        """When the next task may be polled."""
        due = await self._queue.next_due()
        return None if due is None else max(due, self._pause.ends_at, self._limiter.ready_at())

    async def renew(self, leases: Iterable[int], now: int) -> None:
        """Keep tasks whose poll takes longer than a lease."""
        await self._queue.renew(leases, now)

    async def handle(self, lease: int, work: TrackedTask) -> None:
        """Poll one task and record the outcome."""
        log_about("poll", work)
        polled_at = self._clock()
        try:
            verdict = await self._poll(work, polled_at)
        finally:
            self._in_flight -= 1
        await self._recorder.record(PollOutcome(work, lease, polled_at, verdict))

    async def _poll(self, task: TrackedTask, polled_at: int) -> Verdict:
        try:
            answer = await self._api.poll(task.id)
        except KeyRefused:
            self._metrics.polled(PollAnswer.KEY_REFUSED)
            await self._pause.pause_for_key()
            return self._wait_for_pause(task, polled_at)
        except VideoApiThrottled as error:
            self._metrics.polled(PollAnswer.THROTTLED)
            await self._pause.throttle(error.retry_after)
            self._count_throttling()
            return self._wait_for_pause(task, polled_at)
        except TryLater as error:
            self._metrics.polled(PollAnswer.NO_ANSWER)
            self._log_silence(task, error)
            return judge_silence(task, error, self._clock(), self._rules)
        self._metrics.polled(_poll_answer(answer))
        self._log_answer()
        await self._pause.end_if_answered(polled_at)
        return judge(task, answer, self._clock(), self._rules)

    def _log_silence(self, task: TrackedTask, error: TryLater) -> None:
        """One clear line for the operator when it begins, and details at INFO."""
        if not self._api_is_silent:
            self._api_is_silent = True
            logger.warning(
                "the video API gives no usable answer (%s); polling goes on, nothing is lost", error
            )
        logger.info("no answer about %s: %s", task.id, error)

    def _log_answer(self) -> None:
        if self._api_is_silent:
            self._api_is_silent = False
            logger.info("the video API answers again")

    def _count_throttling(self) -> None:
        """Count the pause once, although many polls in flight may be throttled."""
        state = self._pause.state
        if state is None or state.reason is not PauseReason.THROTTLED:
            return  # a refused key pauses for longer, and is no throttling
        pause = state.until - max(self._throttled_until, self._clock())
        self._throttled_until = max(self._throttled_until, state.until)
        self._metrics.waited(WaitReason.VIDEO_API, pause / SECOND)

    def _wait_for_pause(self, task: TrackedTask, polled_at: int) -> StillWaiting:
        """The pause is not the task's fault: it counts neither as an attempt nor towards its deadline.

        Only the pause delays all tasks, so that a restart with a mended key polls at once.
        """
        due_at = polled_at + self._rules.interval
        return StillWaiting(None, due_at, attempt=task.attempt, doubts=task.doubts)

    def _announce(self, outcomes: Sequence[PollOutcome]) -> None:
        """Log what changed, and wake the loops that post and edit."""
        changes = [outcome for outcome in outcomes if _is_change(outcome)]
        for outcome in changes:
            verdict = outcome.verdict
            log_about("poll", outcome.task)
            status = verdict.state if isinstance(verdict, Final) else verdict.api_status
            logger.info("%s is %s", outcome.task.id, status)
        if changes:
            self._on_change()

    async def quarantine(self, lease: int, work: TrackedTask, reason: str) -> None:
        """Keep a task back for five minutes, because our own bug stopped it."""
        due_at = self._clock() + _QUARANTINE_TIME
        await self._queue.postpone(work.id, lease, due_at, quarantine_reason=reason)


def _poll_answer(answer: Answer) -> PollAnswer:
    match answer:
        case Waiting():
            return PollAnswer.WAITING
        case Completed():
            return PollAnswer.COMPLETED
        case Failed():
            return PollAnswer.FAILED
        case Doubtful(doubt):
            return _DOUBTS[doubt]


def _is_change(outcome: PollOutcome) -> bool:
    verdict = outcome.verdict
    return isinstance(verdict, Final) or verdict.api_status not in (None, outcome.task.api_status)
