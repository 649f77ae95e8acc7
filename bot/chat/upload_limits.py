"""How large a file Discord takes in a guild: by boost level, lowered by what a refusal taught."""

import time
from collections.abc import Callable

MIB = 1024**2
# 20 MiB for everybody since 2026-09-03, by boost level above that (discord.py's own table is older).
DEFAULT = 20 * MIB
_BY_BOOST_LEVEL = {2: 50 * MIB, 3: 100 * MIB}
# What Discord's limits are or have been: after a refusal, the next lower one is worth a try.
_KNOWN = (100 * MIB, 50 * MIB, 25 * MIB, 20 * MIB, 10 * MIB, 8 * MIB)
# Limits change on Discord's side in both directions: what a refusal taught is believed for some hours.
_MEMORY = 6 * 3600.0


class UploadLimits:
    """In memory: after a restart the first refusal teaches again, and costs one upload."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._refused: dict[int, tuple[int, float]] = {}

    def limit(self, guild_id: int, boost_level: int) -> int:
        """How many bytes are worth a try."""
        limit = _BY_BOOST_LEVEL.get(boost_level, DEFAULT)
        refused = self._lowest_refused(guild_id)
        if refused is None or refused > limit:
            return limit
        return next((known for known in _KNOWN if known < refused), refused // 2)

    def refuse(self, guild_id: int, size: int) -> None:
        """Discord answered 413 to `size` bytes."""
        refused = self._lowest_refused(guild_id)
        self._refused[guild_id] = (size if refused is None else min(refused, size), self._seconds())

    def _lowest_refused(self, guild_id: int) -> int | None:
        refused = self._refused.get(guild_id)
        if refused is not None and self._seconds() - refused[1] > _MEMORY:
            del self._refused[guild_id]
            return None
        return None if refused is None else refused[0]
