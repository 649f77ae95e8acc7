"""`python -m bot`: runs the bot until a signal stops it."""

from bot import app
from bot.process import stopped_by_signals, tune_garbage_collection
from bot.settings import Role, Settings


async def run(settings: Settings, role: Role) -> int:
    """Run the bot, or the part of it that `role` names; returns the exit code. Raises CannotStart."""
    tune_garbage_collection()
    with stopped_by_signals() as stop:
        await app.run(settings, stop, role)
    return 0
