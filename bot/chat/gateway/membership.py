"""Tracks which servers we are in, and requeues undelivered results when permissions return.

Events are hints: nothing is replayed for the time the bot was away, so each READY is compared with what is
stored, and Discord's answer to a message decides.
"""

import logging
from collections.abc import Callable, Iterable

import discord

from bot.chat.permissions import missing_permissions
from bot.core.clock import Clock
from bot.storage.guilds import Guilds

logger = logging.getLogger(__name__)


class Membership:
    """Told by the client. An outage (`unavailable`) is no reason for anything. Raises StorageUnavailable."""

    def __init__(self, guilds: Guilds, clock: Clock, on_work: Callable[[], None]) -> None:
        self._guilds = guilds
        self._clock = clock
        self._on_work = on_work

    async def compare(self, guilds: Iterable[discord.Guild], is_visible: Callable[[int], bool]) -> None:
        """After READY: what happened while we were away. Guilds in an outage are in the list as well.

        A server of another shard is not in the list and not missing, because this READY does not name it.
        """
        missing, returned = await self._guilds.compare([g.id for g in guilds], is_visible, self._clock())
        for guild_id in sorted(missing):
            logger.warning(
                "no longer in server %d: what it is owed is kept for 30 days",
                guild_id,
                extra=_guild_fields(guild_id),
            )
        for guild_id in sorted(returned):
            logger.info("in server %d again", guild_id, extra=_guild_fields(guild_id))

    async def left(self, guild: discord.Guild) -> None:
        """Kicked, banned, or the guild is gone."""
        logger.warning(
            "removed from server %d: what it is owed is kept for 30 days",
            guild.id,
            extra=_guild_fields(guild.id),
        )
        await self._guilds.left(guild.id, self._clock())

    async def joined(self, guild: discord.Guild) -> None:
        """Invited, perhaps once more."""
        await self._guilds.present([guild.id])
        await self.changed(guild)

    async def changed(self, guild: discord.Guild) -> None:
        """Something about permissions may have changed, or the guild is out of an outage.

        Only reads when nothing waits, because after READY it is called for every server.
        """
        await self._revive(guild)

    async def recheck(self, guilds: Iterable[discord.Guild]) -> None:
        """Look again now and then: an event between a refusal and our record of it found no row."""
        for guild in guilds:
            await self._revive(guild)

    async def _revive(self, guild: discord.Guild) -> None:
        waiting = await self._guilds.undeliverable_channels(guild.id)
        free = [channel_id for channel_id in waiting if _may_post(guild, channel_id)]
        if not free:
            return
        revived = await self._guilds.revive(free, self._clock())
        if revived:
            logger.info(
                "server %d: %d results can be posted again", guild.id, revived, extra=_guild_fields(guild.id)
            )
            self._on_work()


def _guild_fields(guild_id: int) -> dict[str, object]:
    return {"guild_id": guild_id}


def _may_post(guild: discord.Guild, channel_id: int) -> bool:
    """As far as the cache tells. A channel that is not in it is hidden from us, or gone."""
    channel = guild.get_channel_or_thread(channel_id)
    if channel is None:
        return False
    if isinstance(channel, discord.Thread) and channel.locked:
        return False
    try:
        return not missing_permissions(channel.permissions_for(guild.me), channel.type)
    except discord.ClientException:
        return False  # a thread whose channel is hidden from us
