"""What an answer of the video API, or no answer, means for a task. Pure decisions."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from bot.core.backoff import MAX_POLL_DELAY, poll_delay, retry_delay
from bot.core.clock import HOUR, MINUTE
from bot.core.errors import TryLater
from bot.core.tasks import TaskState, TrackedTask

# The first poll may come before the API has stored the id, and relays in front of it answer 404 now and then.
# An id that the API knew before gets more patience than a typing mistake.
_DOUBTS_FOR_NEW_TASK = 2
_DOUBTS_FOR_KNOWN_TASK = 5


# -- what the API answered -----------------------------------------------------------------------


class Doubt(StrEnum):
    """An answer that would end a task, but is wrong too often to be believed the first time."""

    UNKNOWN_ID = "unknown id"
    NO_VIDEO = "completed without a video"


_DOUBT_STATUS = {
    Doubt.UNKNOWN_ID: "unknown id",
    Doubt.NO_VIDEO: "completed, but without a video",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not finished. `api_status` is the API's own status, lower case, at most 40 characters."""

    api_status: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Finished with an http(s) link. `seconds` is the clip's length, if the API gave it."""

    video_url: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Finished without a video. `reason` is the API's text, not yet made safe for a chat."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An answer that must be confirmed by another poll."""

    doubt: Doubt


Answer = Waiting | Completed | Failed | Doubtful


# -- what it means for the task ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PollRules:
    """`interval` and `deadline` in milliseconds: POLL_INTERVAL and TASK_DEADLINE."""

    interval: int
    deadline: int


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """Poll again at `due_at`. `api_status` None keeps the status that is stored."""

    api_status: str | None
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
    """The verdict of one poll of a task that was claimed under `lease` and polled at `polled_at`."""

    task: TrackedTask
    lease: int
    polled_at: int
    verdict: Verdict


def judge(task: TrackedTask, answer: Answer, now: int, rules: PollRules) -> Verdict:
    """Decide what `answer`, received at `now`, means for `task`."""
    match answer:
        case Completed(video_url, seconds):
            return Final(TaskState.COMPLETED, video_url=video_url, seconds=seconds)
        case Failed(reason):
            return Final(TaskState.FAILED, reason=reason)
        case Doubtful(doubt):
            return _judge_doubt(task, doubt, now, rules)
        case Waiting(api_status):
            age = now - task.registered_at
            if age > rules.deadline:
                return _past_deadline(rules, f"the API still says “{api_status}”")
            return StillWaiting(api_status, due_at=now + poll_delay(age, rules.interval))


def judge_silence(task: TrackedTask, error: TryLater, now: int, rules: PollRules) -> Verdict:
    """Decide what a poll without a usable answer means: poll later, unless the deadline has passed."""
    if now - task.registered_at > rules.deadline:
        return _past_deadline(rules, "the API gives no usable answer")
    attempt = task.attempt + 1
    delay = retry_delay(
        attempt,
        base=rules.interval,
        cap=max(MAX_POLL_DELAY, rules.interval),
        retry_after=error.retry_after,
    )
    return StillWaiting(None, due_at=now + delay, attempt=attempt, doubts=task.doubts)


def _judge_doubt(task: TrackedTask, doubt: Doubt, now: int, rules: PollRules) -> Verdict:
    doubts = task.doubts + 1
    known = task.api_status is not None and task.api_status not in _DOUBT_STATUS.values()
    if doubts >= (_DOUBTS_FOR_KNOWN_TASK if known or doubt is Doubt.NO_VIDEO else _DOUBTS_FOR_NEW_TASK):
        return _confirmed(doubt, known=known)
    # A known task keeps its status, so that it stays known. The card of a new task shows the doubt.
    api_status = None if known else _DOUBT_STATUS[doubt]
    return StillWaiting(api_status, due_at=now + rules.interval, doubts=doubts)


def _confirmed(doubt: Doubt, *, known: bool) -> Final:
    if doubt is Doubt.NO_VIDEO:
        return Final(TaskState.FAILED, reason="The video API says completed, but gives no video.")
    if known:
        return Final(TaskState.LOST, reason="The video API no longer knows this id.")
    return Final(TaskState.LOST, reason="The video API does not know this id. Is it complete?")


def _past_deadline(rules: PollRules, what: str) -> Final:
    return Final(TaskState.LOST, reason=f"No result within {_duration(rules.deadline)}; {what}.")


def _duration(milliseconds: int) -> str:
    if milliseconds >= HOUR:
        return f"{milliseconds / HOUR:g} hours"
    if milliseconds >= MINUTE:
        return f"{milliseconds / MINUTE:g} minutes"
    return f"{milliseconds / 1000:g} seconds"


# -- why no task is polled at the moment ---------------------------------------------------------


class PauseReason(StrEnum):
    """What the video API has against this bot, not against one task."""

    KEY_REFUSED = "key refused"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class PauseState:
    """No task is polled before `until`. The reason has lasted since `since` (UTC milliseconds)."""

    reason: PauseReason
    since: int
    until: int

    def to_text(self) -> str:
        """For the database: the name `kind` is that of version 0.1.0."""
        values = asdict(self)
        return json.dumps({"kind": values.pop("reason"), **values})

    @classmethod
    def from_text(cls, text: str) -> "PauseState":
        value = json.loads(text)
        return cls(PauseReason(value["kind"]), int(value["since"]), int(value["until"]))
