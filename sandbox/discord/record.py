"""Records requests and surprises, and lets tests wait until something has happened."""

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
    """The path after /api/v10."""
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    """The parsed JSON: the body, or the multipart part `payload_json`."""
    files: list[Upload] = field(default_factory=list)
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    """The HTTP status. None while the request is handled, and if its connection was cut instead."""

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
        """Make every `until` evaluate its predicate again, and call every watcher."""
        wakers, self._wakers = self._wakers, set()
        for waker in wakers:
            if not waker.done():
                waker.set_result(None)
        for watcher in self.watchers:
            watcher()

    async def until(self, predicate: Callable[[], T | Awaitable[T]], within: float) -> T:
        """Wait for the predicate's first true value, and return it. Raises TimeoutError with the record."""
        try:
            async with asyncio.timeout(within):
                return await self._first_true(predicate)
        except TimeoutError:
            raise TimeoutError(self._summary(within)) from None

    async def _first_true(self, predicate: Callable[[], T | Awaitable[T]]) -> T:
        while True:
            # Before the predicate is evaluated, so that no change in between is missed.
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

    def _summary(self, within: float) -> str:
        lines = [f"not within {within} s; the requests so far:"]
        lines += [f"  {request}" for request in self.requests] or ["  none"]
        lines += [f"  surprise: {surprise}" for surprise in self.surprises]
        return "\n".join(lines)
