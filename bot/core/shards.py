"""Which shard of a bot hears of a server."""


def shard_of(guild_id: int, count: int) -> int:
    """Discord's rule (Gateway, "Sharding"); direct messages are the first shard's."""
    return (guild_id >> 22) % count
