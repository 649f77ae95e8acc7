"""Whether the bot could post a result where a command was used; asked before anything is registered."""

from typing import Any

import discord

from bot.chat import texts

_THREADS = {
    discord.ChannelType.public_thread,
    discord.ChannelType.private_thread,
    discord.ChannelType.news_thread,
}
_SPOKEN = {discord.ChannelType.voice, discord.ChannelType.stage_voice}

_NAMES = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "attach_files": "Attach Files",
    "connect": "Connect",
}


def access_problem(interaction: discord.Interaction[Any]) -> str | None:
    """A sentence for whoever asked, or None when the bot may post here.

    Discord's client shows commands of apps whose bot never joined the server, and discord.py gives such
    an interaction a placeholder guild: only the list of READY tells.
    """
    if interaction.guild_id is None or interaction.channel is None:
        return texts.ONLY_IN_SERVERS
    if interaction.client.get_guild(interaction.guild_id) is None:
        return texts.BOT_NOT_HERE
    missing = missing_permissions(interaction.app_permissions, interaction.channel.type)
    return texts.missing_permissions(missing) if missing else None


def missing_permissions(granted: discord.Permissions, channel: discord.ChannelType) -> list[str]:
    """The names, as the server settings show them, of what is needed in such a channel and not granted."""
    needed = ["view_channel", "attach_files"]
    # In a thread Send Messages has no effect, and the chat of a voice channel asks for Connect.
    needed.append("send_messages_in_threads" if channel in _THREADS else "send_messages")
    if channel in _SPOKEN:
        needed.append("connect")
    if granted.administrator:
        return []
    return [_NAMES[name] for name in needed if not getattr(granted, name)]
