"""What went wrong, in sentences: one for each problem code, and the words of the API."""

from collections.abc import Callable, Mapping

from bot.chat.texts.escape import code
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode

Data = Mapping[str, str | int]
NO_REASON = "The video API gave no reason."
_MIB = 1 << 20


def sentence(problem: Problem) -> str:
    """What people read about a problem: a whole sentence, or several."""
    written = _SENTENCES[problem.code]
    return written if isinstance(written, str) else written(problem.data)


def stored_sentence(text: str, *, with_data: bool = True) -> str:
    """The same for what is stored; version 0.1.0 stored sentences, which are shown as they are.

    Without data no word in it is from outside.
    """
    problem = Problem.from_text(text)
    if problem is None:
        return text
    words = (
        {} if with_data else {name: value for name, value in problem.data.items() if isinstance(value, int)}
    )
    return sentence(problem if with_data else Problem(problem.code, words))


def fragment(problem: Problem) -> str:
    """The sentence as a part of another one: without its full stop and its capital, unless that is “I”."""
    text = sentence(problem).rstrip(".")
    return text if text.startswith(("I ", "Discord", "AutoMod")) else text[:1].lower() + text[1:]


def _past_deadline(data: Data) -> str:
    status = str(data.get("api_status") or "")
    still = f"the API still says {code(status, 40)}" if status else "it is still not finished"
    return f"No result within {_duration(data, 'deadline')}; {still}."


def _no_answer(data: Data) -> str:
    return f"The video API has given no usable answer for {_duration(data, 'silence')}."


def _too_large(data: Data) -> str:
    """Up for the video and down for the limit, so that the sentence never contradicts itself."""
    limit = f"the limit is {_rounded(_number(data, 'limit'))}"
    size = f"{_rounded(_number(data, 'size'), up=True)}; " if "size" in data else ""
    return f"The video is larger than this bot may download ({size}{limit})."


def _status_of_host(data: Data) -> str:
    status = f" (it answers {data['status']})" if "status" in data else ""
    return f"The video's host refuses the link{status}."


def _discord_unavailable(data: Data) -> str:
    if "blocked" in data:
        return "Discord's edge blocks this machine for some minutes."
    return f"Discord answered {data['status']}." if "status" in data else "Discord did not answer."


def _not_accepted(data: Data) -> str:
    """With Discord's numbers, because nobody knows their meaning here."""
    code_of_discord = f", code {data['discord_code']}" if data.get("discord_code") else ""
    answer = f" (it answers {data['status']}{code_of_discord})" if "status" in data else ""
    return f"Discord does not accept the message here{answer}."


_SENTENCES: Mapping[ProblemCode, str | Callable[[Data], str]] = {
    ProblemCode.NO_VIDEO: "The video API says completed, but gives no video.",
    ProblemCode.UNKNOWN_ID: "The video API does not know this id. Is it complete?",
    ProblemCode.FORGOTTEN_ID: "The video API no longer knows this id.",
    ProblemCode.REFUSED_ID: "The video API refuses to say anything about this id.",
    ProblemCode.PAST_DEADLINE: _past_deadline,
    ProblemCode.NO_ANSWER: _no_answer,
    ProblemCode.LINK_UNUSABLE: "The video's link is not a usable web address.",
    ProblemCode.LINK_FORBIDDEN: "The video's link leads to an address that this bot may not visit.",
    ProblemCode.LINK_REDIRECTED: "The video's link is redirected too often.",
    ProblemCode.LINK_REFUSED: _status_of_host,
    ProblemCode.LINK_DEAD: "The video's host does not give it out any more, so nothing could be attached.",
    ProblemCode.LINK_ENDED: "Its link ended before the video could be downloaded.",
    ProblemCode.VIDEO_TOO_LARGE: _too_large,
    ProblemCode.NOT_AN_MP4: "The video's link does not lead to an MP4 file.",
    ProblemCode.DOWNLOAD_INTERRUPTED: "The video did not arrive as a whole.",
    ProblemCode.DOWNLOAD_FAILED: "I could not download it for two hours: please download it yourself.",
    ProblemCode.TOO_LARGE_HERE: "It is too large to attach in this channel.",
    ProblemCode.MAY_NOT_ATTACH: "I may not attach files in the channel.",
    ProblemCode.MAY_NOT_POST: "I may not post or attach files in the channel any more.",
    ProblemCode.CHANNEL_GONE: "The channel is gone.",
    ProblemCode.NO_ACCESS: "I have no access to the channel any more.",
    ProblemCode.NO_DIRECT_MESSAGES: "They take no direct messages from me.",
    ProblemCode.WRONG_CHANNEL_KIND: "Nothing can be posted in a channel of this kind.",
    ProblemCode.THREAD_LOCKED: "The thread is archived and locked.",
    ProblemCode.THREAD_LIMIT: "The thread is archived, and its channel has too many active ones.",
    ProblemCode.BLOCKED_BY_AUTOMOD: "The server's AutoMod blocked the message.",
    ProblemCode.LINK_BLOCKED: "Discord blocked a link in the message.",
    ProblemCode.FORM_REFUSED: "Discord did not accept the message's form.",
    ProblemCode.NOT_ACCEPTED: _not_accepted,
    ProblemCode.FILE_REFUSED: "Discord does not take the file in this channel.",
    ProblemCode.NOT_TAKEN: "Discord has not taken it for a day.",
    ProblemCode.MESSAGE_DELETED: "The message was deleted.",
    ProblemCode.DISCORD_UNAVAILABLE: _discord_unavailable,
    ProblemCode.STORAGE_UNAVAILABLE: "My disk or database is in trouble; my operator sees it.",
    ProblemCode.OUR_BUG: "An error of the bot itself; its operator sees it.",
    ProblemCode.OTHER: "Something did not work; I try again.",
}


def _duration(data: Data, name: str) -> str:
    milliseconds = _number(data, name)
    if milliseconds >= HOUR:
        return f"{milliseconds / HOUR:g} hours"
    if milliseconds >= MINUTE:
        return f"{milliseconds / MINUTE:g} minutes"
    return f"{milliseconds / SECOND:g} seconds"


def _rounded(size: int, *, up: bool = False) -> str:
    if size < _MIB:
        return f"{size} bytes"
    return f"{-(-size // _MIB) if up else size // _MIB} MiB"


def _number(data: Data, name: str) -> int:
    try:
        return int(data.get(name, 0))
    except ValueError:
        return 0
