"""A message of the stand-in, with what happened to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.discord import message_parts
from sandbox.discord.message_parts import EPHEMERAL, LOADING
from sandbox.discord.snowflakes import moment

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.discord.message_parts import Attachment, Button, Json, Origin
    from sandbox.discord.world import Channel


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
    """The contents that were replaced by edits, oldest first."""
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
        """True while people see "is thinking…" instead of content."""
        return bool(self.flags & LOADING)

    @property
    def visible(self) -> bool:
        """Whether there is something to see: neither deleted nor still loading."""
        return not self.deleted and not self.loading

    @property
    def buttons(self) -> list[Button]:
        return message_parts.buttons(self.components)

    @property
    def text(self) -> str:
        """The content, followed by the text displays among the components."""
        shown = message_parts.displayed_text(self.components)
        return "\n".join([self.content, *shown] if self.content else shown)
