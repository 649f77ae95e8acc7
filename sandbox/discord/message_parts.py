"""The parts of a message: attachments, components, buttons, flags, and the interaction that it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_NOTIFICATIONS = 1 << 12
COMPONENTS_V2 = 1 << 15

BUTTON = 2
TEXT_DISPLAY = 10


@dataclass(frozen=True, slots=True)
class Attachment:
    id: int
    filename: str
    content: bytes = field(repr=False)
    url: str
    content_type: str
    description: str | None = None

    @property
    def size(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Button:
    label: str | None
    custom_id: str | None
    url: str | None
    disabled: bool
    style: int


@dataclass(frozen=True, slots=True)
class Origin:
    """The interaction that a message answers; Discord shows it as "alice used /veo track"."""

    id: int
    type: int
    user_id: int
    pressed_message_id: int | None = None
    original_message_id: int | None = None
    by_menu: bool = False


def walk(components: list[Json]) -> Iterator[Json]:
    """All components, including those inside rows, sections and containers."""
    for part in components:
        yield part
        yield from walk(part.get("components") or [])
        if accessory := part.get("accessory"):
            yield from walk([accessory])


def buttons(components: list[Json]) -> list[Button]:
    """The buttons among these components, at any depth."""
    return [_button(part) for part in walk(components) if part.get("type") == BUTTON]


def displayed_text(components: list[Json]) -> list[str]:
    """The texts of the text displays among these components, at any depth."""
    return [str(part["content"]) for part in walk(components) if part.get("type") == TEXT_DISPLAY]


def _button(part: Json) -> Button:
    return Button(
        label=part.get("label"),
        custom_id=part.get("custom_id"),
        url=part.get("url"),
        disabled=bool(part.get("disabled")),
        style=int(part["style"]),
    )
