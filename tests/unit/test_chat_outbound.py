"""Calls to Discord: run to their end, in turn, and not at all while the edge blocks us."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import discord
import pytest

from bot.chat.outbound import Outbound
from bot.core.clock import MINUTE, SECOND, system_clock
from bot.core.errors import DiscordUnavailable, Undeliverable
from tests.timing import FakeClock, eventually


@dataclass
class Response:
    """As much of an HTTP response as discord.py's exceptions read."""

    status: int
    reason: str = "Reason"
    headers: dict[str, str] = field(default_factory=dict)


def http_error(status: int, code: int = 0, headers: dict[str, str] | None = None) -> discord.HTTPException:
    response: Any = Response(status, headers=headers or {})
    kind = discord.Forbidden if status == 403 else discord.HTTPException
    return kind(response, {"code": code, "message": "a message"})


JSON = {"Content-Type": "application/json"}
PAGE = {"Content-Type": "text/html"}
VIA = {"Via": "1.1 google"}


class Calls:
    """Counts what really goes out; fails with `error` when there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made = 0
        self.error = error

    async def __call__(self) -> int:
        self.made += 1
        if self.error:
            raise self.error
        return 5


async def test_answer_is_returned():
    assert await Outbound(FakeClock()).call(Calls()) == 5


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_caller_lets_the_call_run_to_its_end(fails: bool, caplog: pytest.LogCaptureFixture):
    """A cancelled send during a global 429 would freeze every later call of discord.py."""
    begun, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def call() -> None:
        begun.set()
        await go.wait()
        ended.set()
        if fails:
            raise http_error(503)

    caller = asyncio.create_task(Outbound(FakeClock()).call(call))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not ended.is_set()

    go.set()
    await eventually(lambda: len(asyncio.all_tasks()) == 1)

    assert ended.is_set()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "error",
    [http_error(403, headers=PAGE), http_error(403, 40333, JSON), http_error(429)],
    ids=["403 as a page", "403/40333", "429 without Via"],
)
async def test_block_by_the_edge_stops_every_call_for_ten_minutes(
    error: discord.HTTPException, caplog: pytest.LogCaptureFixture
):
    """Asking on makes a block longer; whoever asks meanwhile is told how long."""
    clock = FakeClock()
    outbound = Outbound(clock)
    with pytest.raises(DiscordUnavailable, match="edge") as raised:
        await outbound.call(Calls(error))
    assert raised.value.retry_after == 600
    assert [r.levelno for r in caplog.records] == [logging.ERROR]

    others = Calls()
    clock.advance(10 * MINUTE - SECOND)
    with pytest.raises(DiscordUnavailable) as meanwhile:
        await outbound.call(others)
    assert (others.made, meanwhile.value.retry_after) == (0, 1)

    clock.advance(SECOND)
    assert await outbound.call(others) == 5


@pytest.mark.parametrize(
    ("error", "ours"),
    [(http_error(429, headers=VIA), DiscordUnavailable), (http_error(403, headers=JSON), Undeliverable)],
    ids=["429", "403 without a code"],
)
async def test_what_discord_itself_refuses_blocks_nobody_else(
    error: discord.HTTPException, ours: type[Exception]
):
    """A 429 through Discord's proxies is one route's, a 403 in JSON one channel's."""
    outbound = Outbound(FakeClock())
    with pytest.raises(ours):
        await outbound.call(Calls(error))

    assert await outbound.call(Calls()) == 5


async def test_never_thirty_calls_in_one_second():
    """Discord allows 50 per bot, and commands are answered from the same."""
    outbound = Outbound(system_clock)
    begun: list[int] = []

    async def call() -> None:
        begun.append(system_clock())

    await asyncio.gather(*(outbound.call(call) for _ in range(60)))

    busiest = max(sum(at <= other < at + SECOND for other in begun) for at in begun)
    assert len(begun) == 60
    assert busiest < 30
