"""Time as the whole program counts it: whole milliseconds since 1970, UTC."""

import time
from datetime import UTC, datetime
from typing import Protocol

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """Returns the time. It is a parameter where time decides something, so that tests can set it."""

    def __call__(self) -> int:
        """Return the time in UTC milliseconds."""
        ...


def system_clock() -> int:
    """Return the wall clock's time, not a monotonic clock's, because due times must survive a restart."""
    return time.time_ns() // 1_000_000


def to_datetime(milliseconds: int) -> datetime:
    """Convert UTC milliseconds to an aware datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
