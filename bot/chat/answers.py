"""Answering an interaction: privately, at most once, and never with an exception's text."""

import logging
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.chat import texts
from bot.core.errors import StorageUnavailable

logger = logging.getLogger(__name__)
_UNKNOWN_INTERACTION = 10062


async def tell(
    interaction: discord.Interaction[Any], text: str, *, view: discord.ui.View = discord.utils.MISSING
) -> None:
    """A private answer. What was asked for is already done or refused: a lost answer changes nothing."""
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True, suppress_embeds=True, view=view)
        else:
            await interaction.response.send_message(text, ephemeral=True, suppress_embeds=True, view=view)
    except discord.InteractionResponded:
        await interaction.followup.send(text, ephemeral=True, suppress_embeds=True, view=view)
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        # 10062 after three seconds, 40060 when discord.py repeated an answer that had arrived.
        logger.warning("an answer did not reach its person: %s", describe(error))


async def explain(interaction: discord.Interaction[Any], error: BaseException) -> None:
    """Tell whoever asked what they can do; log what they cannot see."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    if isinstance(cause, StorageUnavailable):
        logger.warning("a command failed: %s", cause)
        await tell(interaction, texts.DATABASE_DOWN)
    elif isinstance(cause, (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)):
        await tell(interaction, texts.OUTDATED_COMMAND)
    elif isinstance(cause, app_commands.NoPrivateMessage):
        await tell(interaction, texts.ONLY_IN_SERVERS)
    else:
        logger.error("a bug in a command or button", exc_info=cause)
        await tell(interaction, texts.INTERNAL_ERROR)


def describe(error: BaseException) -> str:
    """For the log: status and code, never the request, whose headers hold the token."""
    if isinstance(error, discord.HTTPException):
        return f"{type(error).__name__} {error.status}/{error.code}"
    return type(error).__name__
