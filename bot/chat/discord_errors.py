"""What an answer of Discord means for us: its errors become ours, cut by the reaction.

The codes are from Discord's "Opcodes and Status Codes"; match on the status first, since what comes from
the edge in front of Discord carries no code.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import aiohttp
import discord

from bot.core.clock import MINUTE, SECOND
from bot.core.errors import (
    CourierError,
    DiscordUnavailable,
    PermissionLost,
    TokenRefused,
    TooLargeForDiscord,
    Undeliverable,
)

Answer = TypeVar("Answer")

TOO_LARGE = {40005, 50045}
UNKNOWN_MESSAGE = 10008
_BLOCKED_BY_EDGE = 40333
_OVERLOADED = 130000
_BLOCK_PAUSE = 10 * MINUTE / SECOND

_MISSING_PERMISSIONS = 50013
_CHANNEL_CLOSED = {
    10003: "the channel is gone",
    50001: "I have no access to the channel any more",
    50007: "they take no direct messages from me",
    50278: "they take no direct messages from me",
    50008: "nothing can be posted in a channel of this kind",
    50083: "the thread is archived and locked",
    160005: "the thread is locked",
    200000: "the server's AutoMod blocked the message",
    240000: "Discord blocked a link in the message",
}


async def uncancelled(call: Awaitable[Answer]) -> Answer:
    """The call's answer, or our error. A cancelled caller leaves the call running.

    A cancel while discord.py 2.7.1 sleeps off a global 429 leaves its gate closed: every later call of
    the process hangs (http.py, `_global_over`).
    """
    job = asyncio.ensure_future(call)
    job.add_done_callback(_look_at)
    try:
        return await asyncio.shield(job)
    except discord.RateLimited as error:
        raise DiscordUnavailable("Discord asks to slow down", retry_after=error.retry_after) from error
    except discord.HTTPException as error:
        ours = _translated(error)
        if ours is None:
            raise
        raise ours from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DiscordUnavailable(f"no answer from Discord ({type(error).__name__})") from error


def _look_at(job: asyncio.Future[Answer]) -> None:
    """Without this a failure after its caller was cancelled is logged as an error of the program."""
    if not job.cancelled():
        job.exception()


def _translated(error: discord.HTTPException) -> CourierError | None:
    """None for what is no obstacle but our bug (malformed) or the caller's to judge (10008)."""
    if error.status == 413 or error.code in TOO_LARGE:
        return TooLargeForDiscord("Discord does not take a file of this size")
    if error.status == 401:
        return TokenRefused("Discord no longer accepts DISCORD_TOKEN: it was reset or revoked")
    if error.code == _MISSING_PERMISSIONS:
        return PermissionLost("I may not post or attach files in the channel any more")
    if error.code in _CHANNEL_CLOSED:
        return Undeliverable(_CHANNEL_CLOSED[error.code])
    if error.status == 403 and error.code in (0, _BLOCKED_BY_EDGE):
        return DiscordUnavailable("Discord's edge blocks this machine", retry_after=_BLOCK_PAUSE)
    if error.status == 429 or error.status >= 500 or error.code == _OVERLOADED:
        return DiscordUnavailable(f"Discord answered {error.status}")
    return None


def is_unknown_message(error: BaseException) -> bool:
    """404/10008: the message was deleted; on a send, its nonce belongs to a deleted message."""
    return isinstance(error, discord.NotFound) and error.code == UNKNOWN_MESSAGE
