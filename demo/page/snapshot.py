"""The state that is sent to the page: servers, channels, people, commands and messages as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sandbox.discord import Person, message_payload
from sandbox.discord.permissions import Right

if TYPE_CHECKING:
    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Attachment, Channel, Guild, Message, World

Json = dict[str, Any]

# The rights that the page can take from the bot and give back, in discord.py's names.
BOT_RIGHTS = ("view_channel", "send_messages", "send_messages_in_threads", "attach_files")


def places(world: World) -> Json:
    """The people, servers and channels, and what each person may do there."""
    return {
        "bot": str(world.bot.id),
        "users": [
            {
                "id": str(user.id),
                "name": user.name,
                "bot": user.is_bot,
                "person": isinstance(user, Person),
                "locale": user.locale,
            }
            for user in world.users.values()
        ],
        "guilds": [
            *(_guild(guild) for guild in world.guilds.values()),
            *(_direct(channel) for channel in world.channels.values() if channel.recipient is not None),
        ],
    }


def _guild(guild: Guild) -> Json:
    return {
        "id": str(guild.id),
        "name": guild.name,
        "locale": guild.preferred_locale,
        "uploadLimit": guild.upload_limit,
        "members": [str(each) for each in guild.members],
        "channels": [_channel(channel) for channel in guild.channels],
    }


def _direct(channel: Channel) -> Json:
    """The bot's direct messages to one person, as a server with only that person in it."""
    assert channel.recipient is not None
    reader = str(channel.recipient.id)
    rights = {"view": True, "send": False, "manage": False}
    inside = {"id": str(channel.id), "name": channel.world.bot.name, "kind": "dm", "parent": None}
    return {
        "id": f"direct-{channel.id}",
        "name": "Direct messages",
        "direct": True,
        "locale": channel.recipient.locale,
        "uploadLimit": channel.upload_limit,
        "members": [reader],
        "channels": [inside | {"rights": {reader: rights}, "botLacks": []}],
    }


def _channel(channel: Channel) -> Json:
    world = channel.world
    people = [user for user in world.users.values() if isinstance(user, Person)]
    bot_rights = channel.rights_of(world.bot.id)
    return {
        "id": str(channel.id),
        "name": channel.name,
        "kind": channel.kind,
        "parent": str(channel.parent.id) if channel.parent else None,
        "rights": {str(person.id): _rights(channel, person) for person in people},
        "botLacks": [name for name in BOT_RIGHTS if not bot_rights & Right[name.upper()]],
    }


def _rights(channel: Channel, person: Person) -> Json:
    allowed = channel.rights_of(person.id)
    return {
        "view": bool(allowed & Right.VIEW_CHANNEL),
        "send": bool(allowed & channel.sending_right),
        "manage": bool(allowed & Right.MANAGE_MESSAGES),
    }


def message(post: Message, command: str | None) -> Json:
    """Discord's message object, with what only the stand-in knows: the pings, and the only reader."""
    body = message_payload.message(post)
    body["attachments"] = [_attachment(post, file) for file in post.attachments]
    return body | {
        "onlyFor": str(post.only_for) if post.only_for is not None else None,
        "pings": [str(each) for each in sorted(post.mentions)],
        "command": command,
    }


def _attachment(post: Message, file: Attachment) -> Json:
    """With the page's own address, because the page's policy allows no other."""
    path = f"/attachments/{post.channel_id}/{file.id}/{quote(file.filename)}"
    return {**message_payload.attachment(file), "url": path, "proxy_url": path}


def visible_messages(world: World) -> list[Message]:
    """The messages that are not deleted, oldest first."""
    return [post for post in world.messages.values() if not post.deleted and not post.channel.deleted]


def commands(env: BotEnvironment) -> list[Json]:
    """The commands that the bot registered."""
    return env.discord.commands


def command_name(data: Json) -> str | None:
    """ "veo track" from an interaction's data; None for a button."""
    if "name" not in data:
        return None
    words, part = [str(data["name"])], data
    while inner := [each for each in part.get("options") or [] if each["type"] in (1, 2)]:
        part = inner[0]
        words.append(str(part["name"]))
    return " ".join(words)
