"""What a result message says, and the direct message in its place."""

from collections.abc import Mapping, Sequence

from bot.chat.texts.causes import explanation
from bot.chat.texts.escape import code, code_block, length, one_line, sentence_line
from bot.chat.texts.formatting import (
    MAX_BUTTON_URL,
    MAX_CONTENT,
    ago,
    date_time,
    duration,
    megabytes,
    person,
    plain_link,
    small,
)
from bot.chat.texts.language import Translator, marked
from bot.chat.texts.problems import sentence, stored_sentence
from bot.core.clock import MINUTE
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage, living_link
from bot.core.tasks import TaskState

_MAX_NOTE = 200
_MAX_ALT = 1024  # Discord's limit for the description of an attachment
_MAX_REASON = 1200
_MAX_PROBLEM = 200
_MIN_BLOCK = 60
_MAX_SHARED = 700
_LATE = 10 * MINUTE  # older results say so, or people wonder

_ASK_FOR_FILES = marked(
    "Ask somebody who manages the server to give me **Attach Files** there; "
    "`/veo redeliver` then posts the video."
)
# What happens next, by what was in the way; nothing is promised that may not come.
_NEXT: Mapping[ProblemCode, str] = {
    ProblemCode.MAY_NOT_ATTACH: _ASK_FOR_FILES,
    ProblemCode.MAY_NOT_POST: marked(
        "I post it there as soon as I may again; `/veo redeliver` there tries at once."
    ),
    ProblemCode.NO_ACCESS: marked("I post it there as soon as I can see that channel again."),
    ProblemCode.THREAD_LOCKED: marked(
        "I post it there once the thread is unlocked; `/veo redeliver` there tries at once."
    ),
    ProblemCode.THREAD_LIMIT: marked("`/veo redeliver` there tries again."),
    ProblemCode.CHANNEL_GONE: marked("It will not be posted anywhere else."),
    ProblemCode.WRONG_CHANNEL_KIND: marked("It will not be posted anywhere else."),
}
_ASK_AGAIN = marked("I do not try it there again on my own; `/veo redeliver` in that channel does.")


# -- in the channel --------------------------------------------------------------------------------


def result(t: Translator, message: ResultMessage, now: int) -> str:
    """The result message's text, at most 2,000 characters; it always holds the task's id."""
    head = [_headline(t, message)]
    if message.parent_id is not None:
        closed = t("For <#{thread}>, which is closed.", thread=message.due.delivery.channel_id)
        head.append(small(closed))
    facts, late = small(_facts(t, message)), _late(t, message, now)
    if message.attachment is not None:
        return "\n".join([*head, facts, *_about_file(t, message, now), *late])
    problem = _problem_lines(t, message)
    chars_left = MAX_CONTENT - sum(length(line) + 1 for line in (*head, *problem, facts, *late))
    if message.due.task.state is TaskState.COMPLETED:
        body = [] if message.is_bare else _link_lines(t, message, now, chars_left)
    else:
        body = _reason_lines(t, message, min(chars_left, _MAX_REASON))
    return "\n".join([*head, *problem, *body, facts, *late])


def alt_text(message: ResultMessage) -> str | None:
    """The description of the attachment: the note, where there is one and the message may hold it."""
    note = message.due.delivery.note
    return one_line(note, _MAX_ALT) if note and not message.is_bare else None


def _headline(t: Translator, message: ResultMessage) -> str:
    """Whom it is for, the note, and what became of the video."""
    due = message.due
    people = " ".join(person(i) for i in dict.fromkeys((due.delivery.requester_id, *due.watchers)))
    has_note = due.delivery.note and not message.is_bare
    note = f" {code(due.delivery.note or '', _MAX_NOTE)}" if has_note else ""
    match due.task.state:
        case TaskState.COMPLETED if message.attachment is not None:
            return f"🎬{note} {people}" if note else t("🎬 {people} your video is ready.", people=people)
        case TaskState.COMPLETED:
            return t("🎬 {people} your video is ready, but I cannot attach it.", people=people) + note
        case TaskState.FAILED:
            return t("❌ {people} there is no video.", people=people) + note
        case TaskState.LOST | TaskState.WAITING:
            return t("❓ {people} I stopped waiting for this video.", people=people) + note


def _facts(t: Translator, message: ResultMessage) -> str:
    """What is known of it, in small print, the id last: length, size, model, time taken."""
    task, video = message.due.task, message.attachment
    facts = []
    if video is not None:
        seconds = video.seconds or task.seconds
        facts += [t("{seconds} s", seconds=round(seconds))] if seconds else []
        facts += [f"{video.width}\u00d7{video.height}"] if video.width and video.height else []
        facts += [megabytes(video.size)]
    if task.model and not message.is_bare:
        facts.append(code(task.model, 60))
    if task.took is not None:
        took = duration(t, task.took)
        is_ready = task.state is TaskState.COMPLETED
        facts.append(t("took {time}", time=took) if is_ready else t("failed after {time}", time=took))
    return " · ".join([*facts, listed(t, (task.id, *message.shared_ids), MAX_CONTENT)])


def _problem_lines(t: Translator, message: ResultMessage) -> list[str]:
    """Why the video of a completed task is not attached."""
    if message.problem is None:
        return []
    lines = [sentence_line(sentence(t, message.problem), _MAX_PROBLEM)]
    if message.problem.code is ProblemCode.MAY_NOT_ATTACH:
        lines.append(small(t(_ASK_FOR_FILES)))
    return lines


