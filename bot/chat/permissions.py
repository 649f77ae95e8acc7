"""Whether the bot may post a result in the channel of a command; checked before anything is registered."""

from typing import Any

import discord

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
