"""Discord's rights as bits, and what a member may do in one channel.

The bits and the order of the steps: Discord's documentation, "Permissions". No state is kept here.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.discord.world import Channel


class Right(enum.IntFlag):
    CREATE_INSTANT_INVITE = 1 << 0
    KICK_MEMBERS = 1 << 1
    BAN_MEMBERS = 1 << 2
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    SEND_TTS_MESSAGES = 1 << 12
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_EXTERNAL_EMOJIS = 1 << 18
    CONNECT = 1 << 20
    SPEAK = 1 << 21
    CHANGE_NICKNAME = 1 << 26
    MANAGE_ROLES = 1 << 28
    MANAGE_WEBHOOKS = 1 << 29
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38
    USE_EXTERNAL_APPS = 1 << 50


NOTHING = Right(0)
EVERYTHING = Right(sum(right.value for right in Right))

# What a member of a fresh guild may do. MENTION_EVERYONE belongs to it on purpose: a bot under test must
# keep its messages harmless by itself, not because this guild happens to be strict.
EVERYDAY = (
    Right.CREATE_INSTANT_INVITE
    | Right.ADD_REACTIONS
    | Right.VIEW_CHANNEL
    | Right.SEND_MESSAGES
    | Right.EMBED_LINKS
    | Right.ATTACH_FILES
    | Right.READ_MESSAGE_HISTORY
    | Right.MENTION_EVERYONE
    | Right.USE_EXTERNAL_EMOJIS
    | Right.CONNECT
    | Right.SPEAK
    | Right.CHANGE_NICKNAME
    | Right.USE_APPLICATION_COMMANDS
    | Right.CREATE_PUBLIC_THREADS
    | Right.SEND_MESSAGES_IN_THREADS
)

# The fixed set Discord reports as app_permissions in a direct message.
IN_DIRECT_MESSAGES = Right.ATTACH_FILES | Right.EMBED_LINKS | Right.MENTION_EVERYONE

_FALL_WITH_SENDING = Right.ATTACH_FILES | Right.EMBED_LINKS | Right.MENTION_EVERYONE | Right.SEND_TTS_MESSAGES


def rights(*names: str) -> Right:
    """``rights("attach_files", "connect")``: the names discord.py uses for its Permissions."""
    total = NOTHING
    for name in names:
        total |= Right[name.upper()]
    return total


def in_channel(channel: Channel, user_id: int) -> Right:
    """What this member may do in this channel, with the rights that fall together with others taken out."""
    if channel.guild is None:
        return IN_DIRECT_MESSAGES
    base = channel.guild.rights_of(user_id)
    if base & Right.ADMINISTRATOR:
        return EVERYTHING
    overwrite = channel.root.overwrites.get(user_id)
    if overwrite is not None:
        base = (base & ~overwrite.deny) | overwrite.allow
    if not base & Right.VIEW_CHANNEL:
        return NOTHING
    if not base & sending_right(channel):
        base &= ~_FALL_WITH_SENDING
    return base


def sending_right(channel: Channel) -> Right:
    """SEND_MESSAGES has no effect in a thread; it has a right of its own."""
    return Right.SEND_MESSAGES_IN_THREADS if channel.is_thread else Right.SEND_MESSAGES
