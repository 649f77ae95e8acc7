"""Translates what Discord shows of the commands: descriptions, and the names of menu entries."""

import discord
from discord import app_commands

from bot.chat.texts.language import translator
from bot.core.language import Language, language_of

_NAMES = frozenset(
    {
        app_commands.TranslationContextLocation.group_name,
        app_commands.TranslationContextLocation.parameter_name,
    }
)


class CommandTranslator(app_commands.Translator):
    """From the same catalogues as everything else that people read.

    The names of slash commands stay as they are, so that people can tell each other what to type.
    """

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,
    ) -> str | None:
        language = language_of(locale.value)
        if language is Language.ENGLISH or _stays(context):
            return None
        return translator(language)(string.message)


def _stays(context: app_commands.TranslationContextTypes) -> bool:
    is_command = context.location is app_commands.TranslationContextLocation.command_name
    if is_command and not isinstance(context.data, app_commands.ContextMenu):
        return True
    return context.location in _NAMES
