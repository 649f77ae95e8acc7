"""One vocabulary for how a video is doing: on cards, in lists, in a status, in suggestions."""

from collections.abc import Mapping

from bot.chat.texts.causes import explanation
from bot.chat.texts.escape import code, sentence_line
from bot.chat.texts.formatting import ago, duration, jump_link, link_to, person, plain_link
from bot.chat.texts.language import Translator, marked
from bot.chat.texts.problems import stored_sentence
from bot.core.phases import Phase, phase_of
from bot.core.problems import Problem, ProblemCode
from bot.core.results import LINK_SHOWN_AFTER, living_link
from bot.core.tasks import (
    LIVE,
    Delivery,
    DeliveryState,
    Doubt,
    ExistingDelivery,
    Obstacle,
    TaskState,
    TrackedTask,
    Trouble,
)

# After so many failed attempts to post, people are told.
_SEVERAL = 3


def sign(row: ExistingDelivery) -> str:
    """The mark at the beginning of its line."""
    if row.delivery.state is DeliveryState.CANCELLED:
        return "🚫"
    if row.delivery.state is DeliveryState.UNDELIVERABLE:
        return "⚠️"
    if row.task.state is TaskState.WAITING and _phase(row.task) is Phase.QUEUED:
        return "🕓"
    return {
        TaskState.WAITING: "⏳",
        TaskState.COMPLETED: "✅",
        TaskState.FAILED: "❌",
        TaskState.LOST: "❓",
    }[row.task.state]


def brief_state(t: Translator, row: ExistingDelivery) -> str:
    """A few words without a link or a time: for suggestions, and where space is short."""
    if row.delivery.state is DeliveryState.CANCELLED:
        return t("stopped")
    if row.task.state is TaskState.WAITING:
        return _brief_phase(t, row.task)
    if row.delivery.state is DeliveryState.UNDELIVERABLE:
        return t("{outcome}, not posted", outcome=outcome(t, row.task))
    return outcome(t, row.task)


def full_state(t: Translator, row: ExistingDelivery, now: int) -> str:
    """How it is doing, with times and the link to its message."""
    delivery, task = row.delivery, row.task
    match delivery.state:
        case DeliveryState.OPEN:
            return _waiting(t, task)
        case DeliveryState.DUE:
            return _due(t, delivery, task, now)
        case DeliveryState.POSTED:
            return _posted(t, delivery, task)
        case DeliveryState.UNDELIVERABLE:
            return _undeliverable(t, delivery, task)
        case DeliveryState.CANCELLED if delivery.cancelled_by:
            return t("stopped by {person}", person=person(delivery.cancelled_by))
        case DeliveryState.CANCELLED:
            return t("stopped")


def compact_state(t: Translator, row: ExistingDelivery, now: int) -> str:
    """How it is doing on one line of a phone: without the time of its phase, and the words are the link."""
    match row.delivery.state:
        case DeliveryState.OPEN:
            return _trouble(t, row.task) or _brief_phase(t, row.task)
        case DeliveryState.POSTED if (address := _address(row.delivery)) is not None:
            return link_to(_ended(t, row.task), address)
        case _:
            return full_state(t, row, now)


def outcome(t: Translator, task: TrackedTask) -> str:
    """What became of a task, in at most four words."""
    match task.state:
        case TaskState.WAITING:
            return t("on the way")
        case TaskState.COMPLETED:
            return t("ready")
        case TaskState.LOST:
            return t(_LOST.get(_code_of(task.cause), _GIVEN_UP))
        case TaskState.FAILED if task.cause is not None:
            return t("no video came out")
        case TaskState.FAILED:
            return explanation(t, task.reason).brief


_GIVEN_UP = marked("given up")
_LOST: Mapping[ProblemCode | None, str] = {
    ProblemCode.UNKNOWN_ID: marked("not found"),
    ProblemCode.FORGOTTEN_ID: marked("no longer known"),
    ProblemCode.REFUSED_ID: marked("refused by the video API"),
    ProblemCode.PAST_DEADLINE: marked("too late"),
    ProblemCode.NO_ANSWER: marked("no answer"),
}


def is_live(row: ExistingDelivery) -> bool:
    """Whether its result is still to come."""
    return row.delivery.state in LIVE


def is_in_trouble(row: ExistingDelivery) -> bool:
    """Whether the video API has given no usable answer about it for so long that people are told."""
    return row.delivery.state is DeliveryState.OPEN and row.task.trouble is Trouble.SILENCE


def _code_of(cause: str | None) -> ProblemCode | None:
    problem = Problem.from_text(cause) if cause else None
    return None if problem is None else problem.code


def _phase(task: TrackedTask) -> Phase | None:
    return None if task.api_status is None else phase_of(task.api_status)


# -- while it is open ------------------------------------------------------------------------------


