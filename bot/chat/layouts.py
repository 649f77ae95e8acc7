"""Draws a panel as a message with components: a container with a coloured edge, text and buttons."""

from typing import Any

import discord

from bot.chat.buttons.cards import card_buttons
from bot.chat.texts import cards
from bot.chat.texts.language import Translator
from bot.chat.texts.panels import Panel
from bot.core.tasks import CardView


def layout(panel: Panel, *buttons: discord.ui.Item[Any]) -> discord.ui.LayoutView:
    """One container: the paragraphs with a line between two of them, then the buttons in a row.

    Never more than 12 components; Discord takes 40.
    """
    container: discord.ui.Container[Any] = discord.ui.Container(accent_colour=int(panel.accent))
    for position, paragraph in enumerate(panel.paragraphs):
        if position:
            container.add_item(discord.ui.Separator())
        container.add_item(discord.ui.TextDisplay(paragraph))
    if buttons:
        container.add_item(discord.ui.ActionRow(*buttons))
    view = discord.ui.LayoutView(timeout=None)
    view.add_item(container)
    return view


def card_layout(t: Translator, view: CardView, now: int) -> discord.ui.LayoutView:
    """The card with its buttons."""
    return layout(cards.card(t, view, now), *card_buttons(t, view))
