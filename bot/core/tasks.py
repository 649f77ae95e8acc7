"""Tasks, deliveries and cards, and the two state tables.

Every move of a state is in TASK_MOVES or DELIVERY_MOVES: the store builds its WHERE clauses from them,
so a move that is not here cannot happen. The diagram in README.md must change together with these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from bot.core.api_pause import PauseState
from bot.core.errors import IllegalMove
from bot.core.generation_time import UsualTime
from bot.core.language import Language

Work = TypeVar("Work")


class TaskState(StrEnum):
    """Our verdict on a task of the video API."""

    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"  # the API does not know the id, or the deadline passed


class DeliveryState(StrEnum):
    """What one channel is owed for one task."""

    OPEN = "open"  # the task is still waiting
    DUE = "due"  # the task is final; a result message is owed
    POSTED = "posted"  # Discord answered with a message id
    UNDELIVERABLE = "undeliverable"  # Discord does not let us post there
    CANCELLED = "cancelled"  # untracked


class Obstacle(StrEnum):
    """Why a result is undeliverable, by what must happen before it is tried again."""

    PERMISSION = "permission"
    MEMBERSHIP = "membership"  # the bot was removed, is no member of a private thread, or sees no channel
    THREAD = "thread"  # archived and locked
    FORM = "form"  # Discord refuses the message itself: only a person can request it again
    GONE = "gone"  # the channel was deleted


class Form(StrEnum):
    """The form in which a result is posted. When Discord refuses one form, the next is tried."""

    WHOLE = "whole"
    WITHOUT_FILE = "without_file"
    BARE = "bare"  # with the video, without text from outside


TASK_MOVES: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset(
        # waiting -> waiting: the API's status changed
        {TaskState.WAITING, TaskState.COMPLETED, TaskState.FAILED, TaskState.LOST}
    ),
    TaskState.COMPLETED: frozenset(),
    TaskState.FAILED: frozenset(),
    # Lost is our verdict, not the API's: tracking the id again polls it again.
    TaskState.LOST: frozenset({TaskState.WAITING}),
}

DELIVERY_MOVES: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.OPEN: frozenset({DeliveryState.DUE, DeliveryState.CANCELLED}),
    DeliveryState.DUE: frozenset(
        # due -> due: an attempt failed and another is planned
        {
            DeliveryState.DUE,
            DeliveryState.POSTED,
            DeliveryState.UNDELIVERABLE,
            DeliveryState.CANCELLED,
        }
    ),
    DeliveryState.POSTED: frozenset(),
    # Its obstacle is gone: for example, the bot was given a permission back.
    DeliveryState.UNDELIVERABLE: frozenset({DeliveryState.DUE}),
    DeliveryState.CANCELLED: frozenset(),
}


def may_become(target: TaskState | DeliveryState) -> list[str]:
    """Return the states from which `target` can be reached, for the WHERE clause of a state change.

    Raises IllegalMove when no state leads to `target`.
    """
    moves: Mapping[TaskState, frozenset[TaskState]] | Mapping[DeliveryState, frozenset[DeliveryState]]
    moves = TASK_MOVES if isinstance(target, TaskState) else DELIVERY_MOVES
    sources = [str(source) for source, targets in moves.items() if target in targets]
    if not sources:
        raise IllegalMove(f"nothing becomes {target!r}")
    return sources


LIVE = (DeliveryState.OPEN, DeliveryState.DUE)


class Doubt(StrEnum):
    """What the API said about a waiting task and must confirm before it counts."""

    UNKNOWN_ID = "unknown_id"
    NOT_FOUND = "not_found"  # a bare 404, perhaps of a wrong address
    NO_VIDEO = "no_video"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"  # an error about this id alone
    PAST_DEADLINE = "past_deadline"


class Trouble(StrEnum):
    """A problem that has lasted long enough to be shown on a task's card."""

    SILENCE = "silence"  # no usable answer
    REFUSED = "refused"  # errors about this id alone


