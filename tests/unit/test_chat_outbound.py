"""Calls to Discord: run to their end, within the rate limit, and not at all while the edge blocks us."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.chat.outbound import DISCORD_RATE, Outbound, rate_limit_trace
from bot.core.clock import MINUTE, SECOND, Clock, system_clock
from bot.core.errors import DiscordUnavailable, Undeliverable
from bot.core.rate_limit import RateLimiter
from bot.metrics import Metrics
from tests.counted import counted
from tests.timing import FakeClock, eventually, loop_time_by_hand, turns


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


def make_outbound(clock: Clock, metrics: Metrics | None = None) -> Outbound:
    return Outbound(clock, RateLimiter(DISCORD_RATE, clock), metrics or Metrics())


async def test_answer_is_returned():
    assert await make_outbound(FakeClock()).call(Calls()) == 5


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

    caller = asyncio.create_task(make_outbound(FakeClock()).call(call))
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
    """More calls make a block longer; who calls meanwhile learns how long it lasts."""
    clock = FakeClock()
    outbound = make_outbound(clock)
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
    outbound = make_outbound(FakeClock())
    with pytest.raises(ours):
        await outbound.call(Calls(error))

    assert await outbound.call(Calls()) == 5


async def test_never_fifty_calls_in_one_second():
    """Discord allows 50 per bot, and not every call is ours."""
    clock = FakeClock()
    outbound = make_outbound(clock)
    begun: list[int] = []

    async def call() -> None:
        begun.append(clock())

    with loop_time_by_hand() as advance:
        calls = asyncio.gather(*(outbound.call(call) for _ in range(90)))
        while not calls.done():
            await turns()
            clock.advance(5)
            advance(0.005)
        await calls

    busiest = max(sum(at <= other < at + SECOND for other in begun) for at in begun)
    assert len(begun) == 90
    assert 40 <= busiest < 46


async def test_wait_for_our_own_rate_limit_is_counted():
    """Ten calls at once: four are free, the others wait, each a fortieth of a second longer."""
    metrics = Metrics()
    outbound = make_outbound(system_clock, metrics)
    await asyncio.gather(*(outbound.call(Calls()) for _ in range(10)))

    waited = counted(metrics, "veo_wait_seconds_total", limiter="outbound")
    assert waited > sum(n / 40 for n in range(1, 7)) * 0.9


async def test_block_by_the_edge_is_counted_for_as_long_as_it_lasts():
    """Two calls run into one block; the second makes it a minute longer."""
    clock, metrics = FakeClock(), Metrics()
    outbound = make_outbound(clock, metrics)
    go = asyncio.Event()

    async def blocked(after: asyncio.Event | None = None) -> None:
        if after:
            await after.wait()
        raise http_error(403, headers=PAGE)

    under_way = asyncio.create_task(outbound.call(lambda: blocked(go)))
    with pytest.raises(DiscordUnavailable):
        await outbound.call(blocked)
    clock.advance(MINUTE)
    go.set()
    with pytest.raises(DiscordUnavailable):
        await under_way

    assert counted(metrics, "veo_wait_seconds_total", limiter="edge") == 660


async def test_clock_that_was_set_back_takes_nothing_from_a_counter():
    """A counter that falls reads as a restart, and prometheus_client raises."""
    clock, metrics = FakeClock(), Metrics()
    outbound = make_outbound(clock, metrics)

    async def blocked() -> None:
        clock.advance(-MINUTE)
        raise http_error(403, headers=PAGE)

    both = await asyncio.gather(outbound.call(blocked), outbound.call(blocked), return_exceptions=True)

    assert [type(end) for end in both] == [DiscordUnavailable, DiscordUnavailable]
    assert counted(metrics, "veo_wait_seconds_total", limiter="edge") == 600


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, VIA | {"Retry-After": "3"}, 3),
        (429, VIA | {"Retry-After": "0.25"}, 0.25),
        (429, VIA | {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
        (429, VIA | {"Retry-After": "-5"}, 0),
        (429, VIA | {"Retry-After": "9" * 400}, 0),
        (429, VIA, 0),
        (429, {"Retry-After": "3"}, 0),
        (503, VIA | {"Retry-After": "3"}, 0),
    ],
    ids=["whole", "part", "date", "negative", "endless", "none", "of the edge", "no 429"],
)
async def test_wait_that_discord_asks_for_is_counted(status: int, headers: dict[str, str], seconds: float):
    """As its 429 names it; what is no number of seconds neither breaks the call nor the counter."""
    metrics = Metrics()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    application = web.Application()
    application.router.add_get("/", answer)
    async with (
        TestServer(application) as server,
        aiohttp.ClientSession(trace_configs=[rate_limit_trace(metrics)]) as session,
        session.get(server.make_url("/")) as response,
    ):
        assert response.status == status

    assert counted(metrics, "veo_wait_seconds_total", limiter="discord") == seconds
