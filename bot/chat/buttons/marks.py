"""Custom ids: what a button does, to which row, and how our own message is recognised by them.

A button survives a restart, because all it needs is in its custom id: `veo:<kind>:<number>`, then for a
confirmation the message that it is about, then a part of the nonce. That part tells apart what two databases
gave the same number; version 0.1.0 wrote ids without it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from bot.core.results import nonce_part
from bot.core.tasks import CardView, Delivery
from bot.core.tracking import PressedButton


@dataclass(frozen=True, slots=True)
class Target:
    """The row that a button is about, by its number, and the message that a confirmation is about."""

    number: int
    part: str = ""
    message_id: int | None = None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """The delivery's own."""
        return cls(delivery.id, nonce_part(delivery.nonce))

    @classmethod
    def of_card(cls, view: CardView) -> Self:
        """The card's, with a part of its first delivery's nonce."""
        return cls(view.card.id, nonce_part(view.rows[0].delivery.nonce))

    @classmethod
    def read(cls, match: re.Match[str]) -> Self:
        """What `template` matched."""
        message_id = match["message"]
        return cls(int(match["number"]), match["part"] or "", int(message_id) if message_id else None)

    def pressed_on(self, message_id: int) -> PressedButton:
        """A press of this button; a confirmation is on another message than the one it is about."""
        return PressedButton(self.message_id or message_id, self.part)


def template(kind: str) -> str:
    """A pattern for the custom ids of this kind. A message's id has 17 digits or more, a part 8."""
    return rf"veo:{kind}:(?P<number>\d{{1,19}})(?::(?P<message>\d{{17,20}}))?(?::(?P<part>[\w-]{{8}}))?"


def custom_id(kind: str, target: Target) -> str:
    """At most 68 characters; Discord takes 100."""
    pieces = ("veo", kind, target.number, target.message_id, target.part)
    return ":".join(str(piece) for piece in pieces if piece not in (None, ""))


def is_result(message: Any, delivery: Delivery) -> bool:
    """Whether a message of ours, as Discord's JSON, is the delivery's result.

    Version 0.1.0 marked it by the delivery's number alone, which another database may have given, too.
    """
    if _has_button(message, custom_id("delete", Target.of(delivery))):
        return True
    is_old = _has_button(message, custom_id("delete", Target(delivery.id)))
    return is_old and delivery.task_id in str(message.get("content"))


def is_direct(message: Any, delivery: Delivery) -> bool:
    """Whether a message of ours, as Discord's JSON, is the direct message about the delivery."""
    return _has_button(message, custom_id("direct", Target.of(delivery)))


def is_card(message: Any, view: CardView) -> bool:
    """Whether a message of ours, as Discord's JSON, is a card on which something was open."""
    return _has_button(message, custom_id("notify", Target.of_card(view)))


def _has_button(message: Any, wanted: str) -> bool:
    return any(item.get("custom_id") == wanted for item in _components(message.get("components")))


def _components(components: Any) -> Iterator[Any]:
    """Components at any depth."""
    for component in components or []:
        yield component
        yield from _components(component.get("components"))
