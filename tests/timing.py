"""Time in tests: a clock that is set by hand, and waiting for what is observed."""

import asyncio
from collections.abc import Callable


class FakeClock:
    """UTC milliseconds, set by hand."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> int:
        self.now += milliseconds
        return self.now


async def eventually(condition: Callable[[], object], within: float = 10) -> None:
    """Until `condition()` is true, checked every 5 ms for at most `within` seconds."""
    async with asyncio.timeout(within):
        # What is waited for may be a file or a process, which set no asyncio.Event.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
