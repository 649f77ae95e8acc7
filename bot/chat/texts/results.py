"""What a result message says, and the direct message in its place."""

from collections.abc import Sequence

from bot.chat.texts.escape import code, code_block, length, sentence_line
from bot.chat.texts.problems import NO_REASON, fragment, sentence, stored_sentence
from bot.chat.texts.replies import MAX_BUTTON_URL, MAX_CONTENT, ago, megabytes, person, plain_link
from bot.core.clock import MINUTE
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage, living_link
from bot.core.tasks import TaskState

_MAX_NOTE = 200
_MAX_REASON = 1200
_MAX_PROBLEM = 200
# What happens next, by what was in the way; nothing is promised that may not come.
_ASK_FOR_FILES = (
    "Ask somebody who manages the server to give me **Attach Files** there; "
    "`/veo redeliver` then posts the video."
)
_NEXT = {
    ProblemCode.MAY_NOT_ATTACH: _ASK_FOR_FILES,
    ProblemCode.MAY_NOT_POST: (
        "I post it there by myself once I may again; `/veo redeliver` there tries at once."
    ),
    ProblemCode.NO_ACCESS: "I post it there by myself once I can see that channel again.",
    ProblemCode.THREAD_LOCKED: (
        "I post it there by myself once the thread is unlocked; `/veo redeliver` there tries at once."
    ),
    ProblemCode.THREAD_LIMIT: "`/veo redeliver` there tries again.",
    ProblemCode.CHANNEL_GONE: "It will not be posted anywhere else.",
    ProblemCode.WRONG_CHANNEL_KIND: "It will not be posted anywhere else.",
}
_ASK_AGAIN = "I do not try it there again by myself; `/veo redeliver` in that channel does."
_MAX_SHARED = 700
_LATE = 10 * MINUTE  # older results say so, or people wonder


def result(message: ResultMessage, now: int) -> str:
    """The result message's text, at most 2,000 characters; it always holds the task's id."""
    delivery, task = message.due.delivery, message.due.task
    name = _listed((task.id, *message.shared_ids), MAX_CONTENT)
    head = [_headline(message, name)]
    if message.parent_id is not None:
        head.append(f"-# For <#{delivery.channel_id}>, which is closed.")
    if delivery.note and not message.is_bare:
        head.append(f"-# Note: {code(delivery.note, _MAX_NOTE)}")
    problem = [sentence_line(sentence(message.problem), _MAX_PROBLEM)] if message.problem else []
    if message.problem is not None and message.problem.code is ProblemCode.MAY_NOT_ATTACH:
        problem.append(f"-# {_ASK_FOR_FILES}")
    if message.attachment is not None and not message.attachment.plays_in_discord:
        problem.append("-# It may not play inside Discord: download it to watch it.")
    late = []
    if task.finished_at is not None and now - task.finished_at > _LATE:
        late = [f"-# The API finished it {ago(task.finished_at)}; sorry for the wait."]
    chars_left = MAX_CONTENT - sum(length(line) + 1 for line in (*head, *problem, *late))
    if task.state is TaskState.COMPLETED:
        link = [] if message.is_bare else _link_lines(message, now, chars_left)
        return "\n".join([*head, *problem, *link, *late])
    reason = _reason_lines(message, min(chars_left, _MAX_REASON))
    return "\n".join([*head, *reason, *problem, *late])


def _reason_lines(message: ResultMessage, max_length: int) -> list[str]:
    """Why there is no video: our own words, then those of the API in a block, unless the message is bare."""
    task, bare = message.due.task, message.is_bare
    lines = []
    if message.shared_ids:
        lines.append("The video API does not know these ids. Are they complete?")
    elif task.cause:
        lines.append(sentence_line(stored_sentence(task.cause, with_data=not bare), 400))
    if bare and (task.reason or not lines):
        lines.append("Its words were blocked in this channel; `/veo status` shows them to you alone.")
    elif task.reason or not lines:
        chars_left = max_length - sum(length(line) + 1 for line in lines)
        lines.append(code_block(task.reason or NO_REASON, chars_left))
    return lines


