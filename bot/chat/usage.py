"""Who uses which command or button: for the log while it runs, counted by how it ended."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import discord
from discord import app_commands

from bot.core.errors import StorageUnavailable
from bot.core.log_fields import log_by
from bot.core.tracking import QuotaReached
from bot.metrics import CommandName, CommandOutcome

Button = TypeVar("Button")
_Callback = Callable[[Button, discord.Interaction[Any]], Coroutine[Any, Any, None]]

# By the second part of a button's custom id, and by the name in a message's menu.
_NAMES = {
    "notify": CommandName.NOTIFY,
    "delete": CommandName.DELETE,
    "delete-yes": CommandName.DELETE_CONFIRMED,
    "direct": CommandName.DELETE_DIRECT,
    "direct-yes": CommandName.DELETE_DIRECT_CONFIRMED,
    "stop": CommandName.STOP,
    "stop-yes": CommandName.STOP_CONFIRMED,
    "again": CommandName.POST_AGAIN,
    "forget": CommandName.FORGET,
    "Track Veo tasks": CommandName.TRACK_MESSAGE,
}
_REFUSALS = (
    QuotaReached,
    app_commands.NoPrivateMessage,
    app_commands.CommandNotFound,
    app_commands.CommandSignatureMismatch,
)


def counted(callback: _Callback[Button]) -> _Callback[Button]:
    """A button's callback that is counted when it ends; one that failed was counted by `count_failure`."""

    @functools.wraps(callback)
    async def call(button: Button, interaction: discord.Interaction[Any]) -> None:
        note_person(interaction)
        await callback(button, interaction)
        if not interaction.command_failed:
            count_use(interaction)

    return call


def note_person(interaction: discord.Interaction[Any]) -> None:
    """Have every log line of this job say who used what, and where."""
    log_by(
        str(_command(interaction)),
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        person_id=interaction.user.id,
    )


class CommandTree(app_commands.CommandTree[Any]):
    """discord.py's, with what is noted before each command."""

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        note_person(interaction)
        return True


def count_use(
    interaction: discord.Interaction[Any], outcome: CommandOutcome = CommandOutcome.ANSWERED
) -> None:
    """Count one use."""
    interaction.client.metrics.used(_command(interaction), outcome)


def count_failure(interaction: discord.Interaction[Any], cause: BaseException) -> None:
    """Count one use that `cause` ended."""
    interaction.command_failed = True
    if isinstance(cause, StorageUnavailable):
        count_use(interaction, CommandOutcome.DATABASE_DOWN)
    elif isinstance(cause, _REFUSALS):
        count_use(interaction, CommandOutcome.REFUSED)
    else:
        count_use(interaction, CommandOutcome.BUG)


def _command(interaction: discord.Interaction[Any]) -> CommandName:
    """What was used; anything that this version does not know is `other`."""
    if interaction.command is not None:
        name = interaction.command.name
    else:
        data: Mapping[str, Any] = interaction.data or {}
        name = f"{data.get('custom_id')}:".split(":")[1]
    try:
        return _NAMES.get(name) or CommandName(name)
    except ValueError:
        return CommandName.OTHER
