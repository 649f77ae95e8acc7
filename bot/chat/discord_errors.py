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

logger = logging.getLogger(__name__)

TOO_LARGE = {40005, 50045}
UNKNOWN_MESSAGE = 10008
_BLOCKED_BY_EDGE = 40333
_OVERLOADED = 130000
_INVALID_FORM = 50035

_OBSTACLES: dict[int, tuple[type[Undeliverable], str]] = {
    10003: (Undeliverable, "the channel is gone"),
    50001: (Undeliverable, "I have no access to the channel any more"),
    50007: (Undeliverable, "they take no direct messages from me"),
    50278: (Undeliverable, "they take no direct messages from me"),
    50008: (Undeliverable, "nothing can be posted in a channel of this kind"),
    50013: (PermissionLost, "I may not post or attach files in the channel any more"),
    50083: (ThreadClosed, "the thread is archived and locked"),
    160005: (ThreadClosed, "the thread is locked"),
    160006: (ThreadClosed, "the thread is archived, and its channel has too many active ones"),
    200000: (MessageRefused, "the server's AutoMod blocked the message"),
    240000: (MessageRefused, "Discord blocked a link in the message"),
    _INVALID_FORM: (MessageRefused, "Discord did not accept the message's form"),
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
        kind, sentence = _OBSTACLES[error.code]
        return kind(sentence)
    if error.status == 403:
        return Undeliverable("Discord does not allow it here")
    if error.status == 429 or error.status >= 500 or error.code == _OVERLOADED:
        return DiscordUnavailable(f"Discord answered {error.status}")
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
