"""What the stand-in has seen, and how a test waits for it to see more."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Question:
    """`at` is monotonic. `status` is the HTTP status, None until (or unless) it was answered."""

    task_id: str
    at: float
    status: int | None = None


@dataclass(slots=True)
class Download:
    """`headers` as they arrived. `bytes_sent` counts the body, and grows while it is sent."""

    path: str
    at: float
    headers: Mapping[str, str]
    status: int | None = None
    bytes_sent: int = 0
    ended: bool = False


class Journal:
    """Everything that arrived, in order. `surprises` are what a correct client never does."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.too_fast: list[Question] = []
        self.downloads: list[Download] = []
        self.surprises: list[str] = []
        self.watchers: list[Callable[[], None]] = []
        self._waiting: set[asyncio.Event] = set()

    def changed(self) -> None:
        for event in self._waiting:
            event.set()
        for watcher in self.watchers:
            watcher()

    async def until(self, condition: Callable[[], bool], *, within: float) -> None:
        """Looks after each change, and every 20 ms since a condition may read other things."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(within):
                await self._watch(condition, event)
        except TimeoutError:
            raise AssertionError(f"not within {within} s; seen: {self._seen()}") from None
        finally:
            self._waiting.discard(event)

    async def _watch(self, condition: Callable[[], bool], event: asyncio.Event) -> None:
        while not condition():
            event.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), 0.02)

    def _seen(self) -> str:
        return f"{len(self.questions)} questions, {len(self.downloads)} downloads, surprises {self.surprises}"
