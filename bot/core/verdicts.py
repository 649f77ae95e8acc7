"""Decides what an answer of the video API means for a task: the table "What ends a task", without I/O.

A decision needs only the task's row: what the API said about this id, how many times in a row, and for how
much polled time. Polled time is a sum of the time between polls, so that stops, restarts and wrong clocks do
not count: each poll adds the time since the last one, at least 0 and at most twice the pause that was
planned.
"""

from dataclasses import dataclass, replace

from bot.core.answers import USABLE, Answer, AnswerKind
from bot.core.backoff import MAX_POLL_DELAY, max_poll_pause, poll_delay, retry_delay
from bot.core.clock import DAY, SECOND
from bot.core.generation_time import generation_time
from bot.core.problems import Problem, ProblemCode
from bot.core.results import link_end
from bot.core.tasks import Doubt, TaskState, TrackedTask, Trouble

# Spans in intervals.
_NO_VIDEO_PATIENCE = 6
_NEW_ID_PATIENCE = 6
_KNOWN_ID_PATIENCE = 60
_REFUSED_ID_PATIENCE = 60
TROUBLE_SHOWN_AFTER = 10
# Answers in a row.
_CONFIRMED = 2
_MIN_NO_VIDEO_ANSWERS = 3
_MIN_UNKNOWN_ANSWERS = 3
# Added to TASK_DEADLINE: how long an API may be away before its tasks are given up.
_SILENCE_BEYOND_DEADLINE = DAY


@dataclass(frozen=True, slots=True)
class Others:
    """What the API says about other ids, to tell trouble with one id from trouble with the API."""

    answered_since_last_poll: bool = False  # another id, since the last poll of this one
    answered_since_first_404: bool = False  # another id, since the first 404 about this one
    known_id_is_unknown: bool = False  # another id that the API knew before


@dataclass(frozen=True, slots=True)
class PollRules:
    """`interval` and `deadline` in milliseconds: POLL_INTERVAL and TASK_DEADLINE."""

    interval: int
    deadline: int


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """Poll again at `task.due_at`; `task` is the row as it is to be stored."""

    task: TrackedTask


@dataclass(frozen=True, slots=True)
class Final:
    """The task has ended; its deliveries become due. `reason` is the API's text, `cause` our own."""

    state: TaskState
    reason: str | None = None
    cause: Problem | None = None
    video_url: str | None = None
    seconds: float | None = None
    model: str | None = None
    created: int | None = None
    link_ends_at: int | None = None
    took: int | None = None  # as in TrackedTask


Verdict = StillWaiting | Final


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """The verdict of one poll of a task that was claimed under `lease` and polled at `polled_at`."""

    task: TrackedTask
    lease: int
    polled_at: int
    verdict: Verdict


def judge(task: TrackedTask, answer: Answer, now: int, rules: PollRules, others: Others) -> Verdict:
    """Decide what `answer` to the poll at `task.polled_at`, received at `now`, means for `task`."""
    return _Judgement(task, answer, now, rules, others).verdict()


