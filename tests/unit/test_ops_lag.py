"""The event loop's lag: what blocks it shows, and nothing is measured once nobody reads it."""

import asyncio
import time

from bot.ops.server import lag_measured
from tests.timing import eventually


def block(seconds: float) -> None:
    """What no coroutine may do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def test_blocked_loop_is_late():
    """Half a second is never missed, however it falls between two measurements."""
    reported: list[float] = []
    async with lag_measured(reported.append):
        await eventually(lambda: reported)
        before = len(reported)
        block(0.8)
        await eventually(lambda: len(reported) > before)

    assert max(reported[before:]) > 0.2
    assert min(reported) >= 0
    assert len(asyncio.all_tasks()) == 1
