"""Users, members and guilds as the JSON objects that Discord sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord.permissions import EVERYDAY, Right
from sandbox.discord.snowflakes import moment

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.discord.message_parts import Json
    from sandbox.discord.user import User
    from sandbox.discord.world import Channel, Guild, World


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
    return {**user(bot), "mfa_enabled": True, "locale": bot.locale, "verified": True}


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
        "preferred_locale": place.preferred_locale,
        "features": place.features,
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
        "emojis": [],
        "stickers": [],
    }
