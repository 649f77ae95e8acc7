"""The buttons on results and direct messages: *Original*, *Post again*, and *Delete* with its question."""

import logging
from typing import TYPE_CHECKING

import discord

from bot.chat.buttons.base import (
    AnyItem,
    DynamicButton,
    Interaction,
    TargetButton,
    message_id_of,
    row_of,
    tracking_of,
)
from bot.chat.buttons.marks import Target, template
from bot.chat.permissions import missing_here
from bot.chat.responses import (
    defer_privately,
    defer_update,
    public_language_for,
    replace_answer,
    reply_privately,
)
from bot.chat.texts import replies
from bot.chat.texts.formatting import MAX_BUTTON_URL, plain_link
from bot.chat.texts.language import Translator
from bot.core.errors import DiscordRefused, DiscordUnavailable
from bot.core.results import ResultMessage, living_link
from bot.core.tasks import Delivery, ExistingDelivery, TaskState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


class PostAgainButton(TargetButton, DynamicButton, template=template("again")):
    """Post the result once more, as `/veo redeliver` does."""

    kind = "again"

    async def press(self, interaction: Interaction, t: Translator) -> None:
        existing = await _delivery(interaction, self.target)
        if existing is None:
            await reply_privately(interaction, t(replies.RESULT_IS_GONE))
            return
        if missing := missing_here(interaction):
            await reply_privately(interaction, replies.still_missing_permissions(t, missing))
            return
        # The API may be asked for a fresh link, which takes longer than Discord waits for an answer.
        await defer_privately(interaction)
        delivery = existing.delivery
        result, latest = await tracking_of(interaction).redeliver(
            delivery.channel_id, delivery.task_id, interaction.user.id, public_language_for(interaction)
        )
        await reply_privately(interaction, replies.redelivered(t, result, delivery.task_id, latest))


class DeleteButton(TargetButton, DynamicButton, template=template("delete")):
    """Ask whether the result is to be deleted. Look-ups recognise a result message by its custom id."""

    kind = "delete"

    async def press(self, interaction: Interaction, t: Translator) -> None:
        if refusal := await _refusal(interaction, t, self.target):
            await reply_privately(interaction, refusal)
            return
        about = Target(self.target.number, self.target.part, message_id_of(interaction))
        confirm = DeleteYesButton(about, label=t(replies.DELETE_YES_LABEL))
        existing = await _delivery(interaction, self.target)
        has_video = existing is not None and existing.task.state is TaskState.COMPLETED
        question = replies.DELETE_VIDEO_QUESTION if has_video else replies.DELETE_QUESTION
        await reply_privately(interaction, t(question), view=row_of(confirm))


class DeleteYesButton(TargetButton, DynamicButton, template=template("delete-yes")):
    """Delete the result. The card then says so."""

    kind = "delete-yes"
    style = discord.ButtonStyle.danger

    async def press(self, interaction: Interaction, t: Translator) -> None:
        if refusal := await _refusal(interaction, t, self.target):
            await replace_answer(interaction, refusal)
            return
        existing = await _delivery(interaction, self.target)
        if await _delete(interaction, t, self.target) and existing is not None:
            await tracking_of(interaction).mark_deleted(existing.delivery.id)
            logger.info("the result of delivery %d was deleted by its button", self.target.number)


class DeleteDirectButton(TargetButton, DynamicButton, template=template("direct")):
    """Ask whether a direct message is to be deleted. Look-ups recognise it by its custom id."""

    kind = "direct"

    async def press(self, interaction: Interaction, t: Translator) -> None:
        about = Target(self.target.number, self.target.part, message_id_of(interaction))
        confirm = DeleteDirectYesButton(about, label=t(replies.DELETE_YES_LABEL))
        await reply_privately(interaction, t(replies.DELETE_DIRECT_QUESTION), view=row_of(confirm))


class DeleteDirectYesButton(TargetButton, DynamicButton, template=template("direct-yes")):
    """Delete the direct message."""

    kind = "direct-yes"
    style = discord.ButtonStyle.danger

    async def press(self, interaction: Interaction, t: Translator) -> None:
        await _delete(interaction, t, self.target)


async def _delivery(interaction: Interaction, target: Target) -> ExistingDelivery | None:
    """The delivery whose result message it is; None for one that another database wrote."""
    existing = await tracking_of(interaction).store.lookups.delivery(target.number)
    pressed = target.pressed_on(message_id_of(interaction))
    return existing if existing is not None and pressed.is_on_result(existing.delivery) else None


async def _refusal(interaction: Interaction, t: Translator, target: Target) -> str | None:
    """Why this person may not delete the result; None when they may."""
    existing = await _delivery(interaction, target)
    own = existing is not None and existing.delivery.requester_id == interaction.user.id
    if own or interaction.permissions.manage_messages:
        return None
    return t(replies.NOT_YOUR_RESULT) if existing is not None else t(replies.RESULT_IS_GONE)


async def _delete(interaction: Interaction, t: Translator, target: Target) -> bool:
    """Delete the message that the question is about, and put what became of it in the question's place."""
    # Discord may have us wait for longer than an answer may take.
    await defer_update(interaction)
    delete_message: Callable[[int, int], Awaitable[None]] = interaction.client.messenger.delete_message
    try:
        await delete_message(interaction.channel_id or 0, target.message_id or 0)
    except DiscordRefused as error:
        logger.info("a message could not be deleted: %s", error)
        await replace_answer(interaction, t(replies.MAY_NOT_DELETE))
        return False
    except DiscordUnavailable as error:
        logger.info("a message could not be deleted now: %s", error)
        await reply_privately(interaction, t(replies.DISCORD_BUSY))
        return False
    await replace_answer(interaction, t(replies.DELETED))
    return True


def result_buttons(t: Translator, result: ResultMessage, now: int) -> discord.ui.View:
    """The result's buttons: the original while its link lives, post again for a video, delete."""
    link = living_link(result.due.task, now)
    target = Target.of(result.due.delivery)
    buttons: list[AnyItem] = []
    if link is not None and not result.is_bare and len(url := plain_link(link)) <= MAX_BUTTON_URL:
        buttons.append(discord.ui.Button(label=t(replies.ORIGINAL_LABEL), url=url))
    if result.due.task.state is TaskState.COMPLETED:
        buttons.append(PostAgainButton(target, label=t(replies.POST_AGAIN_LABEL)))
    return row_of(*buttons, DeleteButton(target, label=t(replies.DELETE_LABEL)))


def direct_buttons(t: Translator, delivery: Delivery) -> discord.ui.View:
    """Under a direct message: delete."""
    return row_of(DeleteDirectButton(Target.of(delivery), label=t(replies.DELETE_LABEL)))
