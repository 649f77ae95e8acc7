"""How late the event loop is: what blocks it delays every answer to a command."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# Two wake-ups a second cost nothing, and whatever blocks the loop for half a second is never missed.
_EVERY = 0.5


@asynccontextmanager
async def lag_measured(tell: Callable[[float], None]) -> AsyncIterator[None]:
    """Tells the lag in seconds, for as long as this is open."""
    measuring = asyncio.create_task(_measure(tell), name="event loop lag")
    try:
        yield
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)


async def _measure(tell: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY
        await asyncio.sleep(_EVERY)
        tell(max(loop.time() - due, 0.0))
