"""Cards, lists and status: how tasks look in a channel. Nothing is shown that the API did not say."""

from bot.chat.texts.escape import code, code_block, length, one_line, sentence_line, shorten_middle
from bot.chat.texts.problems import fragment, stored_sentence
from bot.chat.texts.replies import (
    MAX_CONTENT,
    ago,
    api_pause,
    clock_time,
    fitting,
    jump_link,
    person,
    plain_link,
)
from bot.core.api_pause import PauseState
from bot.core.problems import Problem
from bot.core.results import LINK_SHOWN_AFTER, living_link
from bot.core.tasks import (
    LIVE,
    CardView,
    Delivery,
    DeliveryState,
    Doubt,
    ExistingDelivery,
    TaskState,
    TrackedTask,
    Trouble,
)
from bot.core.tracking import Overview

USUAL_DURATION = "A video usually takes 2 to 5 minutes."
_FORGOTTEN = "Whoever asked for this has had themselves forgotten; nothing more comes here."
_FULL_ID = 128
# How long an id may be, and whether states lose their details: from all there is to what always fits.
_DETAIL = ((_FULL_ID, False), (40, False), (24, False), (16, False), (40, True), (24, True), (16, True))


def card(view: CardView, now: int = 0) -> str:
    """The card's text: one line per task; ids, then links and times give way when it would not fit."""
    if not view.rows:
        return _FORGOTTEN
    for id_length, brief in _DETAIL:
        lines = _card(view, id_length, brief, now)
        if length("\n".join(lines)) <= MAX_CONTENT:
            break
    return fitting(lines)


def _card(view: CardView, id_length: int, brief: bool, now: int) -> list[str]:
    first = view.rows[0].delivery
    note = f" · {code(first.note, 100)}" if first.note else ""
    count = "a Veo task" if len(view.rows) == 1 else f"{len(view.rows)} Veo tasks"
    head = f"**Tracking {count}** for {person(first.requester_id)} since {ago(first.created_at)}{note}"
    lines = [head, *(_line(row.delivery, row.task, id_length, brief, now) for row in view.rows)]
    if any(row.delivery.state is DeliveryState.OPEN for row in view.rows):
        if view.pause is not None and view.pause.is_shown:
            lines.append(f"-# {api_pause(view.pause)}")
        lines.append(f"-# {USUAL_DURATION} The result is posted here with a mention.")
    return lines


def is_settled(view: CardView) -> bool:
    """Whether nothing on the card is still to come."""
    return not any(_is_live(row) for row in view.rows)


def _is_live(row: ExistingDelivery) -> bool:
    return row.delivery.state in LIVE


def _line(delivery: Delivery, task: TrackedTask, id_length: int, brief: bool = False, now: int = 0) -> str:
    state = _brief_state(delivery, task) if brief else _state(delivery, task, now)
    return f"{_sign(delivery, task)} {code(shorten_middle(task.id, id_length))} {state}"


def _sign(delivery: Delivery, task: TrackedTask) -> str:
    if delivery.state is DeliveryState.CANCELLED:
        return "🚫"
    if delivery.state is DeliveryState.UNDELIVERABLE:
        return "⚠️"
    return {
        TaskState.WAITING: "⏳",
        TaskState.COMPLETED: "✅",
        TaskState.FAILED: "❌",
        TaskState.LOST: "❓",
    }[task.state]


def _state(delivery: Delivery, task: TrackedTask, now: int = 0) -> str:
    match delivery.state:
        case DeliveryState.OPEN:
            return _api_status(task)
        case DeliveryState.DUE:
            return f"{_outcome(task)}; {_late_link(delivery, task, now) or 'posting …'}"
        case DeliveryState.POSTED:
            return f"{_outcome(task)}{_where(delivery)}"
        case DeliveryState.UNDELIVERABLE:
            why = sentence_line(_why_undeliverable(delivery), 80)
            return f"{_outcome(task)}, but could not be posted ({why})"
        case DeliveryState.CANCELLED:
            by = f" by {person(delivery.cancelled_by)}" if delivery.cancelled_by else ""
            return f"stopped{by}"


def _late_link(delivery: Delivery, task: TrackedTask, now: int) -> str:
    """The API's own link, once the video has not been downloaded for ten minutes; "" before."""
    link, since = living_link(task, now), delivery.download_since
    # Once it was handed to Discord, the download is over.
    if link is None or since is None or now - since < LINK_SHOWN_AFTER or delivery.first_sent_at is not None:
        return ""
    return f"I cannot download it so far and go on trying. Its link: <{plain_link(link)}>"


def _why_undeliverable(delivery: Delivery) -> str:
    if delivery.last_error is None:
        return "Discord did not accept it"
    problem = Problem.from_text(delivery.last_error)
    return delivery.last_error if problem is None else fragment(problem)


def _brief_state(delivery: Delivery, task: TrackedTask) -> str:
    match delivery.state:
        case DeliveryState.OPEN:
            if trouble := _trouble(task, brief=True):
                return f"· {trouble}"
            return f"· {code(task.api_status, 20)}" if task.api_status else _api_status(task)
        case DeliveryState.POSTED:
            return _outcome(task)
        case DeliveryState.UNDELIVERABLE:
            return f"{_outcome(task)}, but could not be posted"
        case _:
            return _state(delivery, task)


