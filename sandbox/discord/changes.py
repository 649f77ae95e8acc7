"""Changes of the world, and the listeners that are called with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

ChangeKind = Literal[
    "user added",
    "member joined",
    "guild added",
    "guild changed",
    "guild out",
    "guild back",
    "bot removed",
    "channel added",
    "channel changed",
    "channel deleted",
    "bot joined",
    "bot left",
    "person joined",
    "person left",
    "message posted",
    "message edited",
    "message deleted",
    "interaction",
    "interaction answered",
]


@dataclass(frozen=True, slots=True)
class Change:
    """`subject` is the user, guild, channel, message or interaction that changed.

    People and the bot join and leave a thread, which is a channel.
    """

    kind: ChangeKind
    subject: object


class Announcer:
    """Calls every function in `listeners` after each change."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Change], None]] = []

    def announce(self, kind: ChangeKind, subject: object) -> None:
        for listener in list(self.listeners):
            listener(Change(kind, subject))
