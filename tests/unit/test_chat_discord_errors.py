"""Each answer of Discord and each failure on the way, and which of our errors it becomes."""

from dataclasses import dataclass, field
from typing import Any

import aiohttp
import discord
import pytest

from bot.chat.discord_errors import is_unknown_message
from bot.chat.outbound import DISCORD_RATE, Outbound
from bot.chat.responses import describe_error
from bot.core.errors import (
    DiscordUnavailable,
    MessageRefused,
    PermissionLost,
    ThreadClosed,
    TokenRefused,
    TooLargeForDiscord,
    Undeliverable,
)
from bot.core.rate_limit import RateLimiter
from bot.metrics import Metrics
from tests.timing import FakeClock


@dataclass
class Response:
    """As much of an HTTP response as discord.py's exceptions read."""

    status: int
    reason: str = "Reason"
    headers: dict[str, str] = field(default_factory=dict)


def error_of(status: int, code: int | None = 0) -> discord.HTTPException:
    """As discord.py raises it; code None is an answer of the edge: HTML."""
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(
        status, discord.DiscordServerError if status >= 500 else discord.HTTPException
    )
    body: Any = "<html>blocked</html>" if code is None else {"code": code, "message": "a message"}
    form = "text/html" if code is None else "application/json"
    response: Any = Response(status, headers={"Content-Type": form})
    return kind(response, body)


def seen_by_discord(error: discord.HTTPException) -> discord.HTTPException:
    """What comes from Discord itself passed its proxies."""
    response: Any = error.response
    response.headers["Via"] = "1.1 google"
    return error


async def raise_(error: BaseException) -> None:
    raise error


async def outcome_of(error: BaseException) -> BaseException:
    clock = FakeClock()
    try:
        await Outbound(clock, RateLimiter(DISCORD_RATE, clock), Metrics()).call(lambda: raise_(error))
    except Exception as raised:
        return raised
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        (404, 10003, Undeliverable),
        (403, 50001, Undeliverable),
        (403, 50013, PermissionLost),
        (403, 0, Undeliverable),
        (403, 99999, Undeliverable),
        (400, 50008, Undeliverable),
        (400, 50083, ThreadClosed),
        (403, 160005, ThreadClosed),
        (400, 200000, MessageRefused),
        (400, 240000, MessageRefused),
        (413, 40005, TooLargeForDiscord),
        (413, None, TooLargeForDiscord),
        (400, 40005, TooLargeForDiscord),
        (400, 50045, TooLargeForDiscord),
        (401, 0, TokenRefused),
        (401, 40001, TokenRefused),
        (403, 40333, DiscordUnavailable),
        (403, None, DiscordUnavailable),
        (429, 0, DiscordUnavailable),
        (500, 0, DiscordUnavailable),
        (502, None, DiscordUnavailable),
        (503, 0, DiscordUnavailable),
        (503, 130000, DiscordUnavailable),
        (400, 130000, DiscordUnavailable),
        (404, 10008, discord.NotFound),
        (400, 50035, MessageRefused),
        (403, 50007, Undeliverable),
        (403, 50278, Undeliverable),
    ],
)
async def test_error_answer_becomes_ours(status: int, code: int | None, ours: type[Exception]):
    """Obstacles become ours; 10008 is the caller's to judge."""
    theirs = seen_by_discord(error_of(status, code))

    raised = await outcome_of(theirs)

    assert type(raised) is ours
    assert raised is theirs or raised.__cause__ is theirs


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "Connection reset by peer"),
        aiohttp.ClientPayloadError("cut"),
        TimeoutError(),
        aiohttp.ServerTimeoutError(),
        ConnectionResetError(104, "Connection reset by peer"),
        OSError(101, "Network is unreachable"),
    ],
    ids=repr,
)
async def test_no_answer_is_discord_unavailable(error: Exception):
    """Whatever happens on the way may not happen the next time."""
    raised = await outcome_of(error)

    assert isinstance(raised, DiscordUnavailable)
    assert type(error).__name__ in str(raised)
    assert raised.retry_after is None


async def test_long_rate_limit_keeps_the_time_asked_for():
    """discord.py raises RateLimited for a wait longer than it is willing to sleep."""
    raised = await outcome_of(discord.RateLimited(90.5))

    assert isinstance(raised, DiscordUnavailable)
    assert raised.retry_after == 90.5


async def test_bug_is_let_through():
    """Only the world's failures are translated."""
    bug = KeyError("id")

    assert await outcome_of(bug) is bug


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (error_of(404, 10008), True),
        (error_of(404, 10003), False),
        (error_of(400, 10008), False),
        (ValueError(), False),
    ],
)
def test_is_unknown_message_by_status_and_code(error: Exception, expected: bool):
    """404 with 10008, and nothing else."""
    assert is_unknown_message(error) == expected


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (error_of(403, 50013), "Forbidden 403/50013"),
        (error_of(502, None), "DiscordServerError 502/0"),
        (aiohttp.ClientError("http://user:secret@proxy"), "ClientError"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_describe_error_names_its_kind_and_no_more(error: Exception, text: str):
    """The request, whose headers hold the token, is never in it."""
    assert describe_error(error) == text
