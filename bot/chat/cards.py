"""Cards, lists and status: how tasks look in a channel. Nothing is shown that the API did not say."""

from bot.chat.safe_text import code, code_block, one_line, shorten_middle
from bot.chat.texts import MOST_CONTENT, ago, api_trouble, clock_time, jump_link, person
from bot.core.registration import Earlier, Overview
from bot.core.tasks import CardRow, CardView, Delivery, DeliveryState, TaskState, TrackedTask
from bot.core.trouble import ApiTrouble

USUAL_DURATION = "A video usually takes 2 to 5 minutes."
_SHORTEST_ID = 16
_WHOLE_ID = 128


def card(view: CardView) -> str:
    """The card's text: one line per task, ids shortened only when they would not fit."""
    for id_length in (_WHOLE_ID, 40, 24, _SHORTEST_ID):
        text = _card(view, id_length)
        if len(text) <= MOST_CONTENT:
            return text
    return text[:MOST_CONTENT]


def _card(view: CardView, id_length: int) -> str:
    first = view.rows[0].delivery
    note = f" · {code(first.note, 100)}" if first.note else ""
    count = "a Veo task" if len(view.rows) == 1 else f"{len(view.rows)} Veo tasks"
    head = f"**Tracking {count}** for {person(first.requester_id)} since {ago(first.created_at)}{note}"
    lines = [head, *(_line(row.delivery, row.task, id_length) for row in view.rows)]
    if any(row.delivery.state is DeliveryState.OPEN for row in view.rows):
        lines.append(f"-# {USUAL_DURATION} The result is posted here with a mention.")
    return "\n".join(lines)


def is_settled(view: CardView) -> bool:
    """Whether nothing on the card is still to come."""
    return not any(_is_live(row) for row in view.rows)


def _is_live(row: CardRow) -> bool:
    return row.delivery.state in (DeliveryState.OPEN, DeliveryState.DUE)


def _line(delivery: Delivery, task: TrackedTask, id_length: int) -> str:
    return f"{_sign(delivery, task)} {code(shorten_middle(task.id, id_length))} {_state(delivery, task)}"


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


def _state(delivery: Delivery, task: TrackedTask) -> str:
    match delivery.state:
        case DeliveryState.OPEN:
            return _api_word(task)
        case DeliveryState.DUE:
            return f"{_outcome(task)}; posting …"
        case DeliveryState.POSTED:
            return f"{_outcome(task)}{_where(delivery)}"
        case DeliveryState.UNDELIVERABLE:
            why = one_line(delivery.trouble or "Discord did not accept it", 80)
            return f"{_outcome(task)}, but could not be posted ({why})"
        case DeliveryState.CANCELLED:
            by = f" by {person(delivery.ended_by)}" if delivery.ended_by else ""
            return f"stopped{by}"


def _api_word(task: TrackedTask) -> str:
    if task.word is None or task.word_at is None:
        return "· not asked yet" if task.asked_at is None else "· no answer yet"
    return f"· {code(task.word, 40)} when asked at {clock_time(task.word_at)}"


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
    return f": {jump_link(delivery.guild_id, delivery.channel_id, delivery.message_id)}"


def overview(found: Overview) -> str:
    """`/veo list`: what is open and what has ended, as much as fits."""
    if not found.live and not found.ended:
        return "Nothing is tracked in this channel. `/veo track` starts it."
    lines = []
    if found.live:
        lines += ["**Open**", *(_list_line(e) for e in found.live)]
    if found.ended:
        lines += ["**Ended lately**", *(_list_line(e) for e in found.ended)]
    return _fitting(lines)


def _list_line(earlier: Earlier) -> str:
    delivery, task = earlier.delivery, earlier.task
    line = _line(delivery, task, 40)
    if delivery.note:
        line += f" · {code(delivery.note, 40)}"
    if delivery.state is DeliveryState.OPEN and earlier.card_message_id:
        line += f" · {jump_link(delivery.guild_id, delivery.channel_id, earlier.card_message_id)}"
    return f"{line} · {ago(delivery.ended_at or delivery.created_at)}"


def _fitting(lines: list[str]) -> str:
    """Whole lines only, and a last one that says how many are missing."""
    kept: list[str] = []
    room = MOST_CONTENT - len("… and 999 more")
    for line in lines:
        if len(line) + 1 > room:
            break
        kept.append(line)
        room -= len(line) + 1
    if missing := len(lines) - len(kept):
        kept.append(f"… and {missing} more")
    return "\n".join(kept)


def status(earlier: Earlier, trouble: ApiTrouble | None) -> str:
    """`/veo status`: what is known of one task in this channel."""
    delivery, task = earlier.delivery, earlier.task
    lines = [
        _line(delivery, task, _WHOLE_ID),
        f"Tracked {ago(delivery.created_at)} by {person(delivery.requester_id)}."
        + (f" Note: {code(delivery.note, 200)}" if delivery.note else ""),
    ]
    if task.state is TaskState.WAITING and delivery.state is DeliveryState.OPEN:
        lines += _polling(task)
        if trouble is not None:
            lines.append(api_trouble(trouble))
    if task.reason:
        lines.append(f"Reason:\n{code_block(task.reason, 700)}")
    if delivery.trouble:
        lines.append(f"Last trouble while posting: {one_line(delivery.trouble, 300)}")
    return "\n".join(lines)


def _polling(task: TrackedTask) -> list[str]:
    asked = "The API has not been asked yet." if task.asked_at is None else ""
    if task.asked_at is not None:
        asked = f"Last asked {ago(task.asked_at)}."
    due = f" Next question {ago(task.due_at)}." if task.due_at is not None else ""
    silent = f" No usable answer {task.attempt} times in a row." if task.attempt else ""
    return [f"{asked}{due}{silent} {USUAL_DURATION}"]


def choice_name(earlier: Earlier) -> str:
    """One autocomplete suggestion, at most 100 characters."""
    state = earlier.task.word or "waiting"
    if earlier.delivery.state is not DeliveryState.OPEN:
        state = str(earlier.delivery.state)
    note = f" · {earlier.delivery.note}" if earlier.delivery.note else ""
    return one_line(f"{earlier.task.id} · {state}{note}", 100)
