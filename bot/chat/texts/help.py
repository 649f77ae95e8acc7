"""`/veo help`: what to type, what happens, what is stored, who runs the bot."""

from bot.chat.texts.escape import code
from bot.chat.texts.formatting import heading, small
from bot.chat.texts.language import Translator
from bot.chat.texts.panels import Accent, Panel, panel


def help_panel(t: Translator, operator: str | None) -> Panel:
    """The whole help. `operator` is who runs the bot, as Discord names the application's owner or team."""
    return panel(Accent.READY, _first_steps(t), _commands(t), _stored(t), small(_operator(t, operator)))


def _first_steps(t: Translator) -> str:
    steps = t(
        "1. Create a video at the video API. It answers with a task id such as `vgen_abc123def456`.\n"
        "2. Type `/veo track` with that id here, or with up to 20 ids. Or open a message's menu and choose "
        "*Apps*, *Track Veo tasks*.\n"
        "3. When the video is ready, usually after 2 to 5 minutes, I post it here and mention you. If there "
        "is none, I post why."
    )
    title = t("How to get your Veo videos here")
    return f"{heading(title)}\n{steps}"


def _commands(t: Translator) -> str:
    commands = t(
        "- `/veo list` shows this channel's videos, `/veo status` one of them.\n"
        "- `/veo untrack` stops waiting for a video.\n"
        "- `/veo redeliver` posts a result again."
    )
    title = t("What else you can type")
    return f"{heading(title)}\n{commands}"


def _stored(t: Translator) -> str:
    stored = t(
        "Your Discord id, the task ids with your notes, where you asked, and what the video API answered. "
        "I do not read what people write here. `/veo forget-me` shows how much is stored and deletes it."
    )
    title = t("What is stored")
    return f"{heading(title)}\n{stored}"


def _operator(t: Translator, operator: str | None) -> str:
    if operator is None:
        return t("Ask the people who manage this server who runs this bot.")
    return t("This bot is run by {operator}.", operator=code(operator, 60))
