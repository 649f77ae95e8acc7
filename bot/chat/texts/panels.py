"""A panel: the text of a card, a list or a status, with the colour that it is drawn in."""

import math
from dataclasses import dataclass
from enum import IntEnum

from bot.chat.texts.escape import length

# Discord's limit for the text of one message with components, over all text displays.
MAX_TEXT = 4000
# It answers 500 when the text has more than 10,170 bytes in UTF-8, with 12 for each text display (issue 8554
# of its API's documentation): Chinese reaches that first.
_BYTES_PER_CHARACTER = 2.5


class Accent(IntEnum):
    """The colour of a panel's edge, as 0xRRGGBB."""

    TROUBLE = 0x80848E  # grey: the video API is in trouble, or nothing is left to say
    WAITING = 0xF0B232  # amber
    FAILED = 0xF23F43  # red
    READY = 0x23A55A  # green


@dataclass(frozen=True, slots=True)
class Panel:
    """Paragraphs in markdown, of which none is empty, with a separating line between two of them."""

    accent: Accent
    paragraphs: tuple[str, ...]

    @property
    def size(self) -> int:
        """What its text takes of MAX_TEXT."""
        return sum(map(size, self.paragraphs))


def size(text: str) -> int:
    """What a text takes of MAX_TEXT: its characters, or its bytes where those are what limits it."""
    return max(length(text), math.ceil(len(text.encode()) / _BYTES_PER_CHARACTER))


def panel(accent: Accent, *paragraphs: str) -> Panel:
    """A panel of those paragraphs that are not empty."""
    return Panel(accent, tuple(paragraph for paragraph in paragraphs if paragraph))
