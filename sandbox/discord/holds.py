"""Stopping one request on purpose, so that a test can act at exactly that moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from sandbox.faults import matches

if TYPE_CHECKING:
    from sandbox.discord.record import Request

Stage = Literal["received", "accepted"]


class Hold:
    """Stops the first matching request: ``received`` before anything is done, ``accepted`` before the answer.

    Later requests pass, so a bot that is killed and started again is not stopped a second time.
    """

    def __init__(self, route: str, stage: Stage) -> None:
        self.route = route
        self.stage = stage
        self.request: Request | None = None
        self._reached = asyncio.Event()
        self._released = asyncio.Event()
        self._dropped = False

    def stops(self, request: Request, stage: Stage) -> bool:
        if self.request is not None or stage != self.stage or self._released.is_set():
            return False
        return matches(self.route, request.method, request.path)

    async def reached(self, within: float = 10.0) -> Request:
        """Wait until a request stands here."""
        async with asyncio.timeout(within):
            await self._reached.wait()
        assert self.request is not None
        return self.request

    def release(self) -> None:
        self._released.set()

    def drop(self) -> None:
        """Let the request go nowhere: nothing more is done for it and its connection is closed."""
        self._dropped = True
        self._released.set()

    async def stop(self, request: Request) -> bool:
        """Keep the request here; False when it is to be dropped."""
        self.request = request
        self._reached.set()
        await self._released.wait()
        return not self._dropped


class Holds:
    def __init__(self) -> None:
        self._holds: list[Hold] = []

    def add(self, hold: Hold) -> Hold:
        self._holds.append(hold)
        return hold

    async def pass_through(self, request: Request, stage: Stage) -> bool:
        for hold in self._holds:
            if hold.stops(request, stage):
                return await hold.stop(request)
        return True

    def drop_all(self) -> None:
        """At the end: whoever still stands somewhere goes home unanswered."""
        for hold in self._holds:
            hold.drop()
