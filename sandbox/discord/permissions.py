"""Discord's permissions as bits, and how they are computed (Discord's documentation, "Permissions")."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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

# What a member of a new guild may do. It includes MENTION_EVERYONE because the bot under test has to prevent
# mentions with `allowed_mentions`, also in guilds that would let it mention everyone.
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

# The fixed set that Discord reports as app_permissions in a direct message.
IN_DIRECT_MESSAGES = Right.ATTACH_FILES | Right.EMBED_LINKS | Right.MENTION_EVERYONE

# A member who may not send messages in a channel does not have these there either.
NEED_SENDING = Right.ATTACH_FILES | Right.EMBED_LINKS | Right.MENTION_EVERYONE | Right.SEND_TTS_MESSAGES


@dataclass(frozen=True, slots=True)
class Overwrite:
    """A channel's exception from a member's rights in the guild."""

    allow: Right = NOTHING
    deny: Right = NOTHING


def rights(*names: str) -> Right:
    """``rights("attach_files", "connect")``: the names discord.py uses for its Permissions."""
    total = NOTHING
    for name in names:
        total |= Right[name.upper()]
    return total


def allowed_in_channel(in_guild: Right, overwrite: Overwrite, needed_to_send: Right) -> Right:
    """What a member with these rights in the guild may do in a channel.

    Without VIEW_CHANNEL nothing is left; without the right to send, `NEED_SENDING` is taken out.
    """
    if in_guild & Right.ADMINISTRATOR:
        return EVERYTHING
    allowed = (in_guild & ~overwrite.deny) | overwrite.allow
    if not allowed & Right.VIEW_CHANNEL:
        return NOTHING
    return allowed if allowed & needed_to_send else allowed & ~NEED_SENDING
