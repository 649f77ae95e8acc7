"""Reads the body of one answer within limits: longest silence, lowest speed, end of the link."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass

import aiohttp

# The window moves in this number of steps, so that few byte counts have to be kept.
_STEPS = 60


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Limits of one download, in seconds and bytes per second.

    `header_timeout`: from the name's look-up to the last header, over all redirects. `stall_timeout`: the
    longest time without a byte of the body. `least_speed`: on average over any `speed_window`. `least_total`:
    the time that a download may take even when its link ends sooner.
    """

    header_timeout: float = 30.0
    stall_timeout: float = 30.0
    least_speed: float = 16 * 1024
    speed_window: float = 60.0
    least_total: float = 60.0


class LeastSpeed:
    """Computes when a transfer is too slow: when a window received fewer than `speed` bytes a second.

    If nothing more comes, a window that ends at t holds what came after t - window. It holds too little when
    the first byte of the newest `needed` bytes has left it.
    """

    def __init__(self, speed: float, window: float) -> None:
        self._window = window
        self._needed = speed * window
        self._received = 0
        # The end of a step, and how many bytes had come by then.
        self._marks = deque([(0.0, 0)])

    def add(self, size: int, now: float) -> None:
        """Count `size` bytes that came at `now`, in seconds since the start; it never falls."""
        self._received += size
        step = math.ceil(now * _STEPS / self._window) * self._window / _STEPS
        if step == self._marks[-1][0]:
            self._marks.pop()
        self._marks.append((step, self._received))
        while self._marks[0][1] <= self._received - self._needed:
            self._marks.popleft()

    @property
    def deadline(self) -> float:
        """When the transfer is too slow if nothing more comes, in seconds since the start."""
        return self._marks[0][0] + self._window


class TooSlow(TimeoutError):
    """A limit of the transfer was reached; the message says which."""


class BodyReader:
    """Reads one body in chunks. Only the time spent waiting for bytes counts against the host."""

    def __init__(self, content: aiohttp.StreamReader, limits: TransferLimits, ends_at: float) -> None:
        """`ends_at` is the end of the whole download, by the clock of the event loop."""
        self._content = content
        self._limits = limits
        self._ends_at = ends_at
        self._speed = LeastSpeed(limits.least_speed, limits.speed_window)
        self._loop = asyncio.get_running_loop()
        self._waited = 0.0
        self._broken: Exception | None = None

    async def chunk(self) -> bytes:
        """Return what has come, at least one byte; empty at the end.

        Raises TooSlow, and what aiohttp raises.
        """
        if self._broken is not None:
            raise self._broken
        before = self._loop.time()
        left, reason = self._time_left(before)
        if left <= 0:
            raise TooSlow(reason)
        try:
            async with asyncio.timeout(left):
                chunk = await self._content.readany()
        except TimeoutError as error:
            raise TooSlow(reason) from error
        except Exception as error:
            chunk = self._rest(error)
        self._waited += self._loop.time() - before
        self._speed.add(len(chunk), self._waited)
        return chunk

    def _time_left(self, now: float) -> tuple[float, str]:
        return min(
            (self._limits.stall_timeout, f"nothing came for {self._limits.stall_timeout:g} s"),
            (self._speed.deadline - self._waited, f"slower than {self._limits.least_speed:g} bytes/s"),
            (self._ends_at - now, "its link has ended"),
        )

    def _rest(self, error: Exception) -> bytes:
        """Return what came before the connection broke, at most two read buffers; raises `error` without any.

        aiohttp raises first and keeps these bytes. Without them a download from a host that breaks off again
        and again would never get further.
        """
        self._content.set_exception(None)  # type: ignore[arg-type]
        rest = self._content.read_nowait()
        if not rest:
            raise error
        self._broken = error
        return rest

    async def first(self, size: int) -> bytes:
        """Return all that has come once it is `size` bytes; fewer only when the body is shorter."""
        data = await self.chunk()
        while len(data) < size and (more := await self.chunk()):
            data += more
        return data
