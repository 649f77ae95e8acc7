"""What the bot needs in each kind of channel, by the names that the server settings show."""

import discord
import pytest
from discord import ChannelType

from bot.chat.permissions import missing_permissions

ALL_NEEDED = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "attach_files": "Attach Files",
    "connect": "Connect",
}
ROOMS = {ChannelType.text, ChannelType.news}
SPOKEN = {ChannelType.voice, ChannelType.stage_voice}
THREADS = {ChannelType.public_thread, ChannelType.private_thread, ChannelType.news_thread}


def needed_in(channel: ChannelType) -> set[str]:
    """Discord's own table (reference: Permissions; Threads)."""
    if channel in THREADS:
        return {"view_channel", "attach_files", "send_messages_in_threads"}
    return {"view_channel", "attach_files", "send_messages"} | ({"connect"} if channel in SPOKEN else set())


CHANNELS = sorted(ROOMS | SPOKEN | THREADS, key=str)


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
@pytest.mark.parametrize("lacking", ALL_NEEDED)
def test_missing_permissions_without_one_names_it_where_it_is_needed(channel: ChannelType, lacking: str):
    """Send Messages says nothing in a thread, and Connect only where people speak."""
    granted = discord.Permissions.all()
    granted.administrator = False
    setattr(granted, lacking, False)

    missing = missing_permissions(granted, channel)

    assert missing == ([ALL_NEEDED[lacking]] if lacking in needed_in(channel) else [])


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_missing_permissions_with_exactly_the_needed_is_empty(channel: ChannelType):
    """The bot asks for nothing beyond what it uses."""
    granted = discord.Permissions(**dict.fromkeys(needed_in(channel), True))

    assert missing_permissions(granted, channel) == []


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_missing_permissions_with_none_names_all_the_needed(channel: ChannelType):
    """Everything at once, so that nobody has to ask four times."""
    missing = missing_permissions(discord.Permissions.none(), channel)

    assert set(missing) == {ALL_NEEDED[name] for name in needed_in(channel)}


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_missing_permissions_of_an_administrator_is_empty(channel: ChannelType):
    """An administrator may everything, whatever the other bits say."""
    assert missing_permissions(discord.Permissions(administrator=True), channel) == []
