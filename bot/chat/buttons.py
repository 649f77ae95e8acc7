"""Buttons that survive a restart, because all they need is in their custom id."""

import logging
import re
from typing import TYPE_CHECKING, Any, Self

import discord

from bot.chat.responses import defer_update, reply_privately, reply_to_error
from bot.chat.texts import cards, replies
from bot.chat.usage import counted
from bot.core.errors import DiscordRefused, DiscordUnavailable
from bot.core.results import ResultMessage, living_link, nonce_part
from bot.core.tasks import CardView, Delivery
from bot.core.tracking import PressedButton
from bot.work.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

# A part of the nonce tells apart what two databases gave the same number.
_PART = r"(?::(?P<part>[\w-]{8}))?"


def _tracking(interaction: discord.Interaction[Any]) -> Tracking:
    """The service of the client, which is the only thing that a callback is given."""
    tracking: Tracking = interaction.client.tracking
    return tracking


class NotifyButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=rf"veo:notify:(?P<card>\d{{1,19}}){_PART}",
):
    """On a card: mention the person who presses it as well."""

    def __init__(self, card_id: int, part: str = "") -> None:
        self.card_id = card_id
        self.part = part
        super().__init__(
            discord.ui.Button(
                label=replies.NOTIFY_LABEL,
                emoji="🔔",
                style=discord.ButtonStyle.secondary,
                custom_id=_custom_id("notify", card_id, part),
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["card"]), match["part"] or "")

    @counted
    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            pressed = PressedButton(_message_id(interaction), self.part)
            result = await _tracking(interaction).store.tracking.watch(
                self.card_id, interaction.user.id, pressed
            )
            await reply_privately(interaction, replies.watching(result))
        except Exception as error:
            await reply_to_error(interaction, error)


class DeleteButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=rf"veo:delete:(?P<delivery>\d{{1,19}}){_PART}",
):
    """On a result message: delete it. Look-ups recognise a result message by its custom id."""

    def __init__(self, delivery_id: int, part: str = "") -> None:
        self.delivery_id = delivery_id
        self.part = part
        super().__init__(
            discord.ui.Button(
                label=replies.DELETE_LABEL,
                style=discord.ButtonStyle.secondary,
                custom_id=_custom_id("delete", delivery_id, part),
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["delivery"]), match["part"] or "")

    @counted
    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            await self._delete(interaction)
        except Exception as error:
            await reply_to_error(interaction, error)

    async def _delete(self, interaction: discord.Interaction[Any]) -> None:
        existing = await _tracking(interaction).store.lookups.delivery(self.delivery_id)
        pressed = PressedButton(_message_id(interaction), self.part)
        if existing is not None and not pressed.is_on_result(existing.delivery):
            existing = None  # another delivery has this number, because the database is a fresh or older one
        own = existing is not None and existing.delivery.requester_id == interaction.user.id
        if not (own or interaction.permissions.manage_messages):
            await reply_privately(
                interaction, replies.NOT_YOUR_RESULT if existing else replies.RESULT_IS_GONE
            )
            return
        await _delete_its_message(interaction)
        logger.info("the result of delivery %d was deleted by its button", self.delivery_id)


class DeleteDirectButton(
    discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]],
    template=r"veo:direct:(?P<delivery>\d{1,19}):(?P<part>[\w-]{8})",
):
    """On a direct message: delete it, for the only person who reads it. Look-ups recognise it by this id."""

    def __init__(self, delivery_id: int, part: str) -> None:
        super().__init__(
            discord.ui.Button(
                label=replies.DELETE_LABEL,
                style=discord.ButtonStyle.secondary,
                custom_id=_custom_id("direct", delivery_id, part),
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["delivery"]), match["part"])

    @counted
    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            await _delete_its_message(interaction)
        except Exception as error:
            await reply_to_error(interaction, error)


async def _delete_its_message(interaction: discord.Interaction[Any]) -> None:
    """Delete the message that the button is on; say so where Discord does not let us."""
    await defer_update(interaction)
    delete: Callable[[int, int], Awaitable[None]] = interaction.client.messenger.delete_message
    try:
        await delete(interaction.channel_id or 0, _message_id(interaction))
    except DiscordRefused as error:
        logger.info("a message could not be deleted: %s", error)
        await reply_privately(interaction, replies.MAY_NOT_DELETE)
    except DiscordUnavailable as error:
        logger.info("a message could not be deleted now: %s", error)
        await reply_privately(interaction, replies.DISCORD_BUSY)


def _message_id(interaction: discord.Interaction[Any]) -> int:
    return 0 if interaction.message is None else interaction.message.id


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

    @counted
    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            erased = await _tracking(interaction).erase(interaction.user.id)
            await reply_privately(interaction, replies.erased(erased))
        except Exception as error:
            await reply_to_error(interaction, error)


def _custom_id(kind: str, number: int, part: str) -> str:
    """Version 0.1.0 wrote ids without a part of the nonce."""
    return f"veo:{kind}:{number}:{part}" if part else f"veo:{kind}:{number}"


def is_result(message: Any, delivery: Delivery) -> bool:
    """Whether a message of ours, as Discord's JSON, is the delivery's result.

    Version 0.1.0 marked it by the delivery's number alone, which another database may have given, too.
    """
    if _has_button(message, _custom_id("delete", delivery.id, nonce_part(delivery.nonce))):
        return True
    is_old = _has_button(message, _custom_id("delete", delivery.id, ""))
    return is_old and delivery.task_id in str(message.get("content"))


def is_direct(message: Any, delivery: Delivery) -> bool:
    """Whether a message of ours, as Discord's JSON, is the direct message about the delivery."""
    return _has_button(message, _custom_id("direct", delivery.id, nonce_part(delivery.nonce)))


def _has_button(message: Any, custom_id: str) -> bool:
    rows = message.get("components") or []
    return any(item.get("custom_id") == custom_id for row in rows for item in row.get("components", []))


def forget_buttons() -> discord.ui.View:
    buttons = discord.ui.View(timeout=None)
    buttons.add_item(ForgetButton())
    return buttons


def card_buttons(view: CardView) -> discord.ui.View:
    """The card's buttons: none once everything on it has ended."""
    buttons = discord.ui.View(timeout=None)
    if not cards.is_settled(view):
        buttons.add_item(NotifyButton(view.card.id, nonce_part(view.rows[0].delivery.nonce)))
    return buttons


def result_buttons(result: ResultMessage, now: int) -> discord.ui.View:
    """The result's buttons: the original while its link lives, and delete."""
    buttons = discord.ui.View(timeout=None)
    link = living_link(result.due.task, now)
    if (
        link is not None
        and not result.is_bare
        and len(url := replies.plain_link(link)) <= replies.MAX_BUTTON_URL
    ):
        buttons.add_item(discord.ui.Button(label=replies.ORIGINAL_LABEL, url=url))
    delivery = result.due.delivery
    buttons.add_item(DeleteButton(delivery.id, nonce_part(delivery.nonce)))
    return buttons


def direct_buttons(delivery: Delivery) -> discord.ui.View:
    """Under a direct message: delete."""
    buttons = discord.ui.View(timeout=None)
    buttons.add_item(DeleteDirectButton(delivery.id, nonce_part(delivery.nonce)))
    return buttons
