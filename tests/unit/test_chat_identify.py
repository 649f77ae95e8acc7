"""How often the bot logs in at the gateway, over all its shards."""

import asyncio

import pytest

from bot.chat.gateway.identify import APART, IdentifyLimiter, wait_before_identify
from bot.core.clock import DAY, HOUR, SECOND
from tests.timing import FakeClock


def make_limiter(clock: FakeClock, ours: int = 1, count: int = 1, at_once: int = 1) -> IdentifyLimiter:
    return IdentifyLimiter(clock, ours=ours, count=count, at_once=at_once, seconds=lambda: clock() / SECOND)


def log_in(limiter: IdentifyLimiter, clock: FakeClock, shard_id: int = 0) -> float:
    """As soon as it may; returns the seconds that this took."""
    wait = limiter.wait(shard_id)
    clock.advance(int(wait * SECOND) + 1)
    limiter.spend(shard_id)
    return wait


def log_in_all_day(limiter: IdentifyLimiter, clock: FakeClock, shards: int) -> int:
    """Shards whose sessions end at once."""
    begun, midnight = 0, clock() + DAY
    while clock() < midnight:
        log_in(limiter, clock, begun % shards)
        begun += 1
    return begun


@pytest.mark.parametrize("shards", [1, 2, 16])
def test_sessions_that_end_at_once_stay_below_a_thousand_a_day(shards: int):
    """However many shards there are: the limit is the bot's."""
    clock = FakeClock()

    assert 700 < log_in_all_day(make_limiter(clock, shards, shards), clock, shards) < 800


def test_processes_share_the_days_sessions():
    """Two that hold half of the shards each have half of them each."""
    clock = FakeClock()

    assert 300 < log_in_all_day(make_limiter(clock, 1, 2), clock, 1) < 400


@pytest.mark.parametrize("shards", [1, 40])
def test_start_never_waits_for_the_days_sessions(shards: int):
    """More shards than quick ones: still five seconds each."""
    clock = FakeClock()
    limiter = make_limiter(clock, shards, shards)
    waits = [log_in(limiter, clock, shard_id) for shard_id in range(shards)]

    assert waits == pytest.approx([0, *([APART] * (shards - 1))], abs=0.01)


def test_as_many_at_once_as_discord_lets_in():
    """Shards 0 and 2 share a slot, 1 and 3 the other (Gateway, "Max Concurrency")."""
    clock = FakeClock()
    limiter = make_limiter(clock, 4, 4, at_once=2)
    waits = [log_in(limiter, clock, shard_id) for shard_id in range(4)]

    assert waits == pytest.approx([0, 0, APART, 0], abs=0.01)


async def test_slot_is_held_until_the_login_is_out(monkeypatch: pytest.MonkeyPatch):
    """A websocket may take long to open: five seconds count from the login, not from the attempt."""
    clock = FakeClock()
    limiter = make_limiter(clock, 2, 2)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(int(seconds * SECOND))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    first, opened = asyncio.Event(), asyncio.Event()

    async def open_slowly() -> None:
        async with limiter.slot(0):
            first.set()
            await opened.wait()
            limiter.spend(0)

    async def then_the_other() -> None:
        async with limiter.slot(1):
            limiter.spend(1)

    jobs = [asyncio.create_task(open_slowly()), asyncio.create_task(then_the_other())]
    await first.wait()
    clock.advance(60 * SECOND)
    opened.set()
    await asyncio.gather(*jobs)

    assert slept == [0, APART]


@pytest.mark.parametrize(
    ("remaining", "hours", "shards", "seconds"),
    [
        (999, 24, 1, 0),
        (501, 24, 1, 0),
        (500, 24, 1, 172.8),
        (1, 2, 1, 7200),
        (0, 2, 1, 7200),
        (999, 24, 16, 0),
        (500, 24, 10, 1728),
        (3, 2, 16, 7200),
    ],
)
def test_wait_before_identify(remaining: int, hours: int, shards: int, seconds: float):
    """At worst what is left lasts until there are new ones; a start costs a session per shard."""
    limit = {"total": 1000, "remaining": remaining, "reset_after": hours * HOUR}

    assert wait_before_identify(limit, shards) == pytest.approx(seconds)