class _Judgement:
    """Decides about one answer. Each method is one row of the table, in the table's order."""

    def __init__(self, task: TrackedTask, answer: Answer, now: int, rules: PollRules, others: Others) -> None:
        self._task = task
        self._answer = answer
        self._now = now
        self._rules = rules
        self._others = others
        self._elapsed = _polled_time(task)

    def verdict(self) -> Verdict:
        verdict = self._by_kind()
        if isinstance(verdict, StillWaiting) and verdict.task.answered_time >= self._max_time():
            # The answers contradict each other for ever.
            return self._final(TaskState.LOST, self._past_deadline())
        return verdict

    def _by_kind(self) -> Verdict:
        match self._answer.kind:
            case AnswerKind.COMPLETED:
                return self._completed()
            case AnswerKind.FAILED:
                return self._failed()
            case AnswerKind.NO_VIDEO:
                return self._no_video()
            case AnswerKind.PROBABLY_COMPLETED:
                return self._confirm(Doubt.COMPLETED, self._completed())
            case AnswerKind.PROBABLY_FAILED:
                return self._confirm(Doubt.FAILED, self._failed())
            case AnswerKind.WAITING:
                return self._waiting()
            case AnswerKind.UNKNOWN_ID:
                return self._unknown_id()
            case AnswerKind.NOT_FOUND:
                return self._not_found()
            case AnswerKind.KEY_REFUSED | AnswerKind.ERROR:
                return self._refused_id()
            case AnswerKind.THROTTLED | AnswerKind.SILENCE:
                return self._unusable()

    # -- a final status of the polled id ---------------------------------------------------------

    def _completed(self) -> Final:
        answer, task = self._answer, self._task
        created = answer.created or task.created
        return Final(
            TaskState.COMPLETED,
            video_url=answer.video_url,
            seconds=answer.seconds,
            model=answer.model or task.model,
            created=created,
            link_ends_at=link_end(answer.video_url or "", created, task.registered_at, self._now),
            took=self._took(),
        )

    def _failed(self) -> Final:
        return replace(self._final(TaskState.FAILED, None, self._answer.words), took=self._took())

    def _took(self) -> int | None:
        """How long the API took, if the last poll before this one gave a usable answer."""
        task = self._task
        return generation_time(
            self._answer.created or task.created,
            last_waiting_at=task.judged_at if task.attempt == 0 else None,
            ended_at=task.polled_at or self._now,
            interval=self._rules.interval,
        )

    def _no_video(self) -> Verdict:
        count, time = self._repeated(Doubt.NO_VIDEO)
        if count >= _MIN_NO_VIDEO_ANSWERS and time >= self._intervals(_NO_VIDEO_PATIENCE):
            return self._final(TaskState.FAILED, Problem(ProblemCode.NO_VIDEO))
        return self._wait_in_doubt(Doubt.NO_VIDEO, count, time)

    def _confirm(self, doubt: Doubt, final: Final) -> Verdict:
        """Believe an answer when a second one, an interval later, agrees."""
        count, time = self._repeated(doubt)
        return final if count >= _CONFIRMED else self._wait_in_doubt(doubt, count, time)

    # -- not finished ----------------------------------------------------------------------------

    def _waiting(self) -> Verdict:
        answered_time = self._task.answered_time + self._elapsed
        if answered_time <= self._rules.deadline:
            delay = poll_delay(answered_time, self._rules.interval)
            return StillWaiting(replace(self._answered(delay), doubt=None, doubt_count=0, doubt_time=0))
        return self._confirm(Doubt.PAST_DEADLINE, self._final(TaskState.LOST, self._past_deadline()))

    def _past_deadline(self) -> Problem:
        status = self._answer.api_status or self._task.api_status or ""
        return Problem(ProblemCode.PAST_DEADLINE, {"deadline": self._rules.deadline, "api_status": status})

    # -- the API does not know the id ------------------------------------------------------------

    def _unknown_id(self) -> Verdict:
        if self._task.known:
            return self._forgotten_id()
        count, time = self._repeated(Doubt.UNKNOWN_ID)
        if count >= _MIN_UNKNOWN_ANSWERS and time >= self._intervals(_NEW_ID_PATIENCE):
            return self._final(TaskState.LOST, Problem(ProblemCode.UNKNOWN_ID))
        return self._wait_in_doubt(Doubt.UNKNOWN_ID, count, time)

    def _forgotten_id(self) -> Verdict:
        """Count the answer, unless another known id is unknown as well and none has been answered since."""
        if self._others.known_id_is_unknown and not self._others.answered_since_last_poll:
            return self._unusable(Doubt.UNKNOWN_ID, delay=self._rules.interval)
        count, time = self._repeated(Doubt.UNKNOWN_ID)
        if time >= self._intervals(_KNOWN_ID_PATIENCE):
            return self._final(TaskState.LOST, Problem(ProblemCode.FORGOTTEN_ID))
        return self._wait_in_doubt(Doubt.UNKNOWN_ID, count, time)

    def _not_found(self) -> Verdict:
        """Take a bare 404 as "unknown id" only if another id has been answered since the first 404."""
        if self._others.answered_since_first_404:
            return self._unknown_id()
        return self._unusable(Doubt.NOT_FOUND, delay=self._rules.interval)

    # -- trouble with this id, or with the API ---------------------------------------------------

    def _refused_id(self) -> Verdict:
        """Count an error as this id's own trouble only if another id was answered since its last poll."""
        if not self._others.answered_since_last_poll:
            return self._unusable()
        count, time = self._repeated(Doubt.REFUSED)
        if time >= self._intervals(_REFUSED_ID_PATIENCE):
            words = self._answer.words or self._task.words
            return self._final(TaskState.LOST, Problem(ProblemCode.REFUSED_ID), words)
        refused = self._with_doubt(Doubt.REFUSED, count, time, self._retry_delay())
        trouble = Trouble.REFUSED if time >= self._intervals(TROUBLE_SHOWN_AFTER) else None
        return StillWaiting(replace(refused, attempt=self._task.attempt + 1, trouble=trouble))

    def _unusable(self, doubt: Doubt | None = None, *, delay: int | None = None) -> Verdict:
        """Count only the silence, because the answer is of no use. `doubt` is shown if the task has none."""
        task, silent_time = self._task, self._task.silent_time + self._elapsed
        if silent_time >= self._max_time():
            return self._final(TaskState.LOST, Problem(ProblemCode.NO_ANSWER, {"silence": self._max_time()}))
        waiting = self._planned(self._retry_delay() if delay is None else delay)
        trouble = Trouble.SILENCE if silent_time >= self._intervals(TROUBLE_SHOWN_AFTER) else task.trouble
        waiting = replace(waiting, attempt=task.attempt + 1, silent_time=silent_time, trouble=trouble)
        return StillWaiting(waiting if task.doubt or doubt is None else replace(waiting, doubt=doubt))

    # -- the row that is stored ------------------------------------------------------------------

    def _repeated(self, doubt: Doubt) -> tuple[int, int]:
        """Return the number of such answers in a row, this one included, and the polled time over them."""
        if self._task.doubt is doubt and self._task.doubt_count > 0:
            return self._task.doubt_count + 1, self._task.doubt_time + self._elapsed
        return 1, 0

    def _wait_in_doubt(self, doubt: Doubt, count: int, time: int) -> StillWaiting:
        return StillWaiting(self._with_doubt(doubt, count, time, self._rules.interval))

    def _with_doubt(self, doubt: Doubt, count: int, time: int, delay: int) -> TrackedTask:
        return replace(
            self._answered(delay),
            doubt=doubt,
            doubt_count=count,
            doubt_time=time,
            words=self._answer.words,
        )

    def _answered(self, delay: int) -> TrackedTask:
        """Return the row after an answer about the task: the silence is over, and `answered_time` grows."""
        answer, task = self._answer, self._task
        is_new_status = answer.api_status not in (None, task.api_status)
        return replace(
            self._planned(delay),
            known=task.known or answer.kind in USABLE,
            api_status=answer.api_status or task.api_status,
            api_status_since=self._now if is_new_status else task.api_status_since,
            model=answer.model or task.model,
            created=answer.created or task.created,
            answered_time=task.answered_time + self._elapsed,
            silent_time=0,
            attempt=0,
            words=None,
            trouble=None,
        )

    def _planned(self, delay: int) -> TrackedTask:
        """Return the row with the next poll after `delay` ms, at most MAX_PAUSE."""
        delay = min(delay, max_poll_pause(self._rules.interval))
        polled_at = self._task.polled_at or self._now
        return replace(self._task, judged_at=polled_at, due_at=self._now + delay, planned_delay=delay)

    def _max_time(self) -> int:
        return self._rules.deadline + _SILENCE_BEYOND_DEADLINE

    def _intervals(self, count: int) -> int:
        return count * self._rules.interval

    def _retry_delay(self) -> int:
        interval = self._rules.interval
        if self._answer.kind is AnswerKind.THROTTLED:
            return max(interval, int((self._answer.retry_after or 0) * SECOND))
        return retry_delay(
            self._task.attempt + 1,
            base=interval,
            cap=max(MAX_POLL_DELAY, interval),
            retry_after=self._answer.retry_after,
        )

    def _final(self, state: TaskState, cause: Problem | None, reason: str | None = None) -> Final:
        answer, task = self._answer, self._task
        return Final(
            state,
            reason=reason,
            cause=cause,
            model=answer.model or task.model,
            created=answer.created or task.created,
        )


def _polled_time(task: TrackedTask) -> int:
    """Return what this poll adds to the sums of its task, in milliseconds."""
    if task.judged_at is None or task.polled_at is None:
        return 0
    return min(max(task.polled_at - task.judged_at, 0), 2 * task.planned_delay)


def changes_card(before: TrackedTask, after: TrackedTask) -> bool:
    """Whether a poll changed something that a card shows."""
    return _card_fields(before) != _card_fields(after)


def _card_fields(task: TrackedTask) -> tuple[object, ...]:
    doubt = None if task.doubt is Doubt.REFUSED else task.doubt
    words = task.words if task.trouble else None
    return task.api_status, doubt, task.trouble, words, task.model
