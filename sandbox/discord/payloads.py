"""Users, guilds and channels as the JSON objects that Discord sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord.permissions import EVERYDAY, Right
from sandbox.discord.snowflakes import moment

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.discord.message_parts import Json
    from sandbox.discord.world import Channel, Guild, User, World

LOCALE = "en-US"
CHANNEL_TYPES = {"text": 0, "dm": 1, "voice": 2, "news": 5, "thread": 11, "forum": 15}
NEWS_THREAD = 10

_OVERWRITE_FOR_MEMBER = 1


def timestamp(when: datetime) -> str:
    return when.isoformat()


def user(someone: User) -> Json:
    return {
        "id": str(someone.id),
        "username": someone.name,
        "global_name": None,
        "discriminator": "0",
        "avatar": None,
        "bot": someone.is_bot,
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
    }


def own_user(bot: User) -> Json:
    return {**user(bot), "mfa_enabled": True, "locale": LOCALE, "verified": True}


def application(world: World) -> Json:
    owner = {**user(world.bot), "id": str(world.bot.id + 1), "username": "owner", "bot": False}
    return {
        "id": str(world.bot.id),
        "name": world.bot.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": user(world.bot),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 0,
        "flags_new": "0",
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": owner,
        "approximate_guild_count": sum(guild.bot_member for guild in world.guilds.values()),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
    }


def member(guild: Guild, someone: User) -> Json:
    is_bot = someone is guild.world.bot
    return {
        "user": user(someone),
        "nick": None,
        "avatar": None,
        "banner": None,
        "roles": [str(guild.bot_role_id)] if is_bot else [],
        "joined_at": timestamp(moment(someone.id)),
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }


def acting_member(channel: Channel, someone: User) -> Json:
    """A member in an interaction, with their permissions in that channel."""
    assert channel.guild is not None
    allowed = channel.rights_of(someone.id)
    return {**member(channel.guild, someone), "permissions": str(int(allowed))}


def role(role_id: int, name: str, permissions: Right, *, managed: bool) -> Json:
    return {
        "id": str(role_id),
        "name": name,
        "permissions": str(int(permissions)),
        "position": 1 if managed else 0,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": managed,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def roles(guild: Guild) -> list[Json]:
    bot_rights = guild.rights_of(guild.world.bot.id)
    return [
        role(guild.id, "@everyone", EVERYDAY, managed=False),
        role(guild.bot_role_id, guild.world.bot.name, bot_rights, managed=True),
    ]


def guild(place: Guild) -> Json:
    return {
        **_guild_settings(place),
        "id": str(place.id),
        "name": place.name,
        "owner_id": str(place.owner_id),
        "roles": roles(place),
        "premium_tier": place.premium_tier,
        "preferred_locale": LOCALE,
        "max_members": 500_000,
    }


def _guild_settings(place: Guild) -> Json:
    """The fields that no test varies, with the values of a new guild."""
    absent = (
        *("icon", "description", "home_header", "splash", "discovery_splash", "banner"),
        *("application_id", "afk_channel_id", "system_channel_id", "widget_channel_id"),
        *("max_presences", "vanity_url_code", "rules_channel_id", "safety_alerts_channel_id"),
        *("public_updates_channel_id", "incidents_data"),
    )
    zero = (
        *("system_channel_flags", "verification_level", "default_message_notifications"),
        *("mfa_level", "explicit_content_filter", "premium_subscription_count", "nsfw_level"),
    )
    return {
        **dict.fromkeys(absent, None),
        **dict.fromkeys(zero, 0),
        "region": "deprecated",
        "afk_timeout": 300,
        "widget_enabled": False,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "features": [],
        "emojis": [],
        "stickers": [],
    }


def guild_create(place: Guild) -> Json:
    """The data of GUILD_CREATE. Of the members, a bot without that intent gets only itself."""
    bot = place.world.bot
    return {
        **guild(place),
        "joined_at": timestamp(moment(place.id)),
        "large": False,
        "member_count": len(place.members),
        "members": [member(place, bot)],
        "channels": [channel(each) for each in place.channels if not each.is_thread],
        "threads": [channel(each) for each in place.channels if each.is_thread and not each.archived],
        **{name: [] for name in ("voice_states", "presences", "stage_instances")},
        **{name: [] for name in ("guild_scheduled_events", "soundboard_sounds")},
    }


def channel_type(place: Channel) -> int:
    if place.parent is not None and place.parent.kind == "news":
        return NEWS_THREAD
    return CHANNEL_TYPES[place.kind]


def channel(place: Channel) -> Json:
    if place.kind == "dm":
        return _direct_channel(place)
    return _thread(place) if place.is_thread else _guild_channel(place)


def _last_message_id(place: Channel) -> str | None:
    return str(place.posts[-1].id) if place.posts else None


def _direct_channel(place: Channel) -> Json:
    assert place.recipient is not None
    return {
        "id": str(place.id),
        "type": CHANNEL_TYPES["dm"],
        "flags": 0,
        "last_message_id": _last_message_id(place),
        "recipients": [user(place.recipient)],
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
        "member_count": 1,
        "total_message_sent": len(place.posts),
        "thread_metadata": {
            "archived": place.archived,
            "locked": place.locked,
            "auto_archive_duration": 1440,
            "archive_timestamp": timestamp(moment(place.id)),
            "create_timestamp": timestamp(moment(place.id)),
        },
    }
