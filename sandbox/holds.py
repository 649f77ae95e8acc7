"""Hold one request at a known point, so that a test can act at exactly that moment.

Each server names its points: see `StandInDiscord.hold` and `StandInVideoApi.hold`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sandbox.faults import matches
from sandbox.patience import PATIENCE


class Hold:
    """Stops the first request to `route` at `point`, until it is released or dropped.

    Later requests pass, so a bot that is killed and started again is not stopped a second time.
    """

    def __init__(self, route: str, point: str) -> None:
        self.route = route
        self.point = point
        self.request: Any = None
        """The request that was stopped, in the type of its server; None before there is one."""
        self._reached = asyncio.Event()
        self._released = asyncio.Event()
        self._dropped = False

    async def reached(self, within: float = PATIENCE) -> Any:
        """Wait until a request is held here. Raises AssertionError if none is after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._reached.wait()
        except TimeoutError:
            raise AssertionError(f"nothing reached {self.point} of {self.route}") from None
        return self.request

    def release(self) -> None:
        """Let the request go on. Before a request has come, this cancels the hold."""
        self._released.set()

    def drop(self) -> None:
        """Abandon the request: nothing more is done for it and its connection is closed."""
        self._dropped = True
        self._released.set()

    def stops(self, request: Any, point: str) -> bool:
        """Whether this request must be held now."""
        if self.request is not None or point != self.point or self._released.is_set():
            return False
        return matches(self.route, request.method, request.path)

    async def stop(self, request: Any) -> bool:
        """Hold the request. Returns False if it was dropped."""
        self.request = request
        self._reached.set()
        await self._released.wait()
        return not self._dropped


class Holds:
    """All holds of one server."""

    def __init__(self) -> None:
        self._holds: list[Hold] = []

    def add(self, route: str, point: str) -> Hold:
        hold = Hold(route, point)
        self._holds.append(hold)
        return hold

    async def pass_through(self, request: Any, point: str) -> bool:
        """Hold the request if one of the holds matches. Returns False if it was dropped there."""
        for hold in self._holds:
            if hold.stops(request, point):
                return await hold.stop(request)
        return True

    def release_all(self) -> None:
        for hold in self._holds:
            hold.release()

    def drop_all(self) -> None:
        for hold in self._holds:
            hold.drop()
