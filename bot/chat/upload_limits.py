"""How large a file Discord takes in a guild: by boost level, lowered by what a refusal taught."""

import time

MIB = 1024**2
# 20 MiB for everybody since 2026-09-03, by boost level above that (discord.py's own table is older).
_DEFAULT = 20 * MIB
_BY_BOOST_LEVEL = {2: 50 * MIB, 3: 100 * MIB}
# Limits change on Discord's side in both directions: what a refusal taught is believed for some hours.
_MEMORY = 6 * 3600.0


class UploadLimits:
    """In memory: after a restart the first refusal teaches again, and costs one upload."""

    def __init__(self) -> None:
        self._refused: dict[int, tuple[int, float]] = {}

    def fits(self, guild_id: int, boost_level: int, size: int) -> bool:
        """Whether `size` bytes are worth a try."""
        refused = self._refused.get(guild_id)
        if refused and time.monotonic() - refused[1] > _MEMORY:
            del self._refused[guild_id]
            refused = None
        most = _BY_BOOST_LEVEL.get(boost_level, _DEFAULT)
        return size <= most and (refused is None or size < refused[0])

    def refuse(self, guild_id: int, size: int) -> None:
        """Discord answered 413 to `size` bytes."""
        known = self._refused.get(guild_id, (size, 0.0))[0]
        self._refused[guild_id] = (min(known, size), time.monotonic())
