"""Slots for downloads: many fast ones, and a few slow ones, so that slow hosts do not delay the others."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bot.aio import cancel_all, wait_for_any

Result = TypeVar("Result")
Progress = Callable[[int], None]
Fetch = Callable[[Progress], Awaitable[Result]]

FAST_SLOTS = 32
SLOW_SLOTS = 8
# Bytes per second. A download below it is slow.
MIN_SPEED = 256 * 1024
# Seconds that a download has to become fast, and the same while others wait for its slot.
_PATIENCE = 20.0
_PATIENCE_IN_A_QUEUE = 2.0
_LOOK_INTERVAL = 0.25


class Slots:
    """Slots that people share. Nobody holds more than half of them while others wait."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: Counter[int] = Counter()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def is_contended(self) -> bool:
        """Whether a download waits for a slot."""
        return bool(self._waiting)

    @asynccontextmanager
    async def take(self, person_id: int) -> AsyncIterator[None]:
        """Hold a slot. First come, first served, except for people who hold half of the slots."""
        await self._acquire(person_id)
        try:
            yield
        finally:
            self._taken -= Counter({person_id: 1})
            self._grant_slots()

    async def _acquire(self, person_id: int) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (person_id, granted)
        self._waiting.append(entry)
        self._grant_slots()
        try:
            await granted
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:  # granted before the cancellation came
                self._taken -= Counter({person_id: 1})
                self._grant_slots()
            raise

    def _grant_slots(self) -> None:
        while self._waiting and self._taken.total() < self._size:
            person_id, granted = entry = self._next_in_queue()
            self._waiting.remove(entry)
            self._taken[person_id] += 1
            granted.set_result(None)

    def _next_in_queue(self) -> tuple[int, "asyncio.Future[None]"]:
        """Return the first in the queue who holds less than half of the slots; else the first."""
        share = max(1, self._size // 2)
        modest = (entry for entry in self._waiting if self._taken[entry[0]] < share)
        return next(modest, self._waiting[0])


class DownloadSlots:
    """Runs downloads in fast slots, and moves a slow one to a slow slot. Sizes in bytes, times in seconds."""

    def __init__(
        self,
        *,
        fast: int = FAST_SLOTS,
        slow: int = SLOW_SLOTS,
        min_speed: int = MIN_SPEED,
        patience: float = _PATIENCE,
        patience_in_a_queue: float = _PATIENCE_IN_A_QUEUE,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fast = Slots(fast)
        self._slow = Slots(slow)
        self._min_speed = min_speed
        self._patience = patience
        self._patience_in_a_queue = patience_in_a_queue
        self._seconds = seconds

    async def run(self, person_id: int, fetch: Fetch[Result]) -> Result:
        """Return the result of `fetch`, which may be cancelled once and called again to resume."""
        async with self._fast.take(person_id):
            transfer = _Transfer(self._seconds)
            job = asyncio.ensure_future(fetch(transfer.received))
            try:
                while not await wait_for_any(job, timeout=_LOOK_INTERVAL):
                    if self._is_slow(transfer):
                        break
                else:
                    return job.result()
            finally:
                await cancel_all(job)
            if job.done() and not job.cancelled():
                return job.result()
        async with self._slow.take(person_id):
            return await fetch(_ignore)

    def _is_slow(self, transfer: "_Transfer") -> bool:
        contended = self._fast.is_contended
        patience = min(self._patience, self._patience_in_a_queue) if contended else self._patience
        return transfer.elapsed() >= patience and transfer.speed() < self._min_speed


class _Transfer:
    """Measures the speed of a download."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._began = seconds()
        self._first: int | None = None
        self._latest = 0

    def received(self, total: int) -> None:
        """Record that `total` bytes of the film are here, those of earlier tries included."""
        if self._first is None:
            self._first = total
        self._latest = total

    def elapsed(self) -> float:
        return self._seconds() - self._began

    def speed(self) -> float:
        """Return the bytes per second since the slot was taken."""
        return (self._latest - (self._first or 0)) / max(self.elapsed(), 0.001)


def _ignore(_: int) -> None:
    """Ignore the progress: a slow slot demands no speed, and the downloader has a lowest speed anyway."""
