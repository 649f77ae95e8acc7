"""What the bot may do in a channel: for a command before anything is registered, and after a refusal."""

from typing import Any

import discord

from bot.chat.gateway.shards import ShardedClient
from bot.chat.texts import replies
from bot.chat.texts.language import Translator

_THREADS = {
    discord.ChannelType.public_thread,
    discord.ChannelType.private_thread,
    discord.ChannelType.news_thread,
}
_VOICE = {discord.ChannelType.voice, discord.ChannelType.stage_voice}

# What is needed in one kind of channel or another, by discord.py's names.
_NEEDED = ("view_channel", "send_messages", "send_messages_in_threads", "attach_files", "connect")


def invite_link(application_id: int) -> str:
    """The address at which somebody adds the bot to a server, with all rights that it needs."""
    # Read Message History: to look for its own message after a crash.
    needed = discord.Permissions(read_message_history=True, **dict.fromkeys(_NEEDED, True))
    scopes = ("bot", "applications.commands")
    return discord.utils.oauth_url(application_id, permissions=needed, scopes=scopes)


def permission_problem(interaction: discord.Interaction[Any], t: Translator) -> str | None:
    """A sentence for the person who asked, or None when the bot may post here.

    Discord's client shows commands of apps whose bot never joined the server, and discord.py gives such
    an interaction a placeholder guild: only the list of READY tells.
    """
    if interaction.guild_id is None or interaction.channel is None:
        return t(replies.ONLY_IN_SERVERS)
    if interaction.client.get_guild(interaction.guild_id) is None:
        return t(replies.BOT_NOT_HERE)
    missing = missing_here(interaction)
    return replies.missing_permissions(t, missing) if missing else None


def missing_here(interaction: discord.Interaction[Any]) -> list[str]:
    """The permissions, by discord.py's names, that a result in the interaction's channel needs and lacks."""
    if interaction.channel is None:
        return []
    return missing_permissions(interaction.app_permissions, interaction.channel.type)


def missing_permissions(granted: discord.Permissions, channel: discord.ChannelType) -> list[str]:
    """The permissions, by discord.py's names, that are needed in such a channel and not granted."""
    needed = ["view_channel", "attach_files"]
    # In a thread Send Messages has no effect, and the chat of a voice channel asks for Connect.
    needed.append("send_messages_in_threads" if channel in _THREADS else "send_messages")
    if channel in _VOICE:
        needed.append("connect")
    if granted.administrator:
        return []
    return [name for name in needed if not getattr(granted, name)]


def computed_rights(client: ShardedClient, guild_id: int, channel_id: int) -> int | None:
    """Our permissions in a channel as the gateway's cache has them, as Discord's bits.

    0 where we are no member, see no such channel, or a thread is locked. None when it is not known: in a
    process without a gateway, before the gateway has told, in an outage.
    """
    guild = client.get_guild(guild_id)
    if guild is None:
        return 0 if client.is_up() else None
    if guild.unavailable or not client.is_up():
        return None
    return rights_in_guild(guild, channel_id)


def rights_in_guild(guild: discord.Guild, channel_id: int) -> int:
    """The same for a server that is in the cache."""
    channel = guild.get_channel_or_thread(channel_id)
    if channel is None or (isinstance(channel, discord.Thread) and channel.locked):
        return 0
    try:
        return channel.permissions_for(guild.me).value
    except (discord.ClientException, AttributeError):
        return 0  # a thread whose channel is hidden from us, or a server that has not told who we are


def may_post(guild: discord.Guild, channel_id: int, rights: int) -> bool:
    """Whether these rights are enough to post a result in the channel, as the cache knows it."""
    channel = guild.get_channel_or_thread(channel_id)
    return channel is not None and not missing_permissions(discord.Permissions(rights), channel.type)


def may_send_text(client: ShardedClient, guild_id: int, channel_id: int) -> bool:
    """Whether a message without a file may be taken there; true where our rights are not known."""
    rights, guild = computed_rights(client, guild_id, channel_id), client.get_guild(guild_id)
    if rights is None:
        return True
    channel = guild.get_channel_or_thread(channel_id) if guild is not None else None
    if channel is None:
        return False
    missing = missing_permissions(discord.Permissions(rights), channel.type)
    return not set(missing) - {"attach_files"}
