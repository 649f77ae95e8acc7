"""The measured lag of the event loop: a blocking call shows, and measuring stops with the reader."""

import asyncio
import time

from bot.ops.server import lag_measured
from tests.timing import eventually


def block(seconds: float) -> None:
    """Block the thread, which a coroutine must never do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def test_blocking_the_loop_shows_as_lag():
    """A block of half a second or more is never missed between two measurements."""
    reported: list[float] = []
    async with lag_measured(reported.append):
        await eventually(lambda: reported)
        before = len(reported)
        block(0.8)
        await eventually(lambda: len(reported) > before)

    assert max(reported[before:]) > 0.2
    assert min(reported) >= 0
    assert len(asyncio.all_tasks()) == 1
