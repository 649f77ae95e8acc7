"""Buttons that survive a restart: all they need is in their custom id."""

import logging
import re
from typing import Any, Protocol, Self

import discord

from bot.chat import cards, texts
from bot.chat.answers import explain, tell
from bot.core.registration import Earlier, Forgotten, Watching
from bot.core.results import ResultMessage, living_link
from bot.core.tasks import CardView

logger = logging.getLogger(__name__)


class ButtonService(Protocol):
    """The part of the registry that buttons need."""

    async def watch(self, card_id: int, user_id: int) -> Watching: ...
    async def delivery(self, delivery_id: int) -> Earlier | None: ...
    async def name_card(self, card_id: int, message_id: int) -> None: ...
    async def forget(self, user_id: int) -> Forgotten: ...


class HasRegistry(Protocol):
    """The client, as far as a button knows it: the only thing a callback is given."""

    @property
    def registry(self) -> ButtonService: ...


def _registry(interaction: discord.Interaction[Any]) -> ButtonService:
    client: HasRegistry = interaction.client
    return client.registry


class NotifyButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"veo:notify:(?P<card>\d{1,19})"
):
    """On a card: be mentioned, too."""

    def __init__(self, card_id: int) -> None:
        self.card_id = card_id
        super().__init__(
            discord.ui.Button(
                label=texts.NOTIFY_LABEL,
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
            outcome = await _registry(interaction).watch(self.card_id, interaction.user.id)
            await tell(interaction, texts.watching(outcome))
        except Exception as error:
            await explain(interaction, error)


class DeleteButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"veo:delete:(?P<delivery>\d{1,19})",
):
    """On a result message: remove it. Its custom id is also how a message is known to be the result."""

    def __init__(self, delivery_id: int) -> None:
        self.delivery_id = delivery_id
        super().__init__(
            discord.ui.Button(
                label=texts.DELETE_LABEL,
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
            await explain(interaction, error)

    async def _delete(self, interaction: discord.Interaction[Any]) -> None:
        earlier = await _registry(interaction).delivery(self.delivery_id)
        own = earlier is not None and earlier.delivery.requester_id == interaction.user.id
        if interaction.message is None or not (own or interaction.permissions.manage_messages):
            await tell(interaction, texts.NOT_YOUR_RESULT if earlier else texts.RESULT_IS_GONE)
            return
        await interaction.response.defer()
        await interaction.message.delete()
        logger.info("the result of delivery %d was deleted by whoever may", self.delivery_id)


class ForgetButton(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"veo:forget"):
    """Under what `/veo forget-me` answers: do it, for whoever presses."""

    def __init__(self) -> None:
        super().__init__(
            discord.ui.Button(
                label=texts.FORGET_LABEL, style=discord.ButtonStyle.danger, custom_id="veo:forget"
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls()

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            forgotten = await _registry(interaction).forget(interaction.user.id)
            await tell(interaction, texts.forgotten(forgotten))
        except Exception as error:
            await explain(interaction, error)


def delete_id(delivery_id: int) -> str:
    return f"veo:delete:{delivery_id}"


def on_forgetting() -> discord.ui.View:
    buttons = discord.ui.View(timeout=None)
    buttons.add_item(ForgetButton())
    return buttons


def on_card(view: CardView) -> discord.ui.View:
    """The card's buttons: none once everything on it has ended."""
    buttons = discord.ui.View(timeout=None)
    if not cards.is_settled(view):
        buttons.add_item(NotifyButton(view.card.id))
    return buttons


def on_result(result: ResultMessage, now: int) -> discord.ui.View:
    """The result's buttons: the original while its link lives, and delete."""
    buttons = discord.ui.View(timeout=None)
    link = living_link(result.due.task, now)
    if (
        link is not None
        and not result.bare
        and len(url := texts.plain_link(link)) <= texts.LONGEST_BUTTON_URL
    ):
        buttons.add_item(discord.ui.Button(label=texts.ORIGINAL_LABEL, url=url))
    buttons.add_item(DeleteButton(result.due.delivery.id))
    return buttons
