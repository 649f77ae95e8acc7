"""Time as the whole program counts it: whole milliseconds since 1970, UTC."""

import time
from datetime import UTC, datetime
from typing import Protocol

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """A parameter wherever time decides something, so that tests can set it."""

    def __call__(self) -> int:
        """Now, in UTC milliseconds."""
        ...


def system_clock() -> int:
    """The wall clock. Due times must survive a restart, so a monotonic clock would not do."""
    return time.time_ns() // 1_000_000


def to_datetime(milliseconds: int) -> datetime:
    """An aware UTC datetime, for libraries that want one."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
