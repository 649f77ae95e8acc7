"""What an answer of the video API, or its silence, means for a task: pure decisions."""

from dataclasses import dataclass

from bot.core.answers import Answer, Completed, Doubt, Doubtful, Failed, Waiting
from bot.core.backoff import SLOWEST_POLL, poll_delay, retry_delay
from bot.core.clock import HOUR, MINUTE
from bot.core.errors import TryLater
from bot.core.tasks import TaskState, TrackedTask

# A first question may come before the API has written the id down, and its relays answer 404 now and then;
# an id that it once knew deserves more patience than a typing mistake.
_DOUBTS_FOR_A_STRANGER = 2
_DOUBTS_FOR_A_KNOWN_TASK = 5

_DOUBT_WORDS = {
    Doubt.UNKNOWN_ID: "unknown id",
    Doubt.NO_VIDEO: "completed, but without a video",
}


@dataclass(frozen=True, slots=True)
class PollRules:
    """`interval` and `deadline` in milliseconds: POLL_INTERVAL and TASK_DEADLINE."""

    interval: int
    deadline: int


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """Ask again at `due_at`. `word` is what the API said; None keeps the last one."""

    word: str | None
    due_at: int
    attempt: int = 0
    doubts: int = 0


@dataclass(frozen=True, slots=True)
class Final:
    """The task has ended; its deliveries become due."""

    state: TaskState
    reason: str | None = None
    video_url: str | None = None
    seconds: float | None = None


Verdict = StillWaiting | Final


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """A verdict on a task that was claimed under `lease` and asked about at `asked_at`."""

    task: TrackedTask
    lease: int
    asked_at: int
    verdict: Verdict


def judge(task: TrackedTask, answer: Answer, now: int, rules: PollRules) -> Verdict:
    """What `answer`, given at `now`, means for `task`."""
    match answer:
        case Completed(video_url, seconds):
            return Final(TaskState.COMPLETED, video_url=video_url, seconds=seconds)
        case Failed(reason):
            return Final(TaskState.FAILED, reason=reason)
        case Doubtful(doubt):
            return _judge_doubt(task, doubt, now, rules)
        case Waiting(word):
            age = now - task.registered_at
            if age > rules.deadline:
                return _too_late(rules, f"the API still says “{word}”")
            return StillWaiting(word, due_at=now + poll_delay(age, rules.interval))


def judge_silence(task: TrackedTask, error: TryLater, now: int, rules: PollRules) -> Verdict:
    """What a question without a usable answer means: later, unless the deadline has passed."""
    if now - task.registered_at > rules.deadline:
        return _too_late(rules, "the API gives no usable answer")
    attempt = task.attempt + 1
    delay = retry_delay(
        attempt,
        first=rules.interval,
        most=max(SLOWEST_POLL, rules.interval),
        asked_for=error.retry_after,
    )
    return StillWaiting(None, due_at=now + delay, attempt=attempt, doubts=task.doubts)


def _judge_doubt(task: TrackedTask, doubt: Doubt, now: int, rules: PollRules) -> Verdict:
    doubts = task.doubts + 1
    known = task.word is not None and task.word not in _DOUBT_WORDS.values()
    if doubts >= (_DOUBTS_FOR_A_KNOWN_TASK if known or doubt is Doubt.NO_VIDEO else _DOUBTS_FOR_A_STRANGER):
        return _confirmed(doubt, known=known)
    # A known task keeps its word, so that it stays known; a stranger's card shows the doubt.
    word = None if known else _DOUBT_WORDS[doubt]
    return StillWaiting(word, due_at=now + rules.interval, doubts=doubts)


def _confirmed(doubt: Doubt, *, known: bool) -> Final:
    if doubt is Doubt.NO_VIDEO:
        return Final(TaskState.FAILED, reason="The video API says completed, but gives no video.")
    if known:
        return Final(TaskState.LOST, reason="The video API no longer knows this id.")
    return Final(TaskState.LOST, reason="The video API does not know this id. Is it complete?")


def _too_late(rules: PollRules, what: str) -> Final:
    return Final(TaskState.LOST, reason=f"No result within {_duration(rules.deadline)}; {what}.")


def _duration(milliseconds: int) -> str:
    if milliseconds >= HOUR:
        return f"{milliseconds / HOUR:g} hours"
    if milliseconds >= MINUTE:
        return f"{milliseconds / MINUTE:g} minutes"
    return f"{milliseconds / 1000:g} seconds"
