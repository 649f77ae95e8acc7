"""Turns a change of the world into the gateway event that Discord sends for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import payloads
from sandbox.discord.world import Channel, Guild

if TYPE_CHECKING:
    from sandbox.discord.changes import Change
    from sandbox.discord.message_parts import Json

Event = tuple[str, "Json"]


def event_of(change: Change) -> tuple[Guild, Event] | None:
    """The guild and the event; None when Discord sends this bot nothing for the change."""
    if isinstance(change.subject, Guild):
        guild, event = change.subject, _guild_event(change.kind, change.subject)
    elif isinstance(change.subject, Channel) and change.subject.guild is not None:
        guild, event = change.subject.guild, _channel_event(change.kind, change.subject)
    else:
        return None
    return None if event is None else (guild, event)


def available(guild: Guild) -> Event:
    """GUILD_CREATE for a guild that the client knew before, which `unavailable: false` tells it."""
    return "GUILD_CREATE", {**payloads.guild_create(guild), "unavailable": False}


def _guild_event(kind: str, guild: Guild) -> Event | None:
    if kind == "bot removed":
        return "GUILD_DELETE", {"id": str(guild.id)}
    if not guild.bot_member:
        return None
    if kind == "guild added":
        return "GUILD_CREATE", payloads.guild_create(guild)
    if kind == "guild changed":
        return "GUILD_UPDATE", payloads.guild(guild)
    if kind == "guild out":
        return "GUILD_DELETE", {"id": str(guild.id), "unavailable": True}
    return available(guild) if kind == "guild back" else None


def _channel_event(kind: str, channel: Channel) -> Event | None:
    if channel.guild is None or not channel.guild.bot_member:
        return None
    verb = {"channel added": "CREATE", "channel changed": "UPDATE", "channel deleted": "DELETE"}
    if kind not in verb:
        return None
    noun = "THREAD" if channel.is_thread else "CHANNEL"
    return f"{noun}_{verb[kind]}", payloads.channel(channel)
