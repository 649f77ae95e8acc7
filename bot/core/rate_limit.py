"""Rate limits: how many calls per second we make to another service."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from bot.core.clock import SECOND, Clock

_MICROSECONDS = 1_000_000
_PER_MILLISECOND = _MICROSECONDS // SECOND


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`rate` calls per second, and at most `burst` calls at once after a pause.

    The only state is one number, `used_until`: the time, in microseconds, up to which the calls so far have
    used the rate (the generic cell rate algorithm of ITU-T I.371). Processes share a limit by sharing that
    number. `now` is in UTC milliseconds.
    """

    rate: float
    burst: float

    def allowed(self, used_until: int, now: int) -> int:
        """Return how many calls may be made now."""
        left = now * _PER_MILLISECOND - self._start(used_until, now)
        # Plus the microsecond that rounding may have lost.
        return max(0, int((left + 1) / self._cost))

    def after(self, used_until: int, now: int, calls: int) -> int:
        """Return `used_until` after `calls` more calls; the last of them may be made at that time."""
        return int(self._start(used_until, now) + calls * self._cost)

    @property
    def _cost(self) -> float:
        return _MICROSECONDS / self.rate

    def _start(self, used_until: int, now: int) -> float:
        return max(used_until, now * _PER_MILLISECOND - max(1.0, self.burst) * self._cost)


def seconds_until(used_until: int, now: int) -> float:
    """Return the seconds until a planned call may be made."""
    return max(0.0, used_until / _MICROSECONDS - now / SECOND)


class Limiter(Protocol):
    """Delays calls so that they keep a rate limit, in this process or in all processes together."""

    async def acquire(self) -> None:
        """Return when the next call may be made. Raises StorageUnavailable for a limit in the database."""
        ...


class RateLimiter:
    """A rate limit for one process."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._used_until = 0
        self._last_now = clock()

    def available(self) -> int:
        """Return how many calls may be made now."""
        now = self._follow_clock()
        return self._limit.allowed(self._used_until, now)

    def spend(self, calls: int) -> None:
        """Count `calls` calls, made or planned."""
        now = self._follow_clock()
        self._used_until = self._limit.after(self._used_until, now, calls)

    def ready_at(self) -> int:
        """Return when the next call may be made, in UTC milliseconds."""
        now = self._follow_clock()
        return -(-self._limit.after(self._used_until, now, 1) // _PER_MILLISECOND)

    async def acquire(self) -> None:
        """Return when the next call may be made. Callers are served in the order in which they came."""
        self.spend(1)
        now = self._follow_clock()
        await asyncio.sleep(seconds_until(self._used_until, now))

    def _follow_clock(self) -> int:
        """Return the time now, and move `_used_until` back as far as the clock was set back.

        Call it before `_used_until` is read.
        """
        now = self._clock()
        self._used_until -= max(0, self._last_now - now) * _PER_MILLISECOND
        self._last_now = now
        return now
