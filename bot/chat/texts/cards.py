"""Cards, lists and status: how videos look in a channel. Nothing is shown that the API did not say."""

from collections import Counter
from collections.abc import Sequence

from bot.chat.texts.causes import explanation
from bot.chat.texts.escape import code, code_block, one_line, sentence_line, shorten_middle
from bot.chat.texts.formatting import ago, duration, fitting, heading, jump_link, link_to, person, small
from bot.chat.texts.language import Translator, marked
from bot.chat.texts.panels import MAX_TEXT, Accent, Panel, panel, size
from bot.chat.texts.problems import stored_sentence
from bot.chat.texts.states import brief_state, compact_state, full_state, is_in_trouble, is_live, sign
from bot.core.api_pause import PauseReason, PauseState
from bot.core.clock import MINUTE
from bot.core.generation_time import UsualTime
from bot.core.tasks import (
    CardView,
    DeliveryState,
    ExistingDelivery,
    TaskState,
)
from bot.core.tracking import Overview

_FULL_ID = 128
# So many rows may take two lines each on a phone.
_FEW = 6
# An id on a line of many: both ends, so that the line fits a phone. Longer where two would look alike.
_SHORT_IDS = (14, 20, 32, 64, _FULL_ID)
_MAX_NOTE = 100


def card(t: Translator, view: CardView, now: int) -> Panel:
    """The card: one line per task. Links and times give way when it would be too long."""
    if not view.rows:
        gone = t("The person who asked removed this request. Nothing more will be posted for it.")
        return panel(Accent.TROUBLE, gone)
    head = _head(t, view)
    foot = _foot(t, view)
    left = MAX_TEXT - size(head) - size(foot)
    return panel(_accent(view), head, _lines(t, view.rows, now, left), foot)


def is_settled(view: CardView) -> bool:
    """Whether nothing on the card is still to come."""
    return not any(map(is_live, view.rows))


def _head(t: Translator, view: CardView) -> str:
    first = view.rows[0].delivery
    who = t("asked by {person} {ago}", person=person(first.requester_id), ago=ago(first.created_at))
    note = f"{code(first.note, _MAX_NOTE)} · " if first.note else ""
    return f"{heading(title(t, view.rows))}\n{small(note + who)}"


def title(t: Translator, rows: Sequence[ExistingDelivery]) -> str:
    """How many videos there are, and how they are doing: “3 videos: 2 ready, 1 failed”."""
    counts = Counter(map(_kind, rows))
    total = t.plural("{count} video", "{count} videos", len(rows))
    if counts["waiting"] == len(rows):
        return t("{videos} on the way", videos=total)
    if len(rows) == 1:
        return t("{videos}: {counts}", videos=total, counts=t(_ONE[_kind(rows[0])]))
    parts = (
        (counts["waiting"], t("{count} on the way", count=counts["waiting"])),
        (counts["ready"], t("{count} ready", count=counts["ready"])),
        (counts["failed"], t("{count} failed", count=counts["failed"])),
        (counts["stopped"], t("{count} stopped", count=counts["stopped"])),
    )
    return t("{videos}: {counts}", videos=total, counts=t(", ").join(part for n, part in parts if n))


_ONE = {"ready": marked("ready"), "failed": marked("failed"), "stopped": marked("stopped")}


def _kind(row: ExistingDelivery) -> str:
    if row.delivery.state is DeliveryState.CANCELLED:
        return "stopped"
    if row.task.state is TaskState.WAITING:
        return "waiting"
    return "ready" if row.task.state is TaskState.COMPLETED else "failed"


def _accent(view: CardView) -> Accent:
    is_open = any(row.delivery.state is DeliveryState.OPEN for row in view.rows)
    is_paused = is_open and view.pause is not None and view.pause.is_shown
    return Accent.TROUBLE if is_paused else _accent_of(view.rows)


def _accent_of(rows: Sequence[ExistingDelivery]) -> Accent:
    kinds = set(map(_kind, rows))
    if any(map(is_in_trouble, rows)):
        return Accent.TROUBLE
    if any(map(is_live, rows)):
        return Accent.WAITING
    if "failed" in kinds or any(row.delivery.state is DeliveryState.UNDELIVERABLE for row in rows):
        return Accent.FAILED
    return Accent.READY if "ready" in kinds else Accent.TROUBLE


def _lines(t: Translator, rows: Sequence[ExistingDelivery], now: int, max_size: int) -> str:
    id_length = _FULL_ID if len(rows) == 1 else _id_length(rows)
    state = full_state if len(rows) <= _FEW else compact_state
    full = [_line(row, state(t, row, now), id_length) for row in rows]
    if sum(size(line) + 1 for line in full) <= max_size:
        return "\n".join(full)
    return fitting(t, [_line(row, brief_state(t, row), id_length) for row in rows], max_size, size)


def _id_length(rows: Sequence[ExistingDelivery]) -> int:
    """The shortest length at which no two different ids look the same."""
    ids = {row.task.id for row in rows}
    fits = (size for size in _SHORT_IDS if len({shorten_middle(i, size) for i in ids}) == len(ids))
    return next(fits, _FULL_ID)


def _line(row: ExistingDelivery, state: str, id_length: int) -> str:
    return f"{sign(row)} {code(shorten_middle(row.task.id, id_length))} {state}"


def _foot(t: Translator, view: CardView) -> str:
    """What is usual and what happens next; "" once everything has ended."""
    if is_settled(view):
        return ""
    lines = []
    is_open = any(row.delivery.state is DeliveryState.OPEN for row in view.rows)
    if is_open and view.pause is not None and view.pause.is_shown:
        lines.append(api_pause(t, view.pause))
    who = person(view.rows[0].delivery.requester_id)
    count = sum(map(is_live, view.rows))
    post = t.plural(
        "I post the result here and mention {person}.",
        "I post each result here and mention {person}.",
        count,
        person=who,
    )
    lines.append(small(t.sentences(usual_time(t, view.usual), post) if is_open else post))
    return "\n".join(lines)


