"""Each answer of Discord and each failure on the way, and which of our errors it becomes."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import aiohttp
import discord
import pytest

from bot.chat.answers import describe
from bot.chat.discord_errors import is_unknown_message, uncancelled
from bot.core.errors import (
    DiscordUnavailable,
    PermissionLost,
    TokenRefused,
    TooLargeForDiscord,
    Undeliverable,
)
from tests.timing import eventually


@dataclass
class Response:
    """As much of an HTTP response as discord.py's exceptions read."""

    status: int
    reason: str = "Reason"


def error_of(status: int, code: int | None = 0) -> discord.HTTPException:
    """As discord.py raises it; code None is an answer of the edge: HTML."""
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(
        status, discord.DiscordServerError if status >= 500 else discord.HTTPException
    )
    body: Any = "<html>blocked</html>" if code is None else {"code": code, "message": "a message"}
    response: Any = Response(status)
    return kind(response, body)


async def raise_(error: BaseException) -> None:
    raise error


async def outcome_of(error: BaseException) -> BaseException:
    try:
        await uncancelled(raise_(error))
    except Exception as raised:
        return raised
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        (404, 10003, Undeliverable),
        (403, 50001, Undeliverable),
        (403, 50013, PermissionLost),
        (400, 50008, Undeliverable),
        (400, 50083, Undeliverable),
        (400, 160005, Undeliverable),
        (400, 200000, Undeliverable),
        (400, 240000, Undeliverable),
        (413, 40005, TooLargeForDiscord),
        (413, None, TooLargeForDiscord),
        (400, 40005, TooLargeForDiscord),
        (400, 50045, TooLargeForDiscord),
        (401, 0, TokenRefused),
        (401, 40001, TokenRefused),
        (403, 40333, DiscordUnavailable),
        (403, None, DiscordUnavailable),
        (429, 0, DiscordUnavailable),
        (429, None, DiscordUnavailable),
        (500, 0, DiscordUnavailable),
        (502, None, DiscordUnavailable),
        (503, 0, DiscordUnavailable),
        (503, 130000, DiscordUnavailable),
        (400, 130000, DiscordUnavailable),
        (404, 10008, discord.NotFound),
        (400, 50035, discord.HTTPException),
        (403, 50007, Undeliverable),
        (403, 50278, Undeliverable),
    ],
)
async def test_uncancelled_with_an_error_answer_raises_ours(
    status: int, code: int | None, ours: type[Exception]
):
    """Obstacles become ours; 10008 is the caller's to judge, and a malformed request is our bug."""
    theirs = error_of(status, code)

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
async def test_uncancelled_with_no_answer_raises_discord_unavailable(error: Exception):
    """Whatever happens on the way may not happen the next time."""
    raised = await outcome_of(error)

    assert isinstance(raised, DiscordUnavailable)
    assert type(error).__name__ in str(raised)
    assert raised.retry_after is None


async def test_uncancelled_when_rate_limited_keeps_the_time_asked_for():
    """discord.py raises RateLimited for a wait longer than it is willing to sleep."""
    raised = await outcome_of(discord.RateLimited(90.5))

    assert isinstance(raised, DiscordUnavailable)
    assert raised.retry_after == 90.5


@pytest.mark.parametrize("code", [40333, None])
async def test_uncancelled_when_blocked_by_the_edge_waits_ten_minutes(code: int | None):
    """Asking on makes a block longer."""
    raised = await outcome_of(error_of(403, code))

    assert isinstance(raised, DiscordUnavailable)
    assert raised.retry_after == 600


async def test_uncancelled_with_a_bug_lets_it_through():
    """Only the world's failures are translated."""
    bug = KeyError("id")

    assert await outcome_of(bug) is bug


async def test_uncancelled_with_an_answer_returns_it():
    """The usual case."""

    async def call() -> int:
        return 5

    assert await uncancelled(call()) == 5


@pytest.mark.parametrize("fails", [False, True])
async def test_uncancelled_with_a_cancelled_caller_lets_the_call_run_to_its_end(
    fails: bool, caplog: pytest.LogCaptureFixture
):
    """A cancelled send during a global 429 would freeze every later call of discord.py."""
    go, ended = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        await go.wait()
        ended.set()
        if fails:
            raise error_of(503)

    caller = asyncio.create_task(uncancelled(call()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not ended.is_set()

    go.set()
    await eventually(lambda: len(asyncio.all_tasks()) == 1)

    assert ended.is_set()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


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
def test_describe_of_an_error_names_its_kind_and_no_more(error: Exception, text: str):
    """The request, whose headers hold the token, is never in it."""
    assert describe(error) == text
