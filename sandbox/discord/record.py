"""What the stand-in was asked and what it found strange, and waiting until something has happened."""

from __future__ import annotations

import asyncio
import inspect
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.faults import matches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upload:
    """One file part of a multipart request."""

    part: str
    filename: str
    content: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class Request:
    method: str
    path: str
    """After /api/v10."""
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    """The parsed JSON, or what the part ``payload_json`` holds."""
    files: list[Upload] = field(default_factory=list)
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    """None while it is being handled, and for good when the connection was cut instead of an answer."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status or 'no answer'}"


class Record:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.surprises: list[str] = []
        self.watchers: list[Callable[[], None]] = []
        self._wakers: set[asyncio.Future[None]] = set()

    def add(self, request: Request) -> None:
        self.requests.append(request)
        self.notify()

    def surprise(self, text: str) -> None:
        self.surprises.append(text)
        self.notify()

    def matching(self, method: str, path: str = "*") -> list[Request]:
        return [each for each in self.requests if matches(f"{method} {path}", each.method, each.path)]

    def notify(self) -> None:
        """Something changed: every ``until`` and every watcher looks again. Callable from plain functions."""
        wakers, self._wakers = self._wakers, set()
        for waker in wakers:
            if not waker.done():
                waker.set_result(None)
        for watcher in self.watchers:
            watcher()

    async def until(self, predicate: Callable[[], T | Awaitable[T]], within: float) -> T:
        """The predicate's first true value."""
        try:
            async with asyncio.timeout(within):
                return await self._first_true(predicate)
        except TimeoutError:
            raise TimeoutError(self._story(within)) from None

    async def _first_true(self, predicate: Callable[[], T | Awaitable[T]]) -> T:
        while True:
            # Enrolled before looking, so that a change in between is not missed.
            waker = asyncio.get_running_loop().create_future()
            self._wakers.add(waker)
            try:
                value = predicate()
                found = await value if inspect.isawaitable(value) else value
                if found:
                    return found
                await waker
            finally:
                self._wakers.discard(waker)

    def _story(self, within: float) -> str:
        lines = [f"nothing of the kind within {within} s; the stand-in was asked:"]
        lines += [f"  {request}" for request in self.requests] or ["  nothing"]
        lines += [f"  surprise: {surprise}" for surprise in self.surprises]
        return "\n".join(lines)
