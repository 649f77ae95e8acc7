"""Channels and threads, and a guild with all of them, as the JSON objects that Discord sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import payloads
from sandbox.discord.permissions import Right
from sandbox.discord.snowflakes import moment

if TYPE_CHECKING:
    from sandbox.discord.message_parts import Json
    from sandbox.discord.world import Channel, Guild

CHANNEL_TYPES = {"text": 0, "dm": 1, "voice": 2, "news": 5, "thread": 11, "forum": 15}
NEWS_THREAD, PRIVATE_THREAD = 10, 12

HIDDEN_CHANNEL = 1 << 17
_OVERWRITE_FOR_MEMBER = 1


def guild_create(place: Guild) -> Json:
    """The data of GUILD_CREATE. Of the members, a bot without that intent gets only itself."""
    bot = place.world.bot
    return {
        **payloads.guild(place),
        "joined_at": payloads.timestamp(moment(place.id)),
        "large": False,
        "member_count": len(place.members),
        "members": [payloads.member(place, bot)],
        "channels": [shown_channel(each) for each in place.channels if not each.is_thread],
        "threads": [own_thread(each) for each in place.channels if _is_listed(each)],
        **{name: [] for name in ("voice_states", "presences", "stage_instances")},
        **{name: [] for name in ("guild_scheduled_events", "soundboard_sounds")},
    }


def _is_listed(place: Channel) -> bool:
    """Whether GUILD_CREATE lists this: an active thread that the bot sees."""
    return place.is_thread and not place.archived and place.is_visible_to(place.world.bot.id)


def channel_type(place: Channel) -> int:
    if place.private:
        return PRIVATE_THREAD
    if place.parent is not None and place.parent.kind == "news":
        return NEWS_THREAD
    return CHANNEL_TYPES[place.kind]


def channel(place: Channel) -> Json:
    if place.kind == "dm":
        return _direct_channel(place)
    return _thread(place) if place.is_thread else _guild_channel(place)


def shown_channel(place: Channel) -> Json:
    """A server's channel as the gateway sends it to the bot.

    Since 2026-11-16 one that the bot cannot view comes without its name, and with fields null or left out.
    """
    assert place.guild is not None
    if place.rights_of(place.world.bot.id) & Right.VIEW_CHANNEL:
        return _guild_channel(place)
    return {
        "id": str(place.id),
        "type": channel_type(place),
        "flags": HIDDEN_CHANNEL,
        "guild_id": str(place.guild.id),
        "name": "___hidden___",
        "position": None,
        "parent_id": None,
        "topic": None,
        "permission_overwrites": _overwrites(place)[:1],
    }


def _last_message_id(place: Channel) -> str | None:
    return str(place.posts[-1].id) if place.posts else None


def _direct_channel(place: Channel) -> Json:
    assert place.recipient is not None
    return {
        "id": str(place.id),
        "type": CHANNEL_TYPES["dm"],
        "flags": 0,
        "last_message_id": _last_message_id(place),
        "recipients": [payloads.user(place.recipient)],
    }


def _guild_channel(place: Channel) -> Json:
    assert place.guild is not None
    body: Json = {
        "id": str(place.id),
        "type": channel_type(place),
        "flags": 0,
        "guild_id": str(place.guild.id),
        "name": place.name,
        "position": [each for each in place.guild.channels if not each.is_thread].index(place)
        if place in place.guild.channels
        else 0,
        "parent_id": None,
        "nsfw": False,
        "topic": None,
        "rate_limit_per_user": 0,
        "last_message_id": _last_message_id(place),
        "permission_overwrites": _overwrites(place),
    }
    if place.kind == "voice":
        body |= {"bitrate": 64_000, "user_limit": 0, "rtc_region": None}
    if place.kind == "forum":
        body |= {"available_tags": [], "default_sort_order": None, "default_reaction_emoji": None}
        body["default_forum_layout"] = 0
    return body


def _overwrites(place: Channel) -> list[Json]:
    return [
        {
            "id": str(user_id),
            "type": _OVERWRITE_FOR_MEMBER,
            "allow": str(int(overwrite.allow)),
            "deny": str(int(overwrite.deny)),
        }
        for user_id, overwrite in place.overwrites.items()
    ]


def _thread(place: Channel) -> Json:
    assert place.guild is not None
    assert place.parent is not None
    return {
        "id": str(place.id),
        "type": channel_type(place),
        "flags": 0,
        "guild_id": str(place.guild.id),
        "parent_id": str(place.parent.id),
        "owner_id": str(place.guild.owner_id),
        "name": place.name,
        "last_message_id": _last_message_id(place),
        "rate_limit_per_user": 0,
        "message_count": len(place.posts),
        "member_count": len(place.thread_members),
        "total_message_sent": len(place.posts),
        "thread_metadata": {
            "archived": place.archived,
            "locked": place.locked,
            "auto_archive_duration": 1440,
            "archive_timestamp": payloads.timestamp(moment(place.id)),
            "create_timestamp": payloads.timestamp(moment(place.id)),
            **({"invitable": True} if place.private else {}),
        },
    }


def own_thread(place: Channel) -> Json:
    """A thread as the gateway sends it: with the bot's own membership, if it is a member."""
    bot = place.world.bot
    is_member = bot.id in place.thread_members
    return {**_thread(place), **({"member": thread_member(place, bot.id)} if is_member else {})}


def deleted_thread(place: Channel) -> Json:
    """The data of THREAD_DELETE."""
    assert place.guild is not None
    assert place.parent is not None
    return {
        "id": str(place.id),
        "guild_id": str(place.guild.id),
        "parent_id": str(place.parent.id),
        "type": channel_type(place),
    }


def thread_member(thread: Channel, user_id: int) -> Json:
    return {
        "id": str(thread.id),
        "user_id": str(user_id),
        "join_timestamp": payloads.timestamp(thread.thread_members[user_id]),
        "flags": 0,
    }
