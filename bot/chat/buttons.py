"""Buttons that survive a restart, because all they need is in their custom id."""

import logging
import re
from typing import Any, Self

import discord

from bot.chat.responses import reply_privately, reply_to_error
from bot.chat.texts import cards, replies
from bot.core.results import ResultMessage, living_link
from bot.core.tasks import CardView
from bot.work.tracking import Tracking

logger = logging.getLogger(__name__)


def _tracking(interaction: discord.Interaction[Any]) -> Tracking:
    """The service of the client, which is the only thing that a callback is given."""
    tracking: Tracking = interaction.client.tracking
    return tracking


class NotifyButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"veo:notify:(?P<card>\d{1,19})"
):
    """On a card: mention the person who presses it as well."""

    def __init__(self, card_id: int) -> None:
        self.card_id = card_id
        super().__init__(
            discord.ui.Button(
                label=replies.NOTIFY_LABEL,
                emoji="🔔",
                style=discord.ButtonStyle.secondary,
                custom_id=f"veo:notify:{card_id}",
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["card"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            result = await _tracking(interaction).store.tracking.watch(self.card_id, interaction.user.id)
            await reply_privately(interaction, replies.watching(result))
        except Exception as error:
            await reply_to_error(interaction, error)


class DeleteButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"veo:delete:(?P<delivery>\d{1,19})",
):
    """On a result message: delete it. Look-ups recognise a result message by its custom id."""

    def __init__(self, delivery_id: int) -> None:
        self.delivery_id = delivery_id
        super().__init__(
            discord.ui.Button(
                label=replies.DELETE_LABEL,
                style=discord.ButtonStyle.secondary,
                custom_id=delete_id(delivery_id),
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["delivery"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            await self._delete(interaction)
        except Exception as error:
            await reply_to_error(interaction, error)

    async def _delete(self, interaction: discord.Interaction[Any]) -> None:
        existing = await _tracking(interaction).store.lookups.delivery(self.delivery_id)
        own = existing is not None and existing.delivery.requester_id == interaction.user.id
        if interaction.message is None or not (own or interaction.permissions.manage_messages):
            await reply_privately(
                interaction, replies.NOT_YOUR_RESULT if existing else replies.RESULT_IS_GONE
            )
            return
        await interaction.response.defer()
        await interaction.message.delete()
        logger.info("the result of delivery %d was deleted by its button", self.delivery_id)


class ForgetButton(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"veo:forget"):
    """Under the answer to `/veo forget-me`: erase what is stored about the person who presses it."""

    def __init__(self) -> None:
        super().__init__(
            discord.ui.Button(
                label=replies.FORGET_LABEL, style=discord.ButtonStyle.danger, custom_id="veo:forget"
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls()

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            erased = await _tracking(interaction).erase(interaction.user.id)
            await reply_privately(interaction, replies.erased(erased))
        except Exception as error:
            await reply_to_error(interaction, error)


def delete_id(delivery_id: int) -> str:
    return f"veo:delete:{delivery_id}"


def forget_buttons() -> discord.ui.View:
    buttons = discord.ui.View(timeout=None)
    buttons.add_item(ForgetButton())
    return buttons


def card_buttons(view: CardView) -> discord.ui.View:
    """The card's buttons: none once everything on it has ended."""
    buttons = discord.ui.View(timeout=None)
    if not cards.is_settled(view):
        buttons.add_item(NotifyButton(view.card.id))
    return buttons


def result_buttons(result: ResultMessage, now: int) -> discord.ui.View:
    """The result's buttons: the original while its link lives, and delete."""
    buttons = discord.ui.View(timeout=None)
    link = living_link(result.due.task, now)
    if (
        link is not None
        and not result.bare
        and len(url := replies.plain_link(link)) <= replies.MAX_BUTTON_URL
    ):
        buttons.add_item(discord.ui.Button(label=replies.ORIGINAL_LABEL, url=url))
    buttons.add_item(DeleteButton(result.due.delivery.id))
    return buttons