@dataclass(frozen=True, slots=True)
class TrackedTask:
    """One task of the video API; several channels may wait for it.

    Times are UTC milliseconds; `doubt_time`, `answered_time` and `silent_time` are polled time, in
    milliseconds (see verdicts.py).
    """

    id: str
    state: TaskState
    registered_at: int
    due_at: int | None  # when to poll next; None: final, or no channel waits for it
    polled_at: int | None = None  # when the API was last polled
    judged_at: int | None = None  # the last poll whose answer was recorded
    planned_delay: int = 0  # from that poll to the one that was planned then
    attempt: int = 0  # polls without a usable answer, in a row
    known: bool = False  # the API has given a status of it
    api_status: str | None = None  # the API's last status
    api_status_since: int | None = None  # when the API first gave that status
    doubt: Doubt | None = None
    doubt_count: int = 0  # answers in a row that say so; 0: shown, but not counted
    doubt_time: int = 0  # for how long they have said so
    answered_time: int = 0  # sum over all answers about this task; TASK_DEADLINE limits it
    silent_time: int = 0  # since the last usable answer
    words: str | None = None  # the API's text about the doubt; from outside
    trouble: Trouble | None = None
    finished_at: int | None = None
    cause: str | None = None  # why it has no video: a Problem as text, or a sentence of version 0.1.0
    reason: str | None = None  # the API's own text about that; from outside
    video_url: str | None = None
    link_ends_at: int | None = None  # when the link ends, by the earliest estimate
    seconds: float | None = None  # the clip's length
    model: str | None = None
    created: int | None = None  # when the API says that the task was created
    took: int | None = None  # ms from `created` to the poll that found it completed or failed, where known


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one channel is owed for one task. At most one is live (open or due) per task and channel."""

    id: int
    task_id: str
    guild_id: int
    channel_id: int
    requester_id: int
    note: str | None
    state: DeliveryState
    nonce: str  # fixed for this row: makes posting twice harmless
    card_id: int | None
    created_at: int
    due_at: int | None  # when to try next; None: nothing to do yet, or ended
    attempt: int  # attempts to post in a row that ended in a temporary failure
    first_sent_at: int | None  # when it was first sent to Discord
    message_id: int | None  # the result message
    ended_at: int | None  # set on a due delivery: it was undeliverable before
    last_error: str | None  # the latest problem: a Problem as text, or a sentence of version 0.1.0
    cancelled_by: int | None  # who untracked it
    posted_in: int | None = None  # the result message's channel, when it is another one (a thread's parent)
    is_preparing: bool = False  # its video is being downloaded or made smaller, so its channel is free
    download_since: int | None = None  # when its video was first tried
    download_attempt: int = 0  # interrupted downloads in a row
    download_tries: int = 0  # refusals of the present link
    fresh_links: int = 0  # how often the API was polled for another link
    run: int | None = None  # the run of the process that registered it
    passing_since: int | None = None  # since when each answer of Discord was a temporary failure
    odd_attempt: int = 0  # odd answers of Discord in a row
    quarantines: int = 0  # how often our own bug stopped it
    form: Form | None = None  # the form that Discord has not refused so far; None: WHOLE
    form_problem: str | None = None  # why that form has no video: a Problem as text
    read_newest: int | None = None  # what a look-up has read of the channel without finding it: from this
    read_oldest: int | None = None  # message to this one
    obstacle: Obstacle | None = None  # why it is refused; set before the requester is notified
    obstacle_rights: int | None = None  # our rights in the channel at the refusal, as computed
    told_since: int | None = None  # when the direct message was first sent to Discord
    told_at: int | None = None  # when the direct message was accepted, or refused for good
    tell_attempt: int = 0  # failed attempts at the direct message
    leader_id: int | None = None  # the delivery whose message is to name this one's id as well
    language: Language = Language.ENGLISH  # of its messages
    deleted_at: int | None = None  # when its result message was deleted by the button

    @property
    def message_channel_id(self) -> int:
        """Where the result message is."""
        return self.posted_in or self.channel_id


@dataclass(frozen=True, slots=True)
class Card:
    """The bot's answer to a track command. `message_id` is None until Discord has given it."""

    id: int
    guild_id: int
    channel_id: int
    message_id: int | None
    version: int = 0  # grows with every change of what it should show
    language: Language = Language.ENGLISH


@dataclass(frozen=True, slots=True)
class Claim(Generic[Work]):
    """Work that this process holds until its lease ends. Empty when nothing was due.

    An outcome is recorded with the lease, and changes nothing when the lease was lost.
    """

    lease: int
    work: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery with all that its result message needs."""

    delivery: Delivery
    task: TrackedTask
    watchers: tuple[int, ...]  # who pressed "notify me"
    # Registered in this run of the process and never sent, so no look-up is needed.
    is_first_send: bool = False


@dataclass(frozen=True, slots=True)
class ExistingDelivery:
    """A delivery with its task, for a card, a list or a command. Within a card `card_message_id` is None."""

    delivery: Delivery
    task: TrackedTask
    card_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class CardView:
    """A card with its lines, in the order of the request."""

    card: Card
    rows: tuple[ExistingDelivery, ...]
    attempt: int = 0  # failed attempts to edit it, in a row
    pause: PauseState | None = None  # the API pause, if there is one
    watchers: int = 0  # how many people besides the requester are to be mentioned for what is still live
    usual: UsualTime | None = None  # how long videos of its first waiting task's model usually take
