"""Turns an answer of Discord into a reaction: one pure function, with a default for what nobody listed.

The codes are from Discord's "Opcodes and Status Codes". The status counts first, because what comes from the
edge in front of Discord carries no code.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import discord

from bot.core.problems import ProblemCode
from bot.core.reactions import Reaction


class Call(StrEnum):
    """What was called."""

    UPLOAD = "upload"  # Create Message with a file
    TEXT = "text"  # Create Message without one
    EDIT = "edit"
    DELETE = "delete"
    READ = "read"
    OPEN_DIRECT = "open_direct"  # Create DM


@dataclass(frozen=True, slots=True)
class DiscordAnswer:
    """An HTTP answer that is no success.

    `code` is that of Discord's JSON error, 0 in such an error without one, and None in anything else: a
    page, an empty body, another server's JSON.
    """

    status: int
    code: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""  # Discord's own words about it, for the log

    @property
    def retry_after(self) -> float | None:
        """The seconds that it asks us to wait; None when it does not say so in seconds."""
        text = self.headers.get("Retry-After", "").strip()
        return float(text) if _SECONDS.fullmatch(text) else None


_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_TOO_LARGE = frozenset({40005, 50045})
_ODD_STATUSES = frozenset({408, 409, 425})

_KNOWN: Mapping[int, tuple[Reaction, ProblemCode]] = {
    10003: (Reaction.CHANNEL_GONE, ProblemCode.CHANNEL_GONE),
    10004: (Reaction.NO_ACCESS, ProblemCode.NO_ACCESS),
    10008: (Reaction.MESSAGE_GONE, ProblemCode.MESSAGE_DELETED),
    10013: (Reaction.PERSON_UNREACHABLE, ProblemCode.NO_DIRECT_MESSAGES),
    50001: (Reaction.NO_ACCESS, ProblemCode.NO_ACCESS),
    50007: (Reaction.PERSON_UNREACHABLE, ProblemCode.NO_DIRECT_MESSAGES),
    50008: (Reaction.CHANNEL_GONE, ProblemCode.WRONG_CHANNEL_KIND),
    50013: (Reaction.MISSING_PERMISSION, ProblemCode.MAY_NOT_POST),
    50083: (Reaction.THREAD_CLOSED, ProblemCode.THREAD_LOCKED),
    50278: (Reaction.PERSON_UNREACHABLE, ProblemCode.NO_DIRECT_MESSAGES),
    160005: (Reaction.THREAD_CLOSED, ProblemCode.THREAD_LOCKED),
    160006: (Reaction.THREAD_CLOSED, ProblemCode.THREAD_LIMIT),
    200000: (Reaction.WORDS_REFUSED, ProblemCode.BLOCKED_BY_AUTOMOD),
    240000: (Reaction.WORDS_REFUSED, ProblemCode.LINK_BLOCKED),
    50035: (Reaction.WORDS_REFUSED, ProblemCode.FORM_REFUSED),
    40333: (Reaction.EDGE_BLOCK, ProblemCode.DISCORD_UNAVAILABLE),
    # Limits of Discord that pass: slowmode, writes per channel and server, direct messages opened too fast.
    20016: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    20022: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    20028: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    20029: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    31001: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    31002: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    40003: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    40062: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
    130000: (Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE),
}


def react(answer: DiscordAnswer, call: Call) -> tuple[Reaction, ProblemCode]:
    """What to do about it, and what to tell people."""
    status, code = answer.status, answer.code
    if status == 413 or (code in _TOO_LARGE and status < 500):
        return _too_large(call)
    if status >= 500:
        return Reaction.PASSING, ProblemCode.DISCORD_UNAVAILABLE
    if status == 429:
        reaction = Reaction.EDGE_BLOCK if _is_from_the_edge(answer) else Reaction.PASSING
        return reaction, ProblemCode.DISCORD_UNAVAILABLE
    if status == 401:
        return Reaction.CHECK_TOKEN, ProblemCode.DISCORD_UNAVAILABLE
    if code is not None and code in _KNOWN:
        return _KNOWN[code]
    if status == 403 and _is_from_the_edge(answer):
        return Reaction.EDGE_BLOCK, ProblemCode.DISCORD_UNAVAILABLE
    if status in _ODD_STATUSES or not code or status < 400:
        return Reaction.ODD, ProblemCode.NOT_ACCEPTED
    return Reaction.FORM_REFUSED, ProblemCode.NOT_ACCEPTED


def _too_large(call: Call) -> tuple[Reaction, ProblemCode]:
    """Too large is a file. A text that is found too large may be taken in fewer words."""
    if call is Call.UPLOAD:
        return Reaction.TOO_LARGE, ProblemCode.TOO_LARGE_HERE
    return Reaction.FORM_REFUSED, ProblemCode.NOT_ACCEPTED


def _is_from_the_edge(answer: DiscordAnswer) -> bool:
    """Whether only Cloudflare can have written it.

    Discord answers through Google's front end, which adds `Via`, and in JSON; a REST proxy of the operator's
    own says how long to wait.
    """
    return "Via" not in answer.headers and answer.retry_after is None and answer.code is None


def read_error(error: discord.HTTPException) -> DiscordAnswer:
    """The answer that discord.py raised."""
    headers = error.response.headers
    return DiscordAnswer(error.status, _code(error, headers), headers, str(error.text))


def _code(error: discord.HTTPException, headers: Mapping[str, str]) -> int | None:
    """discord.py reads JSON only under exactly `application/json`, and keeps anything else as its text."""
    code: object = error.code
    if code:
        return code if isinstance(code, int) else 0
    text: object = error.text
    if headers.get("Content-Type") == "application/json":
        return 0 if text and isinstance(text, str) else None
    try:
        body = json.loads(error.text)
    except (ValueError, TypeError):
        return None
    if not isinstance(body, dict) or "message" not in body:
        return None
    code = body.get("code")
    return code if isinstance(code, int) else 0
