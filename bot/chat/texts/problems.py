"""What went wrong, in sentences: one for each problem code."""

from collections.abc import Callable, Mapping

from bot.chat.texts.escape import code
from bot.chat.texts.language import Translator, marked
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode

Data = Mapping[str, str | int]
_MIB = 1 << 20


def sentence(t: Translator, problem: Problem) -> str:
    """What people read about a problem: a whole sentence, or several."""
    written = _SENTENCES[problem.code]
    return t(written) if isinstance(written, str) else written(t, problem.data)


def stored_sentence(t: Translator, text: str, *, with_data: bool = True) -> str:
    """The same for what is stored; version 0.1.0 stored sentences, which are shown as they are.

    Without data no word in it is from outside.
    """
    problem = Problem.from_text(text)
    if problem is None:
        return text
    words = (
        {} if with_data else {name: value for name, value in problem.data.items() if isinstance(value, int)}
    )
    return sentence(t, problem if with_data else Problem(problem.code, words))


def _past_deadline(t: Translator, data: Data) -> str:
    status = str(data.get("api_status") or "")
    time = _duration(t, data, "deadline")
    if not status:
        first = t("The video was not finished within {time}.", time=time)
    else:
        first = t(
            "The video was not finished within {time}; the API still says {status}.",
            time=time,
            status=code(status, 40),
        )
    return t.sentences(first, t("Tracking it again starts a new wait."))


def _no_answer(t: Translator, data: Data) -> str:
    return t(
        "The video API has given no usable answer for {time}. Tracking it again starts a new wait.",
        time=_duration(t, data, "silence"),
    )


def _too_large(t: Translator, data: Data) -> str:
    """Up for the video and down for the limit, so that the sentence never contradicts itself."""
    limit = _rounded(t, _number(data, "limit"))
    if "size" not in data:
        return t("The video is larger than this bot may download (the limit is {limit}).", limit=limit)
    return t(
        "The video is larger than this bot may download ({size}; the limit is {limit}).",
        size=_rounded(t, _number(data, "size"), up=True),
        limit=limit,
    )


def _status_of_host(t: Translator, data: Data) -> str:
    if "status" not in data:
        return t("The video's host refuses the link.")
    return t("The video's host refuses the link (it answers {status}).", status=data["status"])


def _discord_unavailable(t: Translator, data: Data) -> str:
    if "blocked" in data:
        return t("Discord does not take anything from this bot for some minutes.")
    if "status" in data:
        return t("Discord answered {status}.", status=data["status"])
    return t("Discord did not answer.")


def _not_accepted(t: Translator, data: Data) -> str:
    """With Discord's numbers, because nobody knows their meaning here."""
    if "status" not in data:
        return t("Discord does not accept the message here.")
    if not data.get("discord_code"):
        return t("Discord does not accept the message here (it answers {status}).", status=data["status"])
    return t(
        "Discord does not accept the message here (it answers {status}, code {code}).",
        status=data["status"],
        code=data["discord_code"],
    )


_SENTENCES: Mapping[ProblemCode, str | Callable[[Translator, Data], str]] = {
    ProblemCode.NO_VIDEO: marked(
        "The video API finished, but gave no video. This usually means that a filter removed it."
    ),
    ProblemCode.UNKNOWN_ID: marked(
        "The video API does not know this id. Check that you copied all of it, then track it again."
    ),
    ProblemCode.FORGOTTEN_ID: marked(
        "The video API no longer knows this id. Its result is gone; create the video again."
    ),
    ProblemCode.REFUSED_ID: marked(
        "The video API refuses to say anything about this id. Perhaps it belongs to another account."
    ),
    ProblemCode.PAST_DEADLINE: _past_deadline,
    ProblemCode.NO_ANSWER: _no_answer,
    ProblemCode.LINK_UNUSABLE: marked("The video's link is not a usable web address."),
    ProblemCode.LINK_FORBIDDEN: marked("The video's link leads to an address that this bot may not visit."),
    ProblemCode.LINK_REDIRECTED: marked("The video's link is redirected too often."),
    ProblemCode.LINK_REFUSED: _status_of_host,
    ProblemCode.LINK_DEAD: marked("The video's host no longer gives it out, so I could not attach it."),
    ProblemCode.LINK_ENDED: marked("Its link ended before I could download the video."),
    ProblemCode.VIDEO_TOO_LARGE: _too_large,
    ProblemCode.NOT_AN_MP4: marked("The video's link does not lead to an MP4 file."),
    ProblemCode.DOWNLOAD_INTERRUPTED: marked("The video did not arrive as a whole."),
    ProblemCode.DOWNLOAD_FAILED: marked(
        "I could not download it for two hours: please download it yourself."
    ),
    ProblemCode.TOO_LARGE_HERE: marked("It is too large to attach in this channel."),
    ProblemCode.MAY_NOT_ATTACH: marked("I may not attach files in the channel."),
    ProblemCode.MAY_NOT_POST: marked("I may not post messages with files in the channel."),
    ProblemCode.CHANNEL_GONE: marked("The channel was deleted."),
    ProblemCode.NO_ACCESS: marked("I cannot see the channel."),
    ProblemCode.NO_DIRECT_MESSAGES: marked("They take no direct messages from me."),
    ProblemCode.WRONG_CHANNEL_KIND: marked("Nothing can be posted in a channel of this kind."),
    ProblemCode.THREAD_LOCKED: marked("The thread is archived and locked."),
    ProblemCode.THREAD_LIMIT: marked("The thread is archived, and its channel has too many active ones."),
    ProblemCode.BLOCKED_BY_AUTOMOD: marked("The server's AutoMod blocked the message."),
    ProblemCode.LINK_BLOCKED: marked("Discord blocked a link in the message."),
    ProblemCode.FORM_REFUSED: marked("Discord did not accept the message's form."),
    ProblemCode.NOT_ACCEPTED: _not_accepted,
    ProblemCode.FILE_REFUSED: marked("Discord does not take the file in this channel."),
    ProblemCode.NOT_TAKEN: marked("Discord has not taken it for a day."),
    ProblemCode.MESSAGE_DELETED: marked("The message was deleted."),
    ProblemCode.DISCORD_UNAVAILABLE: _discord_unavailable,
    ProblemCode.STORAGE_UNAVAILABLE: marked(
        "My disk or database is in trouble; the person who runs the bot sees it in the log."
    ),
    ProblemCode.OUR_BUG: marked("An error of the bot; the person who runs it sees it in the log."),
    ProblemCode.OTHER: marked("Something did not work; I try again."),
}


def _duration(t: Translator, data: Data, name: str) -> str:
    milliseconds = _number(data, name)
    if milliseconds >= HOUR:
        return t("{number:g} hours", number=milliseconds / HOUR)
    if milliseconds >= MINUTE:
        return t("{number:g} minutes", number=milliseconds / MINUTE)
    return t("{number:g} seconds", number=milliseconds / SECOND)


def _rounded(t: Translator, size: int, *, up: bool = False) -> str:
    if size < _MIB:
        return t("{number} bytes", number=size)
    return f"{-(-size // _MIB) if up else size // _MIB} MiB"


def _number(data: Data, name: str) -> int:
    try:
        return int(data.get(name, 0))
    except ValueError:
        return 0
