"""What is stored of a message, and what a test reads of it: its text, its buttons, its colour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.discord import components
from sandbox.discord.message_parts import COMPONENTS_V2, EPHEMERAL, LOADING
from sandbox.discord.snowflakes import moment

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.discord.components import Button
    from sandbox.discord.message_parts import Attachment, Json, Origin


@dataclass(slots=True, eq=False, kw_only=True)
class MessageData:
    """A message without its channel."""

    id: int
    author_id: int
    sent_content: str = ""
    """Discord's field `content`, which is empty in a message with IS_COMPONENTS_V2."""
    embeds: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    """As Discord stores them: numbered, and with its defaults."""
    flags: int = 0
    nonce: str | None = None
    reference: int | None = None
    """The id of the message that this one replies to."""
    mentions: set[int] = field(default_factory=set)
    """The users whom this message pinged."""
    mentioned: list[int] = field(default_factory=list)
    """The users named in the text, pinged or not; Discord lists these in the message object."""
    mention_everyone: bool = False
    only_for: int | None = None
    """The one user who sees an ephemeral message."""
    origin: Origin | None = None
    edited_at: datetime | None = None
    edits: list[str] = field(default_factory=list)
    """The texts that were replaced by edits, oldest first."""
    deleted: bool = False

    @property
    def created_at(self) -> datetime:
        return moment(self.id)

    @property
    def visible(self) -> bool:
        """Whether there is something to see: neither deleted nor still loading."""
        return not self.deleted and not self.loading

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """True while people see "is thinking…" instead of content."""
        return bool(self.flags & LOADING)

    @property
    def is_v2(self) -> bool:
        """Whether the message has the flag IS_COMPONENTS_V2: text displays instead of content."""
        return bool(self.flags & COMPONENTS_V2)

    @property
    def buttons(self) -> list[Button]:
        """The buttons at any depth, from top to bottom."""
        return components.buttons(self.components)

    def button(self, wanted: str) -> Button:
        """The button with this label or custom id. Raises LookupError when there is none."""
        for button in self.buttons:
            if wanted in (button.label, button.custom_id):
                return button
        raise LookupError(f"no button {wanted!r}; there are {[each.label for each in self.buttons]}")

    @property
    def accent_color(self) -> int | None:
        """The colour at the left edge of the first container, as 0xRRGGBB."""
        return components.accent_color(self.components)

    @property
    def text(self) -> str:
        """The text that people read: the content, and the text displays, one below the other."""
        shown = components.displayed_text(self.components)
        return "\n".join([self.sent_content, *shown] if self.sent_content else shown)

    @property
    def content(self) -> str:
        """The same as `text`, so that a test reads every kind of message alike."""
        return self.text
