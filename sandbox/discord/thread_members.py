"""The membership of one user in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.discord.world import Channel


@dataclass(frozen=True, slots=True, eq=False)
class ThreadMember:
    thread: Channel = field(repr=False)
    user_id: int
    joined_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_bot(self) -> bool:
        """Whether it is the bot under test."""
        return self.user_id == self.thread.world.bot.id
