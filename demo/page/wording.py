"""The timeline's texts for the bot's requests to the API and to Discord."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from demo.page.snapshot import command_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.discord import Channel, Request, World
    from sandbox.discord.interactions import Interaction
    from sandbox.video_api import Download, Poll, StandInTask

Answer = tuple[int | None, str]
"""The HTTP status (None while there is none), and a text about the result."""

_CALLBACKS = {
    4: "answers with a message",
    5: "says that it is thinking",
    6: "acknowledges a button",
    7: "updates the message",
    8: "offers choices",
    9: "opens a form",
}
_COMPONENT, _AUTOCOMPLETE = 3, 4
_THOUSAND = 1000


def size(count: int) -> str:
    """ "868 kB", "40.0 MB"."""
    if count < _THOUSAND**2:
        return f"{count / _THOUSAND:.0f} kB"
    return f"{count / _THOUSAND**2:.1f} MB"


def poll(made: Poll, tasks: Mapping[str, StandInTask]) -> Answer:
    """With the task's status. Call it right after the answer, before the status changes."""
    known = made.status == HTTPStatus.OK and made.task_id in tasks
    return made.status, tasks[made.task_id].status if known else ""


def download(done: Download) -> Answer:
    return done.status if done.ended else None, size(done.bytes_sent)


def call(made: Request) -> Answer:
    return made.status, ""


def interaction(started: Interaction) -> str:
    """What a person did, as one line."""
    who, place = started.person.name, _place(started.channel)
    if started.type == _COMPONENT:
        return f"{who} presses a button {place}"
    name = command_name(started.data) or "a command"
    if started.type == _AUTOCOMPLETE:
        return f"{who} types /{name}; the bot is asked for choices"
    if started.by_menu or "target_id" in started.data:
        return f"{who} chooses “{name}” {place}"
    return f"{who} uses /{name} {place}"


def request(made: Request, world: World) -> str:
    """One call of the bot to Discord; a route without its own text is shown as it is."""
    parts = made.path.strip("/").split("/")
    match [made.method, *parts]:
        case ["POST", "channels", channel, "messages"]:
            return f"posts {_content(made)} {_where(channel, world)}"
        case ["PATCH", "channels", channel, "messages", _]:
            return f"edits a message {_where(channel, world)}"
        case ["DELETE", "channels", channel, "messages", _]:
            return f"deletes a message {_where(channel, world)}"
        case ["GET", "channels", channel, "messages"]:
            return f"reads the latest messages {_where(channel, world)}"
        case ["POST", "interactions", _, _, "callback"]:
            return _CALLBACKS.get(int(made.body["type"]), "answers") if made.body else "answers"
        case ["PUT", "applications", *_, "commands"]:
            return "registers its commands"
        case ["GET", "applications", *_, "commands"]:
            return "reads its commands"
        case ["GET", "users", "@me"] | ["GET", "oauth2", "applications", "@me"]:
            return "asks who it is"
        case ["GET", "gateway"] | ["GET", "gateway", "bot"]:
            return "asks for the address of the gateway"
        case ["POST", "users", "@me", "channels"]:
            return "opens direct messages"
        case ["POST", "webhooks", *_]:
            return "sends a follow-up"
        case ["PATCH", "webhooks", *_]:
            return "edits its answer"
        case _:
            return f"{made.method} {made.path}"


def _content(made: Request) -> str:
    if not made.files:
        return "a message"
    return " and ".join(f"{file.filename} ({size(len(file.content))})" for file in made.files)


def _where(channel_id: str, world: World) -> str:
    channel = world.channels.get(int(channel_id)) if channel_id.isdecimal() else None
    return _place(channel) if channel else "in an unknown channel"


def _place(channel: Channel) -> str:
    if channel.recipient is not None:
        return f"in {channel.recipient.name}'s direct messages"
    return f"in #{channel.name}"
