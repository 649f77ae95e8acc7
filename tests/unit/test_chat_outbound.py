"""Calls to Discord: run to their end, within the rate limit, and not at all while the edge blocks us."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.chat import outbound as outbound_module
from bot.chat.discord_answers import Call
from bot.chat.lanes import Lane
from bot.chat.outbound import DISCORD_RATE, Outbound, answer_trace, is_token_refused
from bot.core.clock import MINUTE, SECOND, Clock, system_clock
from bot.core.errors import DiscordRefused, DiscordUnavailable, TokenRefused
from bot.core.rate_limit import RateLimiter
from bot.core.reactions import Reaction
from bot.metrics import Metrics
from bot.network_errors import describe_network_error
from tests.counted import counted
from tests.discord_client import Answers, discord_at
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


NO_CLIENT: Any = None


def make_outbound(clock: Clock, metrics: Metrics | None = None, client: Any = NO_CLIENT) -> Outbound:
    return Outbound(client, clock, RateLimiter(DISCORD_RATE, clock), metrics or Metrics())


async def send(outbound: Outbound, make: Callable[[], Awaitable[Any]], **options: Any) -> Any:
    return await outbound.call(make, Call.TEXT, Lane.RESULT, **options)


async def test_answer_is_returned():
    assert await send(make_outbound(FakeClock()), Calls()) == 5


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

    caller = asyncio.create_task(send(make_outbound(FakeClock()), call))
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
        await send(outbound, Calls(error))
    assert raised.value.retry_after == 600
    assert [r.levelno for r in caplog.records] == [logging.ERROR]

    others = Calls()
    clock.advance(10 * MINUTE - SECOND)
    with pytest.raises(DiscordUnavailable) as meanwhile:
        await send(outbound, others)
    assert (others.made, meanwhile.value.retry_after) == (0, 1)

    clock.advance(SECOND)
    assert await send(outbound, others) == 5


@pytest.mark.parametrize(
    ("error", "ours"),
    [(http_error(429, headers=VIA), DiscordUnavailable), (http_error(403, headers=JSON), DiscordUnavailable)],
    ids=["429", "403 without a code"],
)
async def test_what_discord_itself_refuses_blocks_nobody_else(
    error: discord.HTTPException, ours: type[Exception]
):
    """A 429 through Discord's proxies is one route's, a 403 in JSON one channel's."""
    outbound = make_outbound(FakeClock())
    with pytest.raises(ours):
        await send(outbound, Calls(error))

    assert await send(outbound, Calls()) == 5


async def test_never_fifty_calls_in_one_second():
    """Discord allows 50 per bot, and not every call is ours."""
    clock = FakeClock()
    outbound = make_outbound(clock)
    begun: list[int] = []

    async def call() -> None:
        begun.append(clock())

    with loop_time_by_hand() as advance:
        calls = asyncio.gather(*(send(outbound, call) for _ in range(90)))
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
    await asyncio.gather(*(send(outbound, Calls()) for _ in range(10)))

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

    under_way = asyncio.create_task(send(outbound, lambda: blocked(go)))
    with pytest.raises(DiscordUnavailable):
        await send(outbound, blocked)
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

    both = await asyncio.gather(send(outbound, blocked), send(outbound, blocked), return_exceptions=True)

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
        aiohttp.ClientSession(trace_configs=[answer_trace(metrics)]) as session,
        session.get(server.make_url("/")) as response,
    ):
        assert response.status == status

    assert counted(metrics, "veo_wait_seconds_total", limiter="discord") == seconds


# -- what becomes of failures ----------------------------------------------------------------------


async def raise_(error: BaseException) -> None:
    raise error


async def outcome_of(error: BaseException, call: Call = Call.TEXT) -> BaseException:
    outbound = make_outbound(FakeClock())
    try:
        await outbound.call(lambda: raise_(error), call, Lane.RESULT)
    except Exception as raised:
        return raised
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("status", "code", "reaction"),
    [
        (500, 0, Reaction.PASSING),
        (409, 0, Reaction.ODD),
        (403, 50013, Reaction.MISSING_PERMISSION),
        (404, 10008, Reaction.MESSAGE_GONE),
        (400, 99999, Reaction.FORM_REFUSED),
    ],
)
async def test_answer_becomes_an_exception_with_its_reaction(status: int, code: int, reaction: Reaction):
    """Later is one class, never another; the answer is its cause."""
    theirs = http_error(status, code, VIA | JSON)

    raised = await outcome_of(theirs)

    later = reaction in {Reaction.PASSING, Reaction.ODD}
    assert isinstance(raised, DiscordUnavailable if later else DiscordRefused)
    assert raised.reaction is reaction
    assert raised.__cause__ is theirs


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
async def test_no_answer_is_passing_trouble(error: Exception):
    """What happens on the way may not happen the next time."""
    raised = await outcome_of(error)

    assert isinstance(raised, DiscordUnavailable)
    assert raised.reaction is Reaction.PASSING
    assert str(raised) == f"no answer from Discord ({describe_network_error(error)})"
    assert raised.retry_after is None


async def test_long_rate_limit_keeps_the_time_asked_for():
    """discord.py raises RateLimited for a wait longer than it is willing to sleep."""
    raised = await outcome_of(discord.RateLimited(90.5))

    assert isinstance(raised, DiscordUnavailable)
    assert (raised.reaction, raised.retry_after) == (Reaction.PASSING, 90.5)