def usual_time(t: Translator, usual: UsualTime | None) -> str:
    """How long a video takes, from what this bot has seen; from experience with Veo until there is enough."""
    if usual is None:
        return t("A video usually takes 2 to 5 minutes.")
    low, high = usual.low // MINUTE, -(-usual.high // MINUTE)
    if low == 0:
        return t(
            "A video usually takes up to {high} min (from the last {count}).", high=high, count=usual.count
        )
    return t(
        "A video usually takes {low} to {high} min (from the last {count}).",
        low=low,
        high=high,
        count=usual.count,
    )


def api_pause(t: Translator, pause: PauseState) -> str:
    """Why no video is polled at the moment, and when it goes on."""
    if pause.reason is PauseReason.KEY_REFUSED:
        return t(
            "⚠️ The video API refuses this bot's key since {since}. The person who runs the bot has to fix "
            "that. Your videos are kept; I try again {next}.",
            since=ago(pause.since),
            next=ago(pause.until),
        )
    return t("The video API asked this bot to slow down. I go on {next}.", next=ago(pause.until))


# -- /veo list -------------------------------------------------------------------------------------


def overview(t: Translator, found: Overview, now: int) -> Panel | None:
    """`/veo list`: what is on the way and what has ended, as much as fits. None: there is nothing."""
    rows = (*found.live, *found.ended)
    if not rows:
        return None
    heads = [heading(t("On the way")), heading(t("Recent"))]
    left = MAX_TEXT - sum(map(size, heads)) - 2
    id_length, state = _id_length(rows), full_state if len(rows) <= _FEW else compact_state
    live = fitting(t, [_list_line(t, row, state(t, row, now), id_length) for row in found.live], left, size)
    left -= size(live)
    ended = fitting(t, [_list_line(t, row, state(t, row, now), id_length) for row in found.ended], left, size)
    sections = [f"{head}\n{lines}" for head, lines in zip(heads, (live, ended), strict=True) if lines]
    return panel(_accent_of(found.live or found.ended), *sections)


def _list_line(t: Translator, row: ExistingDelivery, state: str, id_length: int) -> str:
    delivery = row.delivery
    line = _line(row, state, id_length)
    if delivery.note:
        line += f" · {code(delivery.note, 40)}"
    if delivery.state is DeliveryState.OPEN and row.card_message_id:
        address = jump_link(delivery.guild_id, delivery.channel_id, row.card_message_id)
        text = t("card")
        line += f" · {link_to(text, address)}"
    if not is_live(row):
        line += f" · {ago(delivery.ended_at or delivery.created_at)}"
    return line


# -- /veo status -----------------------------------------------------------------------------------


def status(t: Translator, row: ExistingDelivery, pause: PauseState | None, now: int) -> Panel:
    """`/veo status`: what is known of one task in this channel."""
    delivery = row.delivery
    who = t("asked by {person} {ago}", person=person(delivery.requester_id), ago=ago(delivery.created_at))
    details = [code(delivery.note, 200)] if delivery.note else []
    details += [who, *([code(row.task.model, 60)] if row.task.model else [])]
    head = f"{_line(row, full_state(t, row, now), _FULL_ID)}\n{small(' · '.join(details))}"
    return panel(_accent_of([row]), head, _next(t, row, pause), _reason(t, row), _trouble(t, row))


def _next(t: Translator, row: ExistingDelivery, pause: PauseState | None) -> str:
    """What happens next to a task that is on the way."""
    task = row.task
    if row.delivery.state is not DeliveryState.OPEN or task.state is not TaskState.WAITING:
        return ""
    if pause is not None:
        return api_pause(t, pause)
    due = ago(task.due_at) if task.due_at is not None else None
    if task.attempt and due:
        return t.plural(
            "The video API has not answered the last time. I try again {next}.",
            "The video API has not answered the last {count} times. I try again {next}.",
            task.attempt,
            next=due,
        )
    lines = [t("Last asked {ago}.", ago=ago(task.polled_at))] if task.polled_at is not None else []
    lines += [t("I ask again {next}.", next=due)] if due else []
    return t.sentences(*lines)


def _reason(t: Translator, row: ExistingDelivery) -> str:
    """Why there is no video, and the API's own words last."""
    task = row.task
    lines = []
    if task.cause:
        lines.append(sentence_line(stored_sentence(t, task.cause), 400))
    elif task.state is TaskState.FAILED:
        found = explanation(t, task.reason)
        lines.append(t.sentences(found.sentence, found.advice))
    if task.took is not None and task.state is TaskState.FAILED:
        lines.append(t("It failed after {time}.", time=duration(t, task.took)))
    if task.reason:
        lines += [t("The video API said:"), code_block(task.reason, 700)]
    return "\n".join(lines)


def _trouble(t: Translator, row: ExistingDelivery) -> str:
    """Why it could not be posted so far; of an undeliverable one the first line says it."""
    if row.delivery.state is not DeliveryState.DUE or not row.delivery.last_error:
        return ""
    return t(
        "Could not post it yet: {why}",
        why=sentence_line(stored_sentence(t, row.delivery.last_error), 300),
    )


# -- autocomplete ----------------------------------------------------------------------------------


def choice_name(t: Translator, row: ExistingDelivery) -> str:
    """One suggestion, at most 100 characters."""
    note = f" · {row.delivery.note}" if row.delivery.note else ""
    return one_line(f"{row.task.id} · {brief_state(t, row)}{note}", 100)
