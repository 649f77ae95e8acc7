"""Maps Discord's HTTP errors to our exceptions, one class per reaction.

The codes are from Discord's "Opcodes and Status Codes"; match on the status first, since what comes from
the edge in front of Discord carries no code.
"""

import logging

import discord

from bot.core.errors import (
    CourierError,
    DiscordUnavailable,
    MessageRefused,
    PermissionLost,
    ThreadClosed,
    TokenRefused,
    TooLargeForDiscord,
    Undeliverable,
)
from bot.core.problems import ProblemCode

logger = logging.getLogger(__name__)

TOO_LARGE = {40005, 50045}
UNKNOWN_MESSAGE = 10008
_BLOCKED_BY_EDGE = 40333
_OVERLOADED = 130000
_INVALID_FORM = 50035

_OBSTACLES: dict[int, tuple[type[Undeliverable], ProblemCode]] = {
    10003: (Undeliverable, ProblemCode.CHANNEL_GONE),
    50001: (Undeliverable, ProblemCode.NO_ACCESS),
    50007: (Undeliverable, ProblemCode.NO_DIRECT_MESSAGES),
    50278: (Undeliverable, ProblemCode.NO_DIRECT_MESSAGES),
    50008: (Undeliverable, ProblemCode.WRONG_CHANNEL_KIND),
    50013: (PermissionLost, ProblemCode.MAY_NOT_POST),
    50083: (ThreadClosed, ProblemCode.THREAD_LOCKED),
    160005: (ThreadClosed, ProblemCode.THREAD_LOCKED),
    160006: (ThreadClosed, ProblemCode.THREAD_LIMIT),
    200000: (MessageRefused, ProblemCode.BLOCKED_BY_AUTOMOD),
    240000: (MessageRefused, ProblemCode.LINK_BLOCKED),
    _INVALID_FORM: (MessageRefused, ProblemCode.FORM_REFUSED),
}


def translated(error: discord.HTTPException) -> CourierError | None:
    """None for what is our bug, or the caller's to judge (10008)."""
    if error.status == 413 or error.code in TOO_LARGE:
        return TooLargeForDiscord("Discord does not take a file of this size")
    if error.status == 401:
        return TokenRefused("Discord no longer accepts DISCORD_TOKEN: it was reset or revoked")
    if error.code in _OBSTACLES:
        if error.code == _INVALID_FORM:
            # Worked around, and still a bug of ours.
            logger.error("Discord does not accept the form of a message: %s", error.text)
        kind, problem = _OBSTACLES[error.code]
        return kind(problem)
    if error.status == 403:
        return Undeliverable(ProblemCode.NOT_ALLOWED)
    if error.status == 429 or error.status >= 500 or error.code == _OVERLOADED:
        return DiscordUnavailable(f"Discord answered {error.status}", status=error.status)
    return None


def is_edge_block(error: discord.HTTPException) -> bool:
    """Blocked before Discord itself saw the call: a 403 that is a page, a 429 without `Via`."""
    headers = error.response.headers
    if error.status == 429:
        return "Via" not in headers
    is_page = not headers.get("Content-Type", "").startswith("application/json")
    return error.status == 403 and (is_page or error.code == _BLOCKED_BY_EDGE)


def is_unknown_message(error: BaseException) -> bool:
    """404/10008: the message was deleted; on a send, its nonce belongs to a deleted message."""
    return isinstance(error, discord.NotFound) and error.code == UNKNOWN_MESSAGE
