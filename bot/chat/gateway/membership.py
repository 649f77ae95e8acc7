"""Tracks which servers we are in, and requeues undelivered results when permissions return.

Events are hints: nothing is replayed for the time the bot was away, so each READY is compared with what is
stored, and Discord's answer to a message decides.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

import discord

from bot.chat.permissions import may_post, rights_in_guild
from bot.core.clock import DAY, Clock
from bot.storage.guilds import Guilds, RefusedResult

logger = logging.getLogger(__name__)

# After this time a refusal that our rights do not explain is tried once more.
_BLIND_RETRY_AFTER = DAY


class Membership:
    """Handles the client's events about servers. An outage (`unavailable`) changes nothing.

    Every method may raise StorageUnavailable.
    """

    def __init__(self, guilds: Guilds, clock: Clock, on_work: Callable[[], None]) -> None:
        self._guilds = guilds
        self._clock = clock
        self._on_work = on_work

    async def compare(self, guilds: Iterable[discord.Guild], is_visible: Callable[[int], bool]) -> None:
        """After READY, store which servers were left or joined while we were away.

        `guilds` contains servers in an outage as well. A server of another shard is not in it and not
        missing, because this READY does not name it.
        """
        missing, returned = await self._guilds.compare([g.id for g in guilds], is_visible, self._clock())
        for guild_id in sorted(missing):
            logger.warning(
                "no longer in server %d: its deliveries are kept for 30 days",
                guild_id,
                extra=_guild_fields(guild_id),
            )
        for guild_id in sorted(returned):
            logger.info("in server %d again", guild_id, extra=_guild_fields(guild_id))

    async def left(self, guild: discord.Guild) -> None:
        """Store that the bot was kicked or banned, or that the server is gone."""
        logger.warning(
            "removed from server %d: its deliveries are kept for 30 days",
            guild.id,
            extra=_guild_fields(guild.id),
        )
        await self._guilds.left(guild.id, self._clock())

    async def joined(self, guild: discord.Guild) -> None:
        """Store that the bot was invited, perhaps again."""
        await self._guilds.present([guild.id])
        await self.changed(guild)

    async def changed(self, guild: discord.Guild) -> None:
        """Requeue results, because permissions may have changed or an outage may be over.

        It only reads when nothing waits, because after READY it is called for every server.
        """
        await self._revive(guild)

    async def recheck(self, guilds: Iterable[discord.Guild]) -> None:
        """Requeue results from time to time, because an event may come before the refusal is stored."""
        for guild in guilds:
            await self._revive(guild)

    async def _revive(self, guild: discord.Guild) -> None:
        """Make due again the refused results whose obstacle is gone, as far as the cache knows."""
        for channel_id, refused in _by_channel(await self._guilds.refused(guild.id)).items():
            rights = rights_in_guild(guild, channel_id)
            if may_post(guild, channel_id, rights):
                await self._revive_in(guild, refused)
            else:
                unexplained = [r.delivery_id for r in refused if not _is_explained(guild, r)]
                if unexplained:
                    await self._guilds.set_rights(unexplained, rights)

    async def _revive_in(self, guild: discord.Guild, refused: Sequence[RefusedResult]) -> None:
        """Make due the results of a channel in which we may post now.

        These are the results that our rights explain. The others are tried once more, a day after.
        """
        freed, puzzling = [], []
        for result in refused:
            if _is_explained(guild, result):
                freed.append(result.delivery_id)
            elif not result.retried_blindly and self._clock() - result.since >= _BLIND_RETRY_AFTER:
                puzzling.append(result.delivery_id)
        now = self._clock()
        revived = await self._guilds.revive(freed, now) if freed else 0
        revived += await self._guilds.revive(puzzling, now, blindly=True) if puzzling else 0
        if revived:
            logger.info(
                "server %d: %d results can be posted again", guild.id, revived, extra=_guild_fields(guild.id)
            )
            self._on_work()


def _is_explained(guild: discord.Guild, result: RefusedResult) -> bool:
    """Whether our rights explain the refusal. The event that took one may come after the refusal."""
    return result.rights is not None and not may_post(guild, result.channel_id, result.rights)


def _by_channel(refused: Iterable[RefusedResult]) -> dict[int, list[RefusedResult]]:
    found: dict[int, list[RefusedResult]] = {}
    for result in refused:
        found.setdefault(result.channel_id, []).append(result)
    return found


def _guild_fields(guild_id: int) -> dict[str, object]:
    return {"guild_id": guild_id}
