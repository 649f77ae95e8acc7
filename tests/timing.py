"""Time in tests: clocks that are set by hand, and waiting for an observed event."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sandbox.patience import PATIENCE

T = TypeVar("T")
# More event loop iterations than any job needs that waits for neither a thread nor a process.
_TURNS = 20


class FakeClock:
    """UTC milliseconds, set by hand."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> int:
        self.now += milliseconds
        return self.now


async def eventually(condition: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait until `condition()` is true, checked every 5 ms for at most `within` seconds."""
    async with asyncio.timeout(within):
        # The condition may be about a file or a process, which set no asyncio.Event.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def turns() -> None:
    """Let every job run that waits only for the event loop."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@contextmanager
def loop_time_by_hand() -> Iterator[Callable[[float], None]]:
    """Stop the event loop's clock; calling the yielded function advances it by that many seconds.

    A pause of the machine makes such a test slower but cannot fail it.
    """
    loop = asyncio.get_running_loop()
    now = loop.time()

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    loop.time = lambda: now  # type: ignore[method-assign]
    try:
        yield advance
    finally:
        del loop.time


async def hurried(work: Coroutine[Any, Any, T], *, all_came: Callable[[], bool]) -> T:
    """Run `work` on a clock that stands still, and advances one second each time `all_came()` is true."""
    with loop_time_by_hand() as advance:
        job = asyncio.create_task(work)
        while not job.done():
            await turns()
            if all_came():
                advance(1)
        return await job
