"""Answers an interaction: privately, at most once, and never with an exception's text."""

import logging
import secrets
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.chat.texts import replies
from bot.chat.texts.language import Translator, translator
from bot.chat.usage import count_failure
from bot.core.errors import StorageUnavailable
from bot.core.language import Language, language_of, public_language
from bot.core.tracking import QuotaReached
from bot.network_errors import describe_network_error

logger = logging.getLogger(__name__)


def translator_for(interaction: discord.Interaction[Any]) -> Translator:
    """For what only this person reads: in the language of their Discord."""
    return translator(language_of(str(interaction.locale)))


def public_language_for(interaction: discord.Interaction[Any]) -> Language:
    """The language of what the channel will read."""
    server = None if interaction.guild_locale is None else str(interaction.guild_locale)
    return public_language(server, str(interaction.locale))


async def reply_privately(
    interaction: discord.Interaction[Any], text: str, *, view: discord.ui.View = discord.utils.MISSING
) -> None:
    """Send a private answer. The request is already done or refused, so a lost answer changes nothing."""
    await _answer_privately(interaction, content=text, view=view)


async def reply_with_panel(interaction: discord.Interaction[Any], view: discord.ui.LayoutView) -> None:
    """Send a private answer that is drawn as a panel."""
    await _answer_privately(interaction, view=view)


async def _answer_privately(interaction: discord.Interaction[Any], **message: Any) -> None:
    try:
        if interaction.response.is_done():
            await interaction.followup.send(ephemeral=True, suppress_embeds=True, **message)
        else:
            await interaction.response.send_message(ephemeral=True, suppress_embeds=True, **message)
    except discord.InteractionResponded:
        await interaction.followup.send(ephemeral=True, suppress_embeds=True, **message)
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        # 10062 after three seconds, 40060 when discord.py repeated an answer that had arrived.
        logger.warning("an answer to an interaction was lost: %s", describe_error(error))


async def replace_answer(interaction: discord.Interaction[Any], text: str) -> None:
    """Put a text in the place of the private answer whose button was pressed; the button goes."""
    try:
        if interaction.response.is_done():
            await interaction.edit_original_response(content=text, view=None)
        else:
            await interaction.response.edit_message(content=text, view=None)
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        logger.warning("an answer to an interaction was lost: %s", describe_error(error))


async def defer_privately(interaction: discord.Interaction[Any]) -> None:
    """Tell Discord that the private answer takes longer than three seconds. A lost one changes nothing."""
    try:
        # After a button Discord shows no “is thinking…” unless it is asked to.
        await interaction.response.defer(ephemeral=True, thinking=True)
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        logger.warning("an interaction could not be deferred: %s", describe_error(error))


async def defer_update(interaction: discord.Interaction[Any]) -> None:
    """Tell Discord that a button was pressed, and leave its message as it is. A lost one changes nothing."""
    try:
        await interaction.response.defer()
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        logger.warning("a button's press could not be acknowledged: %s", describe_error(error))


async def reply_to_error(interaction: discord.Interaction[Any], error: BaseException) -> None:
    """Tell the person what they can do, and log what they cannot see."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    t = translator_for(interaction)
    count_failure(interaction, cause)
    if isinstance(cause, QuotaReached):
        await reply_privately(interaction, replies.quota_reached(t, cause))
    elif isinstance(cause, StorageUnavailable):
        logger.warning("a command failed: %s", cause)
        await reply_privately(interaction, t(replies.DATABASE_DOWN))
    elif isinstance(cause, (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)):
        await reply_privately(interaction, t(replies.OUTDATED_COMMAND))
    elif isinstance(cause, app_commands.NoPrivateMessage):
        await reply_privately(interaction, t(replies.ONLY_IN_SERVERS))
    else:
        incident = secrets.token_hex(3)
        logger.error("a bug in a command or button (code %s)", incident, exc_info=cause)
        await reply_privately(interaction, replies.internal_error(t, incident))


def describe_error(error: BaseException) -> str:
    """Status and code, or why there was no answer; never the request, because its headers hold the token."""
    if isinstance(error, discord.HTTPException):
        return f"HTTP {error.status}" + (f", code {error.code}" if error.code else "")
    if isinstance(error, discord.RateLimited):
        return "asked to slow down"
    # Some of our own already say it in words.
    return str(error) if isinstance(error, TimeoutError) and str(error) else describe_network_error(error)
