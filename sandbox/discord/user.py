"""A user: a person, or the bot."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.discord import locales


@dataclass(slots=True, eq=False)
class User:
    id: int
    name: str
    is_bot: bool = False
    accepts_direct_messages: bool = True
    locale: str = locales.DEFAULT
    """The language of this person's client, such as "zh-CN"; every interaction tells it to the bot."""
