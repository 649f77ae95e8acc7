"""Computes which users a message pings, from its text, its `allowed_mentions` and the author's rights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.discord.permissions import Right

if TYPE_CHECKING:
    from sandbox.discord.message_parts import Json
    from sandbox.discord.world import Channel, Message

_USER = re.compile(r"<@!?(\d+)>")
_EVERYONE = re.compile(r"@(everyone|here)\b")


@dataclass(frozen=True, slots=True)
class Pings:
    users: frozenset[int]
    named: tuple[int, ...]
    everyone: bool


def mentioned_users(text: str) -> set[int]:
    return {int(each) for each in _USER.findall(text)}


def pings(text: str, payload: Json, channel: Channel, author_id: int, replied_to: Message | None) -> Pings:
    """The pings of a new message. Not for edits, because an edit never pings."""
    allowed = payload.get("allowed_mentions")
    named = mentioned_users(text)
    users = {each for each in named if _may_ping(each, allowed)}
    if replied_to is not None and _pings_replied(allowed):
        users.add(replied_to.author_id)
    everyone = _pings_everyone(text, allowed, channel, author_id)
    members = _members(channel)
    reached = members if everyone else users & members
    return Pings(frozenset(reached - {author_id}), tuple(sorted(named)), everyone)


def _may_ping(user_id: int, allowed: Json | None) -> bool:
    if allowed is None or "users" in (allowed.get("parse") or []):
        return True
    return str(user_id) in {str(each) for each in allowed.get("users") or []}


def _pings_replied(allowed: Json | None) -> bool:
    return allowed is None or bool(allowed.get("replied_user"))


def _pings_everyone(text: str, allowed: Json | None, channel: Channel, author_id: int) -> bool:
    if not _EVERYONE.search(text) or channel.guild is None:
        return False
    if not channel.rights_of(author_id) & Right.MENTION_EVERYONE:
        return False
    return allowed is None or "everyone" in (allowed.get("parse") or [])


def _members(channel: Channel) -> set[int]:
    """The users whom a mention can ping here; others are only named."""
    if channel.guild is None:
        return {channel.recipient.id} if channel.recipient else set()
    return {each for each in channel.guild.members if channel.rights_of(each) & Right.VIEW_CHANNEL}