def _waiting(t: Translator, task: TrackedTask) -> str:
    if trouble := _trouble(t, task):
        return trouble
    if task.api_status is None or task.api_status_since is None:
        return _brief_phase(t, task)
    since = ago(task.api_status_since)
    match phase_of(task.api_status):
        case Phase.QUEUED:
            return t("in the queue since {since}", since=since)
        case Phase.GENERATING:
            return t("being generated since {since}", since=since)
        case Phase.OTHER:
            return t("the API says {status} since {since}", status=code(task.api_status, 40), since=since)


def _trouble(t: Translator, task: TrackedTask) -> str:
    """What is doubtful about a waiting task; "" when nothing is."""
    if task.trouble is Trouble.REFUSED:
        words = f" {code(task.words, 60)}" if task.words else ""
        return t("the video API refuses to say anything about it") + words
    if task.trouble is Trouble.SILENCE:
        since = ago((task.judged_at or task.registered_at) - task.silent_time)
        return t("no answer from the video API since {since}; I keep asking", since=since)
    doubt = None if task.doubt is None else _DOUBTS.get(task.doubt)
    return "" if doubt is None else t(doubt)


_DOUBTS: Mapping[Doubt, str] = {
    Doubt.UNKNOWN_ID: marked("the video API does not know it (yet); I ask again"),
    Doubt.NOT_FOUND: marked("the video API finds nothing under this id; I keep asking"),
    Doubt.NO_VIDEO: marked("finished, but without a video so far; I ask again"),
    Doubt.COMPLETED: marked("looks ready; I ask once more to be sure"),
    Doubt.FAILED: marked("looks failed; I ask once more to be sure"),
    Doubt.PAST_DEADLINE: marked("still not finished after a long time; I ask once more"),
}


def _brief_phase(t: Translator, task: TrackedTask) -> str:
    match _phase(task):
        case Phase.QUEUED:
            return t("in the queue")
        case Phase.GENERATING:
            return t("being generated")
        case Phase.OTHER:
            return t("on the way")
        case None:
            return t("not asked yet") if task.polled_at is None else t("no answer yet")


# -- when it has ended -----------------------------------------------------------------------------


def _due(t: Translator, delivery: Delivery, task: TrackedTask, now: int) -> str:
    link, since = living_link(task, now), delivery.download_since
    # Once it was handed to Discord, the download is over.
    is_late = since is not None and now - since >= LINK_SHOWN_AFTER and delivery.first_sent_at is None
    if link is None or not is_late:
        if delivery.attempt >= _SEVERAL:
            return t("{outcome}; Discord does not take it so far, I keep trying", outcome=outcome(t, task))
        return t("{outcome}; I post it now", outcome=outcome(t, task))
    return t("ready, but I cannot download it so far; I keep trying. Its link:") + f" <{plain_link(link)}>"


def _posted(t: Translator, delivery: Delivery, task: TrackedTask) -> str:
    if delivery.deleted_at is not None:
        return t("{outcome}; its message was deleted", outcome=outcome(t, task))
    address = _address(delivery)
    if address is None:
        return outcome(t, task)
    text = t("see the video") if task.state is TaskState.COMPLETED else t("see why")
    return t("{outcome}: {link}", outcome=_ended(t, task), link=link_to(text, address))


def _ended(t: Translator, task: TrackedTask) -> str:
    """What became of it, and of a video how long it took."""
    if task.state is not TaskState.COMPLETED or task.took is None:
        return outcome(t, task)
    return t("ready after {time}", time=duration(t, task.took))


def _address(delivery: Delivery) -> str | None:
    """Where its message is; None where there is none."""
    if delivery.message_id is None or delivery.deleted_at is not None:
        return None
    return jump_link(delivery.guild_id, delivery.message_channel_id, delivery.message_id)


def _undeliverable(t: Translator, delivery: Delivery, task: TrackedTask) -> str:
    """With what happens next, which depends on what was in the way."""
    result = outcome(t, task)
    match delivery.obstacle:
        case Obstacle.PERMISSION:
            return t("{outcome}, but I may not write here. I post it as soon as I may.", outcome=result)
        case Obstacle.MEMBERSHIP:
            return t("{outcome}, but I have no access here. I post it as soon as I have.", outcome=result)
        case Obstacle.THREAD:
            return t("{outcome}, but the thread was locked. I post it once it is open again.", outcome=result)
        case Obstacle.GONE:
            return t("{outcome}, but the channel was deleted.", outcome=result)
        case _:
            stored = delivery.last_error
            why = stored_sentence(t, stored) if stored else t("Discord did not take it.")
            return t(
                "{outcome}, but not posted. {why} `/veo redeliver` tries again.",
                outcome=result,
                why=sentence_line(why, 80),
            )
