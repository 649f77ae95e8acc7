"""The buttons on a card: *Notify me*, and *Stop* with its question."""

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
from bot.chat.responses import replace_answer, reply_privately
from bot.chat.texts import cards, replies
from bot.chat.texts.language import Translator
from bot.core.tasks import CardView


class NotifyButton(TargetButton, DynamicButton, template=template("notify")):
    """Mention the person who presses it as well; a second press ends that."""

    kind = "notify"

    async def press(self, interaction: Interaction, t: Translator) -> None:
        pressed = self.target.pressed_on(message_id_of(interaction))
        result = await tracking_of(interaction).watch(self.target.number, interaction.user.id, pressed)
        await reply_privately(interaction, replies.watching(t, result))


class StopButton(TargetButton, DynamicButton, template=template("stop")):
    """Ask whether everything that is open on the card is to be stopped."""

    kind = "stop"

    async def press(self, interaction: Interaction, t: Translator) -> None:
        pressed = self.target.pressed_on(message_id_of(interaction))
        found = await tracking_of(interaction).card_to_stop(
            self.target.number,
            interaction.user.id,
            pressed,
            may_cancel_any=interaction.permissions.manage_messages,
        )
        if found.refusal is not None:
            await reply_privately(interaction, t(replies.STOP_REFUSALS[found.refusal]))
            return
        confirm = StopYesButton(
            Target(self.target.number, self.target.part, pressed.message_id), label=t(replies.STOP_YES_LABEL)
        )
        await reply_privately(interaction, replies.stop_question(t, found.live), view=row_of(confirm))


class StopYesButton(TargetButton, DynamicButton, template=template("stop-yes")):
    """Stop everything that is open on the card."""

    kind = "stop-yes"
    style = discord.ButtonStyle.danger

    async def press(self, interaction: Interaction, t: Translator) -> None:
        stopped = await tracking_of(interaction).stop_card(
            self.target.number,
            interaction.user.id,
            self.target.pressed_on(0),
            may_cancel_any=interaction.permissions.manage_messages,
        )
        await replace_answer(interaction, replies.stopped(t, stopped))


def card_buttons(t: Translator, view: CardView) -> tuple[AnyItem, ...]:
    """The card's buttons: none once everything on it has ended."""
    if cards.is_settled(view):
        return ()
    target = Target.of_card(view)
    return (
        NotifyButton(target, label=replies.notify_label(t, view.watchers), emoji="🔔"),
        StopButton(target, label=t(replies.STOP_LABEL)),
    )
