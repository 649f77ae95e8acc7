"""The Discord client: guilds as its only intent, the command tree, and what its events are told to."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import discord

from bot.chat.buttons.cards import NotifyButton, StopButton, StopYesButton
from bot.chat.buttons.forget import ForgetButton
from bot.chat.buttons.results import (
    DeleteButton,
    DeleteDirectButton,
    DeleteDirectYesButton,
    DeleteYesButton,
    PostAgainButton,
)
from bot.chat.command_translator import CommandTranslator
from bot.chat.commands import VeoCommands, message_command
from bot.chat.gateway.membership import Membership
from bot.chat.gateway.shards import ShardedClient, shard_of
from bot.chat.messenger import DiscordMessenger
from bot.chat.responses import reply_to_error
from bot.chat.usage import CommandTree, count_use
from bot.core.errors import StorageUnavailable
from bot.metrics import Metrics
from bot.work.tracking import Tracking

logger = logging.getLogger(__name__)
_BUTTONS = (
    *(NotifyButton, StopButton, StopYesButton, PostAgainButton, ForgetButton),
    *(DeleteButton, DeleteYesButton, DeleteDirectButton, DeleteDirectYesButton),
)


# discord.py warns at every start that voice libraries are missing; this bot does not speak.
discord.VoiceClient.warn_nacl = False
discord.VoiceClient.warn_dave = False


class CourierClient(ShardedClient):
    """Holds no state of tasks. `use` must be called before the gateway connects."""

    tracking: Tracking
    messenger: DiscordMessenger
    metrics: Metrics
    _membership: Membership

    def __init__(
        self, *, proxy: str | None = None, shard_count: int | None = None, shard_ids: tuple[int, ...] = ()
    ) -> None:
        super().__init__(
            # Guilds: who is there, boost levels, and being removed. Commands and buttons need no intent.
            intents=discord.Intents(guilds=True),
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            chunk_guilds_at_startup=False,
            allowed_mentions=discord.AllowedMentions.none(),
            # The durable loop handles a longer wait, because it stores it; see discord.RateLimited.
            max_ratelimit_timeout=60,
            proxy=proxy,
            shard_count=shard_count,
            shard_ids=shard_ids,
        )
        self.tree = CommandTree(self)
        self.tree.error(reply_to_error)
        self.connected = asyncio.Event()
        self._ready_shards: set[int] = set()

    async def setup_hook(self) -> None:
        await self.tree.set_translator(CommandTranslator())

    def use(self, tracking: Tracking, messenger: DiscordMessenger, membership: Membership) -> None:
        """Give the client its services; commands exist from here on."""
        self.tracking = tracking
        self.messenger = messenger
        self._membership = membership
        self.tree.add_command(VeoCommands(tracking, messenger))
        self.tree.add_command(message_command(tracking, messenger))
        self.add_dynamic_items(*_BUTTONS)

    async def on_shard_connect(self, shard_id: int) -> None:
        """READY: commands arrive from now on. (on_shard_ready comes seconds later; we need no cache.)"""
        self._ready_shards.add(shard_id)
        if not self.connected.is_set() and self._ready_shards.issuperset(self.shard_ids):
            self.connected.set()
            of_shards = (
                f", {len(self.shard_ids)} of {self.shard_count} shards" if self.shard_count > 1 else ""
            )
            logger.info("ready as %s in %d servers%s", self.user, len(self.guilds), of_shards)
        count = self.shard_count
        await _record_change(self._membership.compare(self.guilds, lambda g: shard_of(g, count) == shard_id))

    async def recheck(self) -> None:
        """Look for channels that take results again although no event said so. Raises StorageUnavailable."""
        await self._membership.recheck(self.guilds)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        await _record_change(self._membership.left(guild))

    # What may have freed the way to a channel that did not take a result. After READY each guild comes
    # as available: what changed while we were away is noticed there.

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await _record_change(self._membership.joined(guild))

    async def on_guild_available(self, guild: discord.Guild) -> None:
        await _record_change(self._membership.changed(guild))

    async def on_guild_update(self, _: discord.Guild, guild: discord.Guild) -> None:
        await _record_change(self._membership.changed(guild))

    async def on_guild_role_update(self, _: discord.Role, role: discord.Role) -> None:
        await _record_change(self._membership.changed(role.guild))

    async def on_guild_role_delete(self, role: discord.Role) -> None:
        await _record_change(self._membership.changed(role.guild))

    async def on_member_update(self, _: discord.Member, member: discord.Member) -> None:
        """Our own: Discord tells of no other without the members intent."""
        await _record_change(self._membership.changed(member.guild))

    async def on_guild_channel_create(self, channel: discord.abc.GuildChannel) -> None:
        await _record_change(self._membership.changed(channel.guild))

    async def on_guild_channel_update(
        self, _: discord.abc.GuildChannel, channel: discord.abc.GuildChannel
    ) -> None:
        await _record_change(self._membership.changed(channel.guild))

    async def on_thread_join(self, thread: discord.Thread) -> None:
        await _record_change(self._membership.changed(thread.guild))

    async def on_thread_update(self, _: discord.Thread, thread: discord.Thread) -> None:
        await _record_change(self._membership.changed(thread.guild))

    async def on_app_command_completion(self, interaction: discord.Interaction[Any], _: object) -> None:
        count_use(interaction)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        logger.exception("a bug in the handling of %s", event_method)


async def _record_change(recording: Awaitable[None]) -> None:
    """Record a change. When the database does not answer, the next READY brings the same change."""
    try:
        await recording
    except StorageUnavailable as error:
        logger.warning("a change in a server was not recorded: %s", error)