def undeliverable(message: ResultMessage, why: Problem, now: int) -> str:
    """The direct message to the requester: the result, why it is not in the channel, what happens next."""
    delivery, task = message.due.delivery, message.due.task
    what = {
        TaskState.COMPLETED: "is ready",
        TaskState.FAILED: "failed",
        TaskState.LOST: "was given up",
        TaskState.WAITING: "is waiting",
    }[task.state]
    reason = sentence_line(fragment(why), 200)
    lines = [f"{code(task.id)} {what}, but I could not post it in <#{delivery.channel_id}>: {reason}."]
    if delivery.note:
        lines.append(f"-# Note: {code(delivery.note, _MAX_NOTE)}")
    if promise := _NEXT.get(why.code, _ASK_AGAIN):
        lines.append(promise)
    if message.shared_ids:
        lines.append(f"The same goes for {_listed(message.shared_ids, _MAX_SHARED)}.")
    link = living_link(task, now)
    if task.state is not TaskState.COMPLETED:
        lines += _reason_lines(message, _MAX_REASON)
    elif message.attachment is not None:
        lines.append("Here is the video." + _smaller(message))
    elif link is not None and length(link := plain_link(link)) < _MAX_REASON:
        ends_at = f" (works until <t:{task.link_ends_at // 1000}:f>)" if task.link_ends_at else ""
        lines.append(f"The API's own link{ends_at}: <{link}>")
    return "\n".join(lines)


def _smaller(message: ResultMessage) -> str:
    """Said whenever the bytes are not the API's own."""
    if message.original_size is None:
        return ""
    return f" Made smaller to fit here; the original has {megabytes(message.original_size)}."


def _listed(ids: Sequence[str], max_length: int) -> str:
    """As code, as many as fit; `ids_that_fit` has chosen so few that all of them do."""
    names: list[str] = []
    left = max_length
    for task_id in ids:
        left -= length(code(task_id)) + 2
        if left < 0 and names:
            return f"{', '.join(names)} and {len(ids) - len(names)} more"
        names.append(code(task_id))
    return ", ".join(names)


def _headline(message: ResultMessage, name: str) -> str:
    due = message.due
    who = " ".join(person(i) for i in dict.fromkeys((due.delivery.requester_id, *due.watchers)))
    if message.attachment is not None:
        return f"🎬 {who} {name} is ready."
    return {
        TaskState.COMPLETED: f"🎬 {who} {name} is ready, but I cannot attach it.",
        TaskState.FAILED: f"❌ {who} {name} failed." + ("" if due.task.cause else " The video API says:"),
        TaskState.LOST: f"❓ {who} I stopped waiting for {name}:",
        TaskState.WAITING: f"{who} {name}",
    }[due.task.state]


def _link_lines(message: ResultMessage, now: int, chars_left: int) -> list[str]:
    """The link in words where there is no attachment: it is all that people get."""
    task, ends_at = message.due.task, message.due.task.link_ends_at
    link = living_link(task, now)
    if ends_at is None:
        return []
    if link is None:
        smaller = _smaller(message).strip()
        if message.attachment is not None:
            return [f"-# {smaller}"] if smaller else []
        return ["The API's link to it has ended as well."]
    until = f"<t:{ends_at // 1000}:f>"
    has_button = len(plain_link(link)) <= MAX_BUTTON_URL
    if message.attachment is not None:
        original = f" The original link works until {until}." if has_button else ""
        note = f"{_smaller(message)}{original}".strip()
        return [f"-# {note}"] if note else []
    whole = f"Download it within a day (until {until}): <{plain_link(link)}>"
    if length(whole) < chars_left:
        return [whole]
    if has_button:
        return [f"Download it within a day (until {until}): the button below"]
    return [f"Its link is too long for a message; the API's own reply holds it (until {until})."]