def _api_status(task: TrackedTask) -> str:
    if trouble := _trouble(task):
        return f"· {trouble}"
    if task.api_status is None or task.api_status_since is None:
        return "· not asked yet" if task.polled_at is None else "· no answer yet"
    return f"· {code(task.api_status, 40)} when asked at {clock_time(task.api_status_since)}"


def _trouble(task: TrackedTask, *, brief: bool = False) -> str:
    """What is doubtful about a waiting task; "" when nothing is."""
    if task.trouble is Trouble.REFUSED:
        words = f": {code(task.words, 60)}" if task.words and not brief else ""
        return f"the API refuses to say anything about this id{words}"
    if task.trouble is Trouble.SILENCE:
        return "the API gives no usable answer at the moment; I go on asking"
    return "" if task.doubt is None else _DOUBTS[task.doubt]


_DOUBTS = {
    Doubt.UNKNOWN_ID: "the API does not know this id (yet); I ask again",
    Doubt.NOT_FOUND: "the API finds nothing at this id's address; I go on asking",
    Doubt.NO_VIDEO: "the API says completed, but gives no video yet; I ask again",
    Doubt.COMPLETED: "it looks ready; I ask once more to be sure",
    Doubt.FAILED: "it looks failed; I ask once more to be sure",
    Doubt.PAST_DEADLINE: "still not finished after a long time; I ask once more",
    Doubt.REFUSED: "",
}


def _outcome(task: TrackedTask) -> str:
    return {
        TaskState.WAITING: "waiting",
        TaskState.COMPLETED: "completed",
        TaskState.FAILED: "failed",
        TaskState.LOST: "given up",
    }[task.state]


def _where(delivery: Delivery) -> str:
    if delivery.message_id is None:
        return ""
    return f": {jump_link(delivery.guild_id, delivery.message_channel_id, delivery.message_id)}"


def overview(found: Overview) -> str:
    """`/veo list`: what is open and what has ended, as much as fits."""
    if not found.live and not found.ended:
        return "Nothing is tracked in this channel. `/veo track` starts it."
    return fitting([*_section("**Open**", found.live), *_section("**Ended lately**", found.ended)])


def _section(title: str, entries: tuple[ExistingDelivery, ...]) -> list[str]:
    """The title stays with the first entry, so that every line is one entry."""
    lines = [_list_line(entry) for entry in entries]
    return [f"{title}\n{lines[0]}", *lines[1:]] if lines else []


def _list_line(existing: ExistingDelivery) -> str:
    delivery, task = existing.delivery, existing.task
    line = _line(delivery, task, 40)
    if delivery.note:
        line += f" · {code(delivery.note, 40)}"
    if delivery.state is DeliveryState.OPEN and existing.card_message_id:
        line += f" · {jump_link(delivery.guild_id, delivery.channel_id, existing.card_message_id)}"
    # A due one may have ended before: it could not be posted, and now it can.
    ended_at = None if delivery.state in LIVE else delivery.ended_at
    return f"{line} · {ago(ended_at or delivery.created_at)}"


def status(existing: ExistingDelivery, pause: PauseState | None) -> str:
    """`/veo status`: what is known of one task in this channel."""
    delivery, task = existing.delivery, existing.task
    lines = [
        _line(delivery, task, _FULL_ID),
        f"Tracked {ago(delivery.created_at)} by {person(delivery.requester_id)}."
        + (f" Note: {code(delivery.note, 200)}" if delivery.note else ""),
    ]
    if task.state is TaskState.WAITING and delivery.state is DeliveryState.OPEN:
        lines += _polling(task)
        if pause is not None:
            lines.append(api_pause(pause))
    if task.cause:
        lines.append(f"Reason: {sentence_line(stored_sentence(task.cause), 400)}")
    if task.reason:
        lines.append(f"{'The API says' if task.cause else 'Reason'}:\n{code_block(task.reason, 700)}")
    if delivery.last_error:
        lines.append(
            f"Last trouble while posting: {sentence_line(stored_sentence(delivery.last_error), 300)}"
        )
    return "\n".join(lines)


def _polling(task: TrackedTask) -> list[str]:
    asked = "The API has not been asked yet." if task.polled_at is None else ""
    if task.polled_at is not None:
        asked = f"Last asked {ago(task.polled_at)}."
    due = f" Next question {ago(task.due_at)}." if task.due_at is not None else ""
    silent = f" No usable answer {task.attempt} times in a row." if task.attempt else ""
    return [f"{asked}{due}{silent} {USUAL_DURATION}"]


def choice_name(existing: ExistingDelivery) -> str:
    """One autocomplete suggestion, at most 100 characters."""
    state = existing.task.api_status or "waiting"
    if existing.delivery.state is not DeliveryState.OPEN:
        state = str(existing.delivery.state)
    note = f" · {existing.delivery.note}" if existing.delivery.note else ""
    return one_line(f"{existing.task.id} · {state}{note}", 100)
