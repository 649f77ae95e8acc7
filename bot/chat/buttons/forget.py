"""The button under the answer to `/veo forget-me`."""

import re
from typing import Any, Self

import discord

from bot.chat.buttons.base import DynamicButton, Interaction, Pressed, row_of, tracking_of
from bot.chat.responses import replace_answer
from bot.chat.texts import replies
from bot.chat.texts.language import Translator


class ForgetButton(Pressed, DynamicButton, template=r"veo:forget"):
    """Erase what is stored about the person who presses it."""

    def __init__(self, *, label: str = "…") -> None:
        button: discord.ui.Button[Any] = discord.ui.Button(
            label=label, style=discord.ButtonStyle.danger, custom_id="veo:forget"
        )
        super().__init__(button)

    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for a press."""
        return cls()

    async def press(self, interaction: Interaction, t: Translator) -> None:
        erased = await tracking_of(interaction).erase(interaction.user.id)
        await replace_answer(interaction, replies.erased(t, erased))


def forget_buttons(t: Translator) -> discord.ui.View:
    """The row with the button."""
    return row_of(ForgetButton(label=t(replies.FORGET_LABEL)))
