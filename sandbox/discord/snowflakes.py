"""Discord's ids: the time in milliseconds since 2015 in the upper bits, unique and always increasing."""

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
        """A guild's id by which it belongs to shard `part` of `parts`: up to that many milliseconds ahead."""
        ahead = (part - moment_bits(self.next())) % parts
        self._last += ahead << _TIME_SHIFT
        return self._last


def moment_bits(snowflake: int) -> int:
    """The time in it; guilds are spread over shards by it."""
    return snowflake >> _TIME_SHIFT


def moment(snowflake: int) -> datetime:
    """When the thing with this id came into being."""
    milliseconds = moment_bits(snowflake) + DISCORD_EPOCH_MS
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
