"""What the bot needs in each kind of channel."""

from types import SimpleNamespace
from typing import Any

import discord
import pytest
from discord import ChannelType

from bot.chat.permissions import (
    computed_rights,
    may_post,
    may_send_text,
    missing_permissions,
    rights_in_guild,
)

ALL_NEEDED = ("view_channel", "send_messages", "send_messages_in_threads", "attach_files", "connect")
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

    assert missing == ([lacking] if lacking in needed_in(channel) else [])


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_missing_permissions_with_exactly_the_needed_is_empty(channel: ChannelType):
    """The bot asks for nothing beyond what it uses."""
    granted = discord.Permissions(**dict.fromkeys(needed_in(channel), True))

    assert missing_permissions(granted, channel) == []


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_missing_permissions_with_none_names_all_the_needed(channel: ChannelType):
    """Everything at once, so that nobody has to ask four times."""
    missing = missing_permissions(discord.Permissions.none(), channel)

    assert set(missing) == needed_in(channel)


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_missing_permissions_of_an_administrator_is_empty(channel: ChannelType):
    """An administrator may do everything, with any other bits."""
    assert missing_permissions(discord.Permissions(administrator=True), channel) == []


# -- computed from the cache -----------------------------------------------------------------------

ALL = discord.Permissions.all().value
TEXT_ONLY = discord.Permissions(view_channel=True, send_messages=True).value


class Channel:
    """As much of a channel as is asked for."""

    def __init__(self, rights: int, kind: ChannelType = ChannelType.text) -> None:
        self.type = kind
        self.rights = rights

    def permissions_for(self, _: object) -> discord.Permissions:
        return discord.Permissions(self.rights)


def guild_with(channels: dict[int, Channel], *, unavailable: bool = False) -> Any:
    return SimpleNamespace(
        id=1, unavailable=unavailable, me=object(), get_channel_or_thread=lambda number: channels.get(number)
    )


def client_with(guild: Any, *, is_up: bool = True) -> Any:
    return SimpleNamespace(get_guild=lambda _: guild, is_up=lambda: is_up)


@pytest.mark.parametrize(
    ("client", "rights"),
    [
        (client_with(guild_with({10: Channel(TEXT_ONLY)})), TEXT_ONLY),
        (client_with(guild_with({})), 0),
        (client_with(None), 0),
        (client_with(None, is_up=False), None),
        (client_with(guild_with({10: Channel(ALL)}, unavailable=True)), None),
        (client_with(guild_with({10: Channel(ALL)}), is_up=False), None),
    ],
    ids=["as cached", "no such channel", "no member", "gateway is down", "outage", "old cache"],
)
def test_computed_rights_are_not_known_without_a_gateway_and_in_an_outage(client: Any, rights: int | None):
    """An old cache says nothing of today; a channel that we do not see is one without rights."""
    assert computed_rights(client, 1, 10) == rights


def test_rights_that_cannot_be_computed_are_none_at_all():
    """The channel above a thread is hidden from us."""

    class Hidden(Channel):
        def permissions_for(self, _: object) -> discord.Permissions:
            raise discord.ClientException("no parent")

    assert rights_in_guild(guild_with({10: Hidden(ALL)}), 10) == 0


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (client_with(None, is_up=False), True),
        (client_with(guild_with({})), False),
        (client_with(guild_with({10: Channel(TEXT_ONLY)})), True),
        (client_with(guild_with({10: Channel(discord.Permissions(attach_files=True).value)})), False),
        (client_with(guild_with({10: Channel(discord.Permissions(administrator=True).value)})), True),
    ],
    ids=["not known", "no such channel", "text alone", "files alone", "administrator"],
)
def test_text_may_be_sent_where_nothing_says_otherwise(client: Any, expected: bool):
    """Only what is computed is a reason not to try."""
    assert may_send_text(client, 1, 10) is expected


def test_may_post_needs_all_that_a_result_needs_and_a_channel():
    """Files included."""
    guild = guild_with({10: Channel(ALL)})

    assert may_post(guild, 10, ALL)
    assert not may_post(guild, 10, TEXT_ONLY)
    assert not may_post(guild, 11, ALL)
