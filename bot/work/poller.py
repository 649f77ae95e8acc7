"""Asks the video API about each due task, and records what that means."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bot.core.answers import Answer, Completed, Doubt, Doubtful, Failed, Waiting
from bot.core.budget import RateBudget
from bot.core.clock import MINUTE, SECOND, Clock
from bot.core.errors import KeyRefused, TryLater, VideoApiThrottled
from bot.core.log_fields import log_about
from bot.core.meter import UNMETERED, Limiter, Meter, PollAnswer
from bot.core.tasks import Claim, TrackedTask
from bot.core.trouble import TroubleKind
from bot.core.verdicts import (
    Final,
    PollOutcome,
    PollRules,
    StillWaiting,
    Verdict,
    judge,
    judge_silence,
)
from bot.work.pacing import ApiGate

logger = logging.getLogger(__name__)
_SET_ASIDE = 5 * MINUTE
_DOUBTS = {Doubt.UNKNOWN_ID: PollAnswer.UNKNOWN_ID, Doubt.NO_VIDEO: PollAnswer.NO_VIDEO}
_NOTHING: Claim[TrackedTask] = Claim(0, ())


class VideoApi(Protocol):
    """The API as the poller sees it."""

    async def ask(self, task_id: str) -> Answer:
        """Raises VideoApiUnavailable, VideoApiThrottled, KeyRefused."""
        ...


class Tasks(Protocol):
    """The task queue of the store."""

    async def claim(self, limit: int, now: int) -> Claim[TrackedTask]: ...
    async def record(self, outcomes: Sequence[PollOutcome], now: int) -> int: ...
    async def postpone(
        self, task_id: str, lease: int, due_at: int, *, set_aside: str | None = None
    ) -> bool: ...
    async def next_due(self) -> int | None: ...
    async def renew(self, leases: Iterable[int], now: int) -> None: ...


class Poller:
    """A Source for the durable loop. `on_change` is called when something must be posted or redrawn."""

    name = "poller"

    def __init__(
        self,
        *,
        api: VideoApi,
        tasks: Tasks,
        gate: ApiGate,
        budget: RateBudget,
        rules: PollRules,
        clock: Clock,
        on_change: Callable[[], None],
        meter: Meter = UNMETERED,
    ) -> None:
        self._api = api
        self._tasks = tasks
        self._gate = gate
        self._budget = budget
        self._rules = rules
        self._clock = clock
        self._meter = meter
        self._outcomes = OutcomeRecorder(tasks, clock, on_change)
        self._asking = 0
        self._silent = False
        self._throttled_until = 0

    async def claim(self, room: int) -> Claim[TrackedTask]:
        now = self._clock()
        if now < self._gate.closed_until:
            return _NOTHING
        room = min(room, self._budget.available())
        if self._gate.trouble:
            # One task asks for all, until it has an answer.
            room = 0 if self._asking else min(room, 1)
        if room < 1:
            return _NOTHING
        claim = await self._tasks.claim(room, now)
        self._budget.spend(len(claim.work))
        self._asking += len(claim.work)
        return claim

    async def next_due(self) -> int | None:
        due = await self._tasks.next_due()
        return None if due is None else max(due, self._gate.closed_until, self._budget.ready_at())

    async def renew(self, leases: Iterable[int]) -> None:
        await self._tasks.renew(leases, self._clock())

    async def handle(self, lease: int, work: TrackedTask) -> None:
        log_about("poll", work)
        asked_at = self._clock()
        try:
            verdict = await self._ask(work, asked_at)
        finally:
            self._asking -= 1
        await self._outcomes.record(PollOutcome(work, lease, asked_at, verdict))

    async def _ask(self, task: TrackedTask, asked_at: int) -> Verdict:
        try:
            answer = await self._api.ask(task.id)
        except KeyRefused:
            self._meter.polled(PollAnswer.KEY_REFUSED)
            await self._gate.refuse_key()
            return self._wait_for_the_gate(task, asked_at)
        except VideoApiThrottled as error:
            self._meter.polled(PollAnswer.THROTTLED)
            await self._gate.throttle(error.retry_after)
            self._note_pause()
            return self._wait_for_the_gate(task, asked_at)
        except TryLater as error:
            self._meter.polled(PollAnswer.NO_ANSWER)
            self._note_silence(task, error)
            return judge_silence(task, error, self._clock(), self._rules)
        self._meter.polled(_heard(answer))
        self._note_answer()
        await self._gate.answered(asked_at)
        return judge(task, answer, self._clock(), self._rules)

    def _note_silence(self, task: TrackedTask, error: TryLater) -> None:
        """A clear line for the operator when it begins, and details for whoever looks closer."""
        if not self._silent:
            self._silent = True
            logger.warning(
                "the video API gives no usable answer (%s); asking goes on, nothing is lost", error
            )
        logger.info("no answer about %s: %s", task.id, error)

    def _note_answer(self) -> None:
        if self._silent:
            self._silent = False
            logger.info("the video API answers again")

    def _note_pause(self) -> None:
        """Many questions may be told at once to slow down: the pause that they share counts once."""
        trouble = self._gate.trouble
        if trouble is None or trouble.kind is not TroubleKind.THROTTLED:
            return  # a refused key closes the gate for longer, and is not the API's haste
        pause = trouble.until - max(self._throttled_until, self._clock())
        self._throttled_until = max(self._throttled_until, trouble.until)
        self._meter.waited(Limiter.VIDEO_API, pause / SECOND)

    def _wait_for_the_gate(self, task: TrackedTask, asked_at: int) -> StillWaiting:
        """The trouble is not the task's: it costs neither an attempt nor its deadline.

        The gate alone keeps everybody waiting, so that a restart with a mended key asks at once.
        """
        due_at = asked_at + self._rules.interval
        return StillWaiting(None, due_at, attempt=task.attempt, doubts=task.doubts)

    async def set_aside(self, lease: int, work: TrackedTask, why: str) -> None:
        await self._tasks.postpone(work.id, lease, self._clock() + _SET_ASIDE, set_aside=why)


class OutcomeRecorder:
    """Writes outcomes that come in together in one transaction: a commit costs a disk's fsync.

    An outcome that comes alone is written at once; the others wait only for the transaction before theirs.
    """

    def __init__(self, tasks: Tasks, clock: Clock, on_change: Callable[[], None]) -> None:
        self._tasks = tasks
        self._clock = clock
        self._on_change = on_change
        self._waiting: list[tuple[PollOutcome, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, outcome: PollOutcome) -> None:
        """Returns once it is committed. Raises StorageUnavailable."""
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
            await self._tasks.record(outcomes, self._clock())
        except Exception as error:
            for _, committed in batch:
                if not committed.done():
                    committed.set_exception(error)
            return
        for _, committed in batch:
            if not committed.done():  # its job may have been cancelled meanwhile
                committed.set_result(None)
        self._tell(outcomes)

    def _tell(self, outcomes: list[PollOutcome]) -> None:
        news = [o for o in outcomes if _is_news(o)]
        for outcome in news:
            what = outcome.verdict.state if isinstance(outcome.verdict, Final) else outcome.verdict.word
            log_about("poll", outcome.task)
            logger.info("%s is %s", outcome.task.id, what)
        if news:
            self._on_change()


def _heard(answer: Answer) -> PollAnswer:
    match answer:
        case Waiting():
            return PollAnswer.WAITING
        case Completed():
            return PollAnswer.COMPLETED
        case Failed():
            return PollAnswer.FAILED
        case Doubtful(doubt):
            return _DOUBTS[doubt]


def _is_news(outcome: PollOutcome) -> bool:
    verdict = outcome.verdict
    return isinstance(verdict, Final) or verdict.word not in (None, outcome.task.word)