def _about_file(t: Translator, message: ResultMessage, now: int) -> list[str]:
    """In small print: whether the attachment is another file than the original, and until when that lives."""
    task, link = message.due.task, living_link(message.due.task, now)
    notes = [] if message.is_bare else [_smaller(t, message)]
    has_button = link is not None and len(plain_link(link)) <= MAX_BUTTON_URL
    if task.link_ends_at is not None and has_button and not message.is_bare:
        notes.append(t("Original file: until {time}.", time=date_time(task.link_ends_at)))
    lines = [small(t.sentences(*notes))] if any(notes) else []
    if message.attachment is not None and not message.attachment.plays_in_discord:
        may_not_play = t("It may not play inside Discord: download it to watch it.")
        lines.append(small(may_not_play))
    return lines


def _late(t: Translator, message: ResultMessage, now: int) -> list[str]:
    finished_at = message.due.task.finished_at
    if finished_at is None or now - finished_at <= _LATE:
        return []
    late = t("The API finished it {ago}; sorry for the wait.", ago=ago(finished_at))
    return [small(late)]


def _reason_lines(t: Translator, message: ResultMessage, max_length: int) -> list[str]:
    """Why there is no video and what to do; then the API's own words, unless the message is bare."""
    task, bare = message.due.task, message.is_bare
    if message.shared_ids:
        lines = [
            t(
                "The video API does not know these ids. Check that you copied all of each, then "
                "track them again."
            )
        ]
    elif task.cause:
        lines = [sentence_line(stored_sentence(t, task.cause, with_data=not bare), 400)]
    else:
        found = explanation(t, task.reason)
        lines = [t.sentences(found.sentence, found.advice)]
    if bare and task.reason:
        lines.append(t("Its own words were blocked in this channel; `/veo status` shows them to you alone."))
    elif task.reason:
        lines += _api_words(t, task.reason, max_length - sum(length(line) + 1 for line in lines))
    elif not task.cause:
        lines.append(t("The video API did not say why."))
    return lines


def _api_words(t: Translator, words: str, max_length: int) -> list[str]:
    """The API's own words in a block, where there is space for some."""
    said = t("The video API said:")
    chars_left = max_length - length(said) - 1
    return [said, code_block(words, chars_left)] if chars_left >= _MIN_BLOCK else []


def _smaller(t: Translator, message: ResultMessage) -> str:
    """Said whenever the bytes are not the API's own."""
    video, size = message.attachment, message.original_size
    if size is None or video is None:
        return ""
    # In two places, so that both have the same unit.
    return t(
        "Made smaller to fit this server ({size} of {original}).",
        size=megabytes(video.size),
        original=megabytes(size),
    )


def _link_lines(t: Translator, message: ResultMessage, now: int, chars_left: int) -> list[str]:
    """The link in words, because there is no attachment: it is all that people get."""
    link, ends_at = living_link(message.due.task, now), message.due.task.link_ends_at
    if ends_at is None:
        return []
    if link is None:
        return [t("The API's link to it has ended as well.")]
    until = date_time(ends_at)
    whole = t("Download it before {time}:", time=until) + f" <{plain_link(link)}>"
    if length(whole) < chars_left:
        return [whole]
    if len(plain_link(link)) <= MAX_BUTTON_URL:
        return [t("Download it before {time}, with the button below.", time=until)]
    return [t("Its link is too long for a message; the API's own reply holds it (until {time}).", time=until)]


# -- in a direct message ---------------------------------------------------------------------------


def undeliverable(t: Translator, message: ResultMessage, why: Problem, now: int) -> str:
    """The direct message to the person who asked: the result, why it is not in the channel, what is next."""
    delivery, task = message.due.delivery, message.due.task
    lines = [_private_headline(t, message, why)]
    if delivery.note:
        lines.append(small(code(delivery.note, _MAX_NOTE)))
    lines.append(t(_NEXT.get(why.code, _ASK_AGAIN)))
    if message.shared_ids:
        ids = listed(t, message.shared_ids, _MAX_SHARED)
        lines.append(t("The same goes for {ids}.", ids=ids))
    link = living_link(task, now)
    if task.state is not TaskState.COMPLETED:
        lines += _reason_lines(t, message, _MAX_REASON)
    elif message.attachment is not None:
        lines.append(t.sentences(t("Here is your video."), _smaller(t, message)))
    elif link is not None and length(link := plain_link(link)) < _MAX_REASON:
        lines.append(_private_link(t, link, task.link_ends_at))
    return "\n".join(lines)


def _private_headline(t: Translator, message: ResultMessage, why: Problem) -> str:
    what = {
        TaskState.COMPLETED: marked("{id} is ready, but I could not post it in {channel}."),
        TaskState.FAILED: marked("{id} failed, and I could not post that in {channel}."),
        TaskState.LOST: marked("I stopped waiting for {id}, and could not post that in {channel}."),
        TaskState.WAITING: marked("I could not post {id} in {channel}."),
    }[message.due.task.state]
    is_gone = why.code is ProblemCode.CHANNEL_GONE
    channel = t("its channel") if is_gone else f"<#{message.due.delivery.channel_id}>"
    head = t(what, id=code(message.due.task.id), channel=channel)
    return t.sentences(head, sentence_line(sentence(t, why), 200))


def _private_link(t: Translator, link: str, ends_at: int | None) -> str:
    if ends_at is None:
        return t("The API's own link:") + f" <{link}>"
    return t("The API's own link (until {time}):", time=date_time(ends_at)) + f" <{link}>"


def listed(t: Translator, ids: Sequence[str], max_length: int) -> str:
    """As code, as many as fit; `ids_that_fit` has chosen so few that all of them do."""
    names: list[str] = []
    left = max_length
    for task_id in ids:
        left -= length(code(task_id)) + 2
        if left < 0 and names:
            return t("{ids} and {count} more", ids=", ".join(names), count=len(ids) - len(names))
        names.append(code(task_id))
    return ", ".join(names)
