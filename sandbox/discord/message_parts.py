"""The parts of a message: its flags, its attachments, and the interaction that it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7
SUPPRESS_NOTIFICATIONS = 1 << 12
COMPONENTS_V2 = 1 << 15


@dataclass(frozen=True, slots=True)
class VideoMetadata:
    """What Discord reads from a video: its size in pixels, and how many seconds it lasts."""

    width: int
    height: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Attachment:
    id: int
    filename: str
    content: bytes = field(repr=False)
    url: str
    content_type: str
    description: str | None = None
    """The alternative text, which a screen reader speaks."""
    video: VideoMetadata | None = None

    @property
    def size(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Origin:
    """The interaction that a message answers; Discord shows it as "alice used /veo track"."""

    id: int
    type: int
    user_id: int
    pressed_message_id: int | None = None
    original_message_id: int | None = None
    by_menu: bool = False