async def test_bug_is_let_through():
    """Without any answer of Discord it is ours."""
    bug = KeyError("id")

    assert await outcome_of(bug) is bug


@pytest.mark.parametrize("late", [False, True])
async def test_call_is_not_made_after_its_time(late: bool):
    """What the caller had made sure of may no longer be so: another process may have gone on."""
    outbound, calls = make_outbound(FakeClock()), Calls()
    not_after = time.monotonic() + (-0.001 if late else 60)
    if late:
        with pytest.raises(DiscordUnavailable, match="waited for too long"):
            await send(outbound, calls, not_after=not_after)
    else:
        await send(outbound, calls, not_after=not_after)

    assert calls.made == (0 if late else 1)


# -- with discord.py's own client ------------------------------------------------------------------


def text_of(status: int, body: str, headers: dict[str, str]) -> Answers:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body.encode(), headers=headers)

    return answer


@pytest.mark.parametrize(
    ("status", "body", "headers", "reaction"),
    [
        (429, "{}", JSON | VIA, Reaction.PASSING),
        (429, "{}", JSON, Reaction.EDGE_BLOCK),
        (429, "{broken", JSON | VIA, Reaction.PASSING),
        (400, "{broken", JSON | VIA, Reaction.ODD),
        (200, "{broken", JSON | VIA, Reaction.ODD),
        (400, '{"message": "x", "code": 1, "errors": "odd"}', JSON | VIA, Reaction.ODD),
    ],
    ids=[
        "429 without retry_after",
        "the same of the edge",
        "429, broken",
        "400, broken",
        "200, broken",
        "errors",
    ],
)
async def test_answer_that_discord_py_cannot_read_goes_by_its_status(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, headers: dict[str, str], reaction: Reaction
):
    """It raises KeyError and the like inside, which is no bug of ours."""
    async with discord_at(monkeypatch, text_of(status, body, headers)) as client:
        outbound = make_outbound(FakeClock(), client=client)
        with pytest.raises(DiscordUnavailable) as raised:
            await send(outbound, lambda: client.http.get_channel(5))

    assert raised.value.reaction is reaction


# -- the token -------------------------------------------------------------------------------------


@dataclass
class TokenAnswers:
    """A server that answers `GET /users/@me` with these, and everything else with 401."""

    answers: list[tuple[int, str, dict[str, str]]]
    asked: int = 0

    async def __call__(self, request: web.Request) -> web.Response:
        if not request.path.endswith("/users/@me"):
            return web.Response(status=401, body=UNAUTHORIZED.encode(), headers=JSON)
        status, body, headers = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return web.Response(status=status, body=body.encode(), headers=headers)


UNAUTHORIZED = '{"message": "401: Unauthorized", "code": 0}'
REFUSED = (401, UNAUTHORIZED, JSON)
ACCEPTED = (200, '{"id": "1"}', JSON)
HTML = (401, "<html>log in</html>", PAGE)
BROKEN = (401, "{broken", JSON)


@pytest.mark.parametrize(
    ("answers", "asked", "refused"),
    [
        ([REFUSED, REFUSED], 2, True),
        ([REFUSED, ACCEPTED], 2, False),
        ([ACCEPTED], 1, False),
        ([HTML], 1, False),
        ([REFUSED, HTML], 2, False),
        ([BROKEN], 1, False),
    ],
    ids=["twice", "once", "not", "a page", "once and a page", "broken"],
)
async def test_token_is_refused_only_by_two_answers_of_discord_itself(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[int, str, dict[str, str]]],
    asked: int,
    refused: bool,
):
    """One 401 may be of a proxy or an incident; the process ends for two."""
    monkeypatch.setattr(outbound_module, "TOKEN_CHECK_PAUSE", 0.01)
    server = TokenAnswers(answers)
    async with discord_at(monkeypatch, server) as client:
        raised: pytest.ExceptionInfo[Exception]
        with pytest.raises((TokenRefused, DiscordUnavailable)) as raised:
            await send(make_outbound(FakeClock(), client=client), lambda: client.http.get_channel(5))

    assert server.asked == asked
    assert isinstance(raised.value, TokenRefused) is refused
    if isinstance(raised.value, DiscordUnavailable):
        assert raised.value.reaction is Reaction.ODD


async def test_calls_that_are_refused_together_share_one_check(monkeypatch: pytest.MonkeyPatch):
    """Each asking twice would be the block of the edge."""
    monkeypatch.setattr(outbound_module, "TOKEN_CHECK_PAUSE", 0.2)
    server = TokenAnswers([REFUSED, ACCEPTED])
    async with discord_at(monkeypatch, server) as client:
        outbound = make_outbound(FakeClock(), client=client)
        calls = (send(outbound, partial(client.http.get_channel, number)) for number in range(4))
        ends = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(end) for end in ends] == [DiscordUnavailable] * 4
    assert server.asked == 2


async def test_second_question_about_the_token_comes_five_seconds_later(monkeypatch: pytest.MonkeyPatch):
    """At once it would be the same moment of the same incident."""
    assert outbound_module.TOKEN_CHECK_PAUSE == 5
    monkeypatch.setattr(outbound_module, "TOKEN_CHECK_PAUSE", 0.3)
    async with discord_at(monkeypatch, TokenAnswers([REFUSED])) as client:
        began = time.monotonic()
        assert await is_token_refused(client)

    assert time.monotonic() - began >= 0.3
