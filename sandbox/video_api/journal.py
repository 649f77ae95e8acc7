"""Records what arrived at the stand-in, and lets tests wait for more."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Poll:
    """One poll of a task. `at` is monotonic. `status` is the HTTP status, None without an answer."""

    task_id: str
    at: float
    status: int | None = None


@dataclass(slots=True)
class Download:
    """One request for a video. `headers` are as they arrived; `bytes_sent` grows while the body is sent."""

    path: str
    at: float
    headers: Mapping[str, str]
    status: int | None = None
    bytes_sent: int = 0
    ended: bool = False


class Journal:
    """Everything that arrived, in order. `surprises` lists what a correct client never sends."""

    def __init__(self) -> None:
        self.polls: list[Poll] = []
        self.too_fast: list[Poll] = []
        self.downloads: list[Download] = []
        self.surprises: list[str] = []
        self.watchers: list[Callable[[], None]] = []
        self._waiting: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Wake every `until` and call every watcher."""
        for event in self._waiting:
            event.set()
        for watcher in self.watchers:
            watcher()

    async def until(self, condition: Callable[[], bool], *, within: float) -> None:
        """Wait for the condition to become true. Raises AssertionError after `within` seconds.

        It is evaluated after each change, and every 20 ms because it may read other things.
        """
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(within):
                await self._wait_for(condition, event)
        except TimeoutError:
            raise AssertionError(f"not within {within} s; seen: {self._summary()}") from None
        finally:
            self._waiting.discard(event)

    async def _wait_for(self, condition: Callable[[], bool], event: asyncio.Event) -> None:
        while not condition():
            event.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), 0.02)

    def _summary(self) -> str:
        return f"{len(self.polls)} polls, {len(self.downloads)} downloads, surprises {self.surprises}"
