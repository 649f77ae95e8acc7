"""Discord's rule for shards: which part of a bot's gateway traffic a session gets."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.discord.snowflakes import moment_bits


@dataclass(frozen=True, slots=True)
class Shard:
    """`[id, count]` of IDENTIFY."""

    id: int
    count: int

    def holds(self, guild_id: int | None) -> bool:
        """Direct messages have no guild: the first shard gets them."""
        return self.id == (0 if guild_id is None else moment_bits(guild_id) % self.count)


WHOLE = Shard(0, 1)
"""What a session without `shard` counts as."""


def read_shard(given: object) -> Shard | None:
    """None when there is no such shard: close code 4010."""
    match given:
        case None:
            return WHOLE
        case [int(shard_id), int(count)] if 0 <= shard_id < count:
            return Shard(shard_id, count)
    return None
