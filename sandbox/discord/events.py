"""Turns a change of the world into the gateway events that Discord sends for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import channel_payload, payloads
from sandbox.discord.world import Channel, Guild

if TYPE_CHECKING:
    from sandbox.discord.changes import Change
    from sandbox.discord.message_parts import Json

Event = tuple[str, "Json"]

_VERBS = {"channel added": "CREATE", "channel changed": "UPDATE", "channel deleted": "DELETE"}


def events_of(change: Change) -> tuple[Guild, list[Event]] | None:
    """The guild that changed, and its events; None when no guild changed.

    The list is empty when Discord sends this bot nothing.
    """
    place = change.subject
    if isinstance(place, Guild):
        return place, _guild_events(change.kind, place)
    if not isinstance(place, Channel) or place.guild is None:
        return None
    if not place.guild.bot_member:
        return place.guild, []
    if place.is_thread:
        return place.guild, _thread_events(change.kind, place)
    return place.guild, [(f"CHANNEL_{_VERBS[change.kind]}", channel_payload.shown_channel(place))]


def available(guild: Guild) -> Event:
    """GUILD_CREATE for a guild that the client knows already, which is what `unavailable: false` says."""
    return "GUILD_CREATE", {**channel_payload.guild_create(guild), "unavailable": False}


def _guild_events(kind: str, guild: Guild) -> list[Event]:
    if kind == "bot removed":
        return [("GUILD_DELETE", {"id": str(guild.id)})]
    if not guild.bot_member:
        return []
    if kind == "guild added":
        return [("GUILD_CREATE", channel_payload.guild_create(guild))]
    if kind == "guild changed":
        return [("GUILD_UPDATE", payloads.guild(guild))]
    if kind == "guild out":
        return [("GUILD_DELETE", {"id": str(guild.id), "unavailable": True})]
    return [available(guild)] if kind == "guild back" else []


def _thread_events(kind: str, thread: Channel) -> list[Event]:
    """Without the members intent, Discord tells the bot of its own membership only."""
    if kind == "bot joined":
        return _joined(thread)
    if kind == "bot left":
        return _left(thread)
    if not thread.is_visible_to(thread.world.bot.id):
        return []
    if kind == "channel deleted":
        return [("THREAD_DELETE", channel_payload.deleted_thread(thread))]
    if kind == "channel added":
        return [("THREAD_CREATE", {**channel_payload.own_thread(thread), "newly_created": True})]
    return [("THREAD_UPDATE", channel_payload.channel(thread))] if kind == "channel changed" else []


def _joined(thread: Channel) -> list[Event]:
    """A private thread is new to the bot when it joins."""
    assert thread.guild is not None
    bot = thread.world.bot
    member = channel_payload.thread_member(thread, bot.id)
    added = [{**member, "member": payloads.member(thread.guild, bot), "presence": None}]
    shown: list[Event] = [("THREAD_CREATE", channel_payload.own_thread(thread))] if thread.private else []
    return [*shown, _members_update(thread, {"added_members": added})]


def _left(thread: Channel) -> list[Event]:
    """A bot that left a private thread no longer sees it, unless it may manage threads."""
    bot_id = thread.world.bot.id
    left = _members_update(thread, {"removed_member_ids": [str(bot_id)]})
    if thread.is_visible_to(bot_id):
        return [left]
    return [left, ("THREAD_DELETE", channel_payload.deleted_thread(thread))]


def _members_update(thread: Channel, what: Json) -> Event:
    assert thread.guild is not None
    about = {"id": str(thread.id), "guild_id": str(thread.guild.id)}
    return "THREAD_MEMBERS_UPDATE", {**about, "member_count": len(thread.thread_members), **what}
