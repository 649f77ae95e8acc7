"""Stopping a request at a named stage, so that a test can act exactly there."""

import asyncio
from typing import Literal

from sandbox.faults import matches

# received: nothing is done yet.  answered: the reply is ready, not one byte of it is sent.
# half: half of the video's bytes are sent.  sent: all of them, the connection is still held.
Stage = Literal["received", "answered", "half", "sent"]


class Hold:
    """Stops the first matching request at its stage until it is released.

    Later ones pass, so that a bot that is killed there and started again is not stopped again.
    """

    def __init__(self, route: str, stage: Stage) -> None:
        self.route = route
        self.stage = stage
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    async def reached(self, *, within: float = 10) -> None:
        """Returns as soon as a request stands at the stage."""
        try:
            async with asyncio.timeout(within):
                await self._reached.wait()
        except TimeoutError:
            raise AssertionError(f"nothing reached {self.stage} of {self.route}") from None

    def release(self) -> None:
        """Lets the request go on; when none came yet, none will be stopped."""
        self._released.set()

    def stops(self, stage: Stage, method: str, path: str) -> bool:
        if stage != self.stage or self._reached.is_set() or self._released.is_set():
            return False
        return matches(self.route, method, path)

    async def stop(self) -> None:
        self._reached.set()
        await self._released.wait()
