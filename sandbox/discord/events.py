"""Turns a change of the world into the gateway events that Discord sends for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import channel_payload, payloads
from sandbox.discord.thread_members import ThreadMember
from sandbox.discord.world import Channel, Guild

if TYPE_CHECKING:
    from sandbox.discord.changes import Change
    from sandbox.discord.message_parts import Json

Event = tuple[str, "Json"]

_VERBS = {"channel added": "CREATE", "channel changed": "UPDATE", "channel deleted": "DELETE"}


def events_of(change: Change) -> tuple[Guild, list[Event]] | None:
    """The guild and the events, none when Discord sends this bot nothing; None for no guild's change."""
    subject = change.subject
    if isinstance(subject, Guild):
        return subject, _guild_events(change.kind, subject)
    place = subject.thread if isinstance(subject, ThreadMember) else subject
    if not isinstance(place, Channel) or place.guild is None:
        return None
    if not place.guild.bot_member:
        return place.guild, []
    if isinstance(subject, ThreadMember):
        return place.guild, _member_events(change.kind, subject)
    if place.is_thread:
        return place.guild, _thread_events(change.kind, place)
    return place.guild, [(f"CHANNEL_{_VERBS[change.kind]}", channel_payload.channel(place))]


def available(guild: Guild) -> Event:
    """GUILD_CREATE for a guild that the client knew before, which `unavailable: false` tells it."""
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
    if not thread.is_visible_to(thread.world.bot.id):
        return []
    if kind == "channel deleted":
        return [("THREAD_DELETE", channel_payload.deleted_thread(thread))]
    if kind == "channel added":
        return [("THREAD_CREATE", {**channel_payload.own_thread(thread), "newly_created": True})]
    return [("THREAD_UPDATE", channel_payload.channel(thread))]


def _member_events(kind: str, member: ThreadMember) -> list[Event]:
    """Without the members intent, Discord tells the bot of itself only.

    For the bot a private thread appears when it is added, and is gone when it is removed.
    """
    thread, guild = member.thread, member.thread.guild
    if not member.is_bot or guild is None:
        return []
    if kind == "thread member added":
        bot = {"member": payloads.member(guild, guild.world.bot), "presence": None}
        joined = {"added_members": [{**channel_payload.thread_member(member), **bot}]}
        shown: list[Event] = [("THREAD_CREATE", channel_payload.own_thread(thread))] if thread.private else []
        return [*shown, _members_update(thread, joined)]
    left = _members_update(thread, {"removed_member_ids": [str(member.user_id)]})
    if thread.is_visible_to(member.user_id):
        return [left]
    return [left, ("THREAD_DELETE", channel_payload.deleted_thread(thread))]


def _members_update(thread: Channel, what: Json) -> Event:
    assert thread.guild is not None
    about = {"id": str(thread.id), "guild_id": str(thread.guild.id)}
    return "THREAD_MEMBERS_UPDATE", {**about, "member_count": len(thread.thread_members), **what}
