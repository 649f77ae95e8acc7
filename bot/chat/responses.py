"""Answers an interaction: privately, at most once, and never with an exception's text."""

import logging
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.chat.texts import replies
from bot.chat.usage import count_failure
from bot.core.errors import StorageUnavailable
from bot.core.tracking import QuotaReached
from bot.network_errors import describe_network_error

logger = logging.getLogger(__name__)


async def reply_privately(
    interaction: discord.Interaction[Any], text: str, *, view: discord.ui.View = discord.utils.MISSING
) -> None:
    """Send a private answer. The request is already done or refused, so a lost answer changes nothing."""
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True, suppress_embeds=True, view=view)
        else:
            await interaction.response.send_message(text, ephemeral=True, suppress_embeds=True, view=view)
    except discord.InteractionResponded:
        await interaction.followup.send(text, ephemeral=True, suppress_embeds=True, view=view)
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        # 10062 after three seconds, 40060 when discord.py repeated an answer that had arrived.
        logger.warning("an answer to an interaction was lost: %s", describe_error(error))


async def defer_privately(interaction: discord.Interaction[Any]) -> None:
    """Tell Discord that the private answer takes longer than three seconds. A lost one changes nothing."""
    try:
        await interaction.response.defer(ephemeral=True)
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        logger.warning("an interaction could not be deferred: %s", describe_error(error))


async def defer_update(interaction: discord.Interaction[Any]) -> None:
    """Tell Discord that a button was pressed; its message stays as it is. A lost one changes nothing."""
    try:
        await interaction.response.defer()
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        logger.warning("a button's press could not be acknowledged: %s", describe_error(error))


async def reply_to_error(interaction: discord.Interaction[Any], error: BaseException) -> None:
    """Tell the person what they can do, and log what they cannot see."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    count_failure(interaction, cause)
    if isinstance(cause, QuotaReached):
        await reply_privately(interaction, replies.quota_reached(cause))
    elif isinstance(cause, StorageUnavailable):
        logger.warning("a command failed: %s", cause)
        await reply_privately(interaction, replies.DATABASE_DOWN)
    elif isinstance(cause, (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)):
        await reply_privately(interaction, replies.OUTDATED_COMMAND)
    elif isinstance(cause, app_commands.NoPrivateMessage):
        await reply_privately(interaction, replies.ONLY_IN_SERVERS)
    else:
        logger.error("a bug in a command or button", exc_info=cause)
        await reply_privately(interaction, replies.INTERNAL_ERROR)


def describe_error(error: BaseException) -> str:
    """Status and code, or why there was no answer; never the request, because its headers hold the token."""
    if isinstance(error, discord.HTTPException):
        return f"HTTP {error.status}" + (f", code {error.code}" if error.code else "")
    if isinstance(error, discord.RateLimited):
        return "asked to slow down"
    # Some of our own already say it in words.
    return str(error) if isinstance(error, TimeoutError) and str(error) else describe_network_error(error)
