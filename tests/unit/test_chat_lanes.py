"""Who goes first through the one rate limit: results, then people's wishes, then card edits."""

import asyncio

import pytest

from bot.chat.lanes import Lane, Lanes
from bot.core.errors import StorageUnavailable
from tests.timing import eventually


class Gate:
    """A limiter that lets one call through for each `open`, or fails."""

    def __init__(self) -> None:
        self.passes = asyncio.Semaphore(0)
        self.waiting = 0
        self.acquired = 0
        self.error: Exception | None = None

    async def acquire(self) -> None:
        self.waiting += 1
        await self.passes.acquire()
        self.waiting -= 1
        if self.error:
            raise self.error
        self.acquired += 1

    def open(self, times: int = 1) -> None:
        for _ in range(times):
            self.passes.release()


class LanesEnv:
    """Callers by name, and the order in which they went."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.lanes = Lanes(self.gate)
        self.went: list[str] = []
        self.jobs: dict[str, asyncio.Task[None]] = {}

    def ask(self, name: str, lane: Lane) -> None:
        self.jobs[name] = asyncio.create_task(self._go(name, lane))

    async def _go(self, name: str, lane: Lane) -> None:
        await self.lanes.acquire(lane)
        self.went.append(name)


async def test_results_overtake_people_and_people_overtake_cards():
    """Also those that came while others were waiting; within a lane by arrival."""
    env = LanesEnv()
    for name, lane in [
        ("card 1", Lane.CARD),
        ("card 2", Lane.CARD),
        ("person 1", Lane.PERSON),
        ("person 2", Lane.PERSON),
        ("result 1", Lane.RESULT),
        ("result 2", Lane.RESULT),
    ]:
        env.ask(name, lane)
    await eventually(lambda: env.gate.waiting == 1)
    env.gate.open()
    await eventually(lambda: env.went == ["result 1"])
    env.ask("result 3", Lane.RESULT)
    await asyncio.sleep(0)
    env.gate.open(6)
    await asyncio.gather(*env.jobs.values())

    assert env.went == ["result 1", "result 2", "result 3", "person 1", "person 2", "card 1", "card 2"]


async def test_failing_limiter_fails_all_who_wait_and_nobody_after_them():
    """The database that holds the limit is away: everybody tries later, in the durable loop."""
    env = LanesEnv()
    for number in range(3):
        env.ask(str(number), Lane(number))
    await eventually(lambda: env.gate.waiting == 1)
    env.gate.error = StorageUnavailable("connection lost")
    env.gate.open()
    ends = await asyncio.gather(*env.jobs.values(), return_exceptions=True)

    assert [type(end) for end in ends] == [StorageUnavailable] * 3
    env.gate.error = None
    env.gate.open()
    await env.lanes.acquire(Lane.CARD)
    assert env.gate.acquired == 1


async def test_cancelled_waiter_costs_nothing():
    """It takes no turn of those behind it, and no call from the limit."""
    env = LanesEnv()
    for name in ("gone", "stays"):
        env.ask(name, Lane.RESULT)
    await eventually(lambda: env.gate.waiting == 1)
    env.jobs["gone"].cancel()
    env.gate.open()
    await env.jobs["stays"]

    assert (env.went, env.gate.acquired) == (["stays"], 1)


async def test_limiter_is_not_asked_when_all_have_left():
    """The next who comes waits for the call that was waited for already."""
    env = LanesEnv()
    env.ask("gone", Lane.RESULT)
    await eventually(lambda: env.gate.waiting == 1)
    env.jobs["gone"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await env.jobs["gone"]
    env.ask("next", Lane.CARD)
    env.gate.open()
    await env.jobs["next"]

    assert (env.gate.acquired, env.gate.waiting) == (1, 0)
