"""What a message in the stand-in's world consists of: text, attachments, buttons, who was pinged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.discord.snowflakes import moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sandbox.discord.world import Channel

Json = dict[str, Any]

SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_NOTIFICATIONS = 1 << 12
COMPONENTS_V2 = 1 << 15

BUTTON = 2


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
    """The interaction a message answers; Discord shows it as "alice used /veo track"."""

    id: int
    type: int
    user_id: int
    pressed_message_id: int | None = None
    original_message_id: int | None = None
    by_menu: bool = False


@dataclass(slots=True, eq=False)
class Message:
    id: int
    channel: Channel = field(repr=False)
    author_id: int
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    flags: int = 0
    nonce: str | None = None
    reference: int | None = None
    mentions: set[int] = field(default_factory=set)
    """The users this message really pinged."""
    mentioned: list[int] = field(default_factory=list)
    """The users its text names, pinged or not; Discord lists these in the message object."""
    mention_everyone: bool = False
    only_for: int | None = None
    """The one user who sees an ephemeral message."""
    origin: Origin | None = None
    edited_at: datetime | None = None
    edits: list[str] = field(default_factory=list)
    deleted: bool = False

    @property
    def channel_id(self) -> int:
        return self.channel.id

    @property
    def created_at(self) -> datetime:
        return moment(self.id)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """True while people see "is thinking…" in its place."""
        return bool(self.flags & LOADING)

    @property
    def buttons(self) -> list[Button]:
        return [_button(part) for part in walk(self.components) if part.get("type") == BUTTON]

    @property
    def text(self) -> str:
        """Everything it says: its content and the text displays among its components."""
        shown = [str(part["content"]) for part in walk(self.components) if part.get("type") == 10]
        return "\n".join([self.content, *shown] if self.content else shown)


def walk(components: list[Json]) -> Iterator[Json]:
    """All components, those inside rows, sections and containers included."""
    for part in components:
        yield part
        yield from walk(part.get("components") or [])
        if accessory := part.get("accessory"):
            yield from walk([accessory])


def _button(part: Json) -> Button:
    return Button(
        label=part.get("label"),
        custom_id=part.get("custom_id"),
        url=part.get("url"),
        disabled=bool(part.get("disabled")),
        style=int(part["style"]),
    )
