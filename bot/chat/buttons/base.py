"""What all buttons share: they are made from a custom id, counted, and answer in the reader's language."""

import re
from abc import ABC, abstractmethod
from typing import Any, Self

import discord

from bot.chat.buttons.marks import Target, custom_id
from bot.chat.responses import reply_to_error, translator_for
from bot.chat.texts.language import Translator
from bot.chat.usage import counted
from bot.work.tracking import Tracking

Interaction = discord.Interaction[Any]
AnyItem = discord.ui.Item[Any]
DynamicButton = discord.ui.DynamicItem[discord.ui.Button[Any]]


class Pressed(ABC):
    """The part of a button that handles a press. Stands before DynamicButton among the bases of a button."""

    target: Target

    @counted
    async def callback(self, interaction: Interaction) -> None:
        """Called by discord.py. An error is told to the person, and never leaves this method."""
        try:
            await self.press(interaction, translator_for(interaction))
        except Exception as error:
            await reply_to_error(interaction, error)

    @abstractmethod
    async def press(self, interaction: Interaction, t: Translator) -> None:
        """Do what the button is for."""


class TargetButton(Pressed):
    """A button about one row. `kind` is the second part of its custom id, as in its template."""

    kind: str

    def __init__(self, target: Target, *, label: str = "…", emoji: str | None = None) -> None:
        self.target = target
        button: discord.ui.Button[Any] = discord.ui.Button(
            label=label, emoji=emoji, style=self.style, custom_id=custom_id(self.kind, target)
        )
        super().__init__(button)  # type: ignore[call-arg]  # DynamicItem's, which stands behind this class

    style = discord.ButtonStyle.secondary

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for a press: what was read from the custom id is all that is known."""
        return cls(Target.read(match))


def tracking_of(interaction: Interaction) -> Tracking:
    """The service of the client, which is the only thing that a press is given."""
    tracking: Tracking = interaction.client.tracking
    return tracking


def message_id_of(interaction: Interaction) -> int:
    """The message that the button is on."""
    return 0 if interaction.message is None else interaction.message.id


def row_of(*buttons: AnyItem) -> discord.ui.View:
    """A row of buttons below a plain message."""
    view = discord.ui.View(timeout=None)
    for button in buttons:
        view.add_item(button)
    return view
