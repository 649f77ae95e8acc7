"""What the bot may do in a channel: for a command before anything is registered, and after a refusal."""

from typing import Any

import discord

from bot.chat.gateway.shards import ShardedClient
from bot.chat.texts import replies

_THREADS = {
    discord.ChannelType.public_thread,
    discord.ChannelType.private_thread,
    discord.ChannelType.news_thread,
}
_VOICE = {discord.ChannelType.voice, discord.ChannelType.stage_voice}

_NAMES = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "attach_files": "Attach Files",
    "connect": "Connect",
}


def invite_link(application_id: int) -> str:
    """The address at which somebody adds the bot to a server, with all rights that it needs."""
    # Read Message History: to look for its own message after a crash.
    needed = discord.Permissions(read_message_history=True, **dict.fromkeys(_NAMES, True))
    scopes = ("bot", "applications.commands")
    return discord.utils.oauth_url(application_id, permissions=needed, scopes=scopes)


def permission_problem(interaction: discord.Interaction[Any]) -> str | None:
    """A sentence for the person who asked, or None when the bot may post here.

    Discord's client shows commands of apps whose bot never joined the server, and discord.py gives such
    an interaction a placeholder guild: only the list of READY tells.
    """
    if interaction.guild_id is None or interaction.channel is None:
        return replies.ONLY_IN_SERVERS
    if interaction.client.get_guild(interaction.guild_id) is None:
        return replies.BOT_NOT_HERE
    missing = missing_permissions(interaction.app_permissions, interaction.channel.type)
    return replies.missing_permissions(missing) if missing else None


def missing_permissions(granted: discord.Permissions, channel: discord.ChannelType) -> list[str]:
    """The names, as the server settings show them, of what is needed in such a channel and not granted."""
    needed = ["view_channel", "attach_files"]
    # In a thread Send Messages has no effect, and the chat of a voice channel asks for Connect.
    needed.append("send_messages_in_threads" if channel in _THREADS else "send_messages")
    if channel in _VOICE:
        needed.append("connect")
    if granted.administrator:
        return []
    return [_NAMES[name] for name in needed if not getattr(granted, name)]


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
    return not set(missing) - {_NAMES["attach_files"]}
