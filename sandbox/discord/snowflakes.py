"""Discord's ids: milliseconds since 2015 in the upper bits, unique and always increasing."""

from __future__ import annotations

import time
from datetime import UTC, datetime

DISCORD_EPOCH_MS = 1_420_070_400_000
_TIME_SHIFT = 22


class Snowflakes:
    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        now = (time.time_ns() // 1_000_000 - DISCORD_EPOCH_MS) << _TIME_SHIFT
        self._last = max(now, self._last + 1)
        return self._last

    def next_in(self, part: int, parts: int) -> int:
        """An id for a guild of shard `part` out of `parts`; it lies up to `parts` milliseconds ahead."""
        ahead = (part - moment_bits(self.next())) % parts
        self._last += ahead << _TIME_SHIFT
        return self._last


def moment_bits(snowflake: int) -> int:
    """The time in an id, in milliseconds since 2015. It also determines a guild's shard."""
    return snowflake >> _TIME_SHIFT


def moment(snowflake: int) -> datetime:
    """The time in an id as a datetime."""
    milliseconds = moment_bits(snowflake) + DISCORD_EPOCH_MS
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
