"""The command line: arguments in, exit codes out."""

import argparse
import asyncio
import importlib
import logging
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from bot import app
from bot.cli import backup, check, doctor, move
from bot.core.errors import CannotStart, DependencyDown, SettingsWrong, StorageUnavailable
from bot.logs import logging_to_stderr
from bot.process import prepare_folder, stopped_by_signals, tune_garbage_collection
from bot.settings import Role, Settings, read_settings
from bot.storage.migrations import migrate
from bot.storage.sqlite import exclusive_file_lock
from bot.storage.store import open_database

logger = logging.getLogger("bot")

OK = 0
BUG = 70

Command = Callable[[Settings], Coroutine[Any, Any, int]]


async def _run(settings: Settings, role: Role = Role.ALL) -> int:
    tune_garbage_collection()
    with stopped_by_signals() as stop:
        await app.run(settings, stop, role)
    return OK


async def _migrate(settings: Settings) -> int:
    prepare_folder(settings.data_dir)
    with exclusive_file_lock(settings.database):
        database = open_database(settings.database)
        try:
            before, after = await migrate(database)
        finally:
            await database.close()
    print(f"database at schema version {after}" + (f" (was {before})" if before != after else ""))
    return OK


COMMANDS: dict[str, tuple[Command, str]] = {
    "run": (_run, "run the bot (what it does without an argument)"),
    "check": (check.run, "try settings, database, Discord token and video API, and say what is wrong"),
    "doctor": (doctor.run, "say what is stuck and why, beside a running bot"),
    "migrate": (_migrate, "bring the database's schema up"),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 stopped, 2 settings wrong, 69 a dependency is down, 77 token refused, 70 a bug."""
    command = _command(_parser().parse_args(arguments))
    try:
        settings = read_settings()
    except SettingsWrong as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return error.exit_code
    with logging_to_stderr(settings.log_level, settings.log_format, settings.secrets):
        return _run_command(command, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="veo-courier",
        description="A Discord bot that waits for your Veo videos and posts the MP4 in the channel.",
        epilog="Settings come from the environment and from .env; .env.example lists them.",
    )
    _add_role(parser, default=Role.ALL)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, (_, meaning) in COMMANDS.items():
        made = commands.add_parser(name, help=meaning)
        if name == "run":
            _add_role(made, default=argparse.SUPPRESS)
    copying = commands.add_parser("backup", help="copy the SQLite database to a file, while the bot runs")
    copying.add_argument("file", type=Path, help="where to; an older copy there is replaced")
    moving = commands.add_parser("move", help="carry a stopped bot from SQLite over to PostgreSQL")
    moving.add_argument("source", help="sqlite:///…")
    moving.add_argument("target", help="postgresql://…, an empty database")
    return parser


def _add_role(parser: argparse.ArgumentParser, *, default: Any) -> None:
    parser.add_argument(
        "--role",
        type=Role,
        choices=list(Role),
        default=default,
        help="with PostgreSQL, what of the bot this process is: chat (gateway and commands), "
        "work (polling and delivering), or all (the default)",
    )


def _command(arguments: argparse.Namespace) -> Command:
    if arguments.command == "backup":
        return partial(backup.run, destination=arguments.file)
    if arguments.command == "move":
        return partial(move.run, source=arguments.source, target=arguments.target)
    if arguments.command in (None, "run"):
        return partial(_run, role=arguments.role)
    command, _ = COMMANDS[arguments.command]
    return command


def _event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's factory if it is installed, else None for asyncio's own."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _run_command(command: Command, settings: Settings) -> int:
    try:
        with asyncio.Runner(loop_factory=_event_loop_factory()) as runner:
            return runner.run(command(settings))
    except CannotStart as error:
        logger.critical("%s", error)
        return error.exit_code
    except StorageUnavailable as error:
        # Only at the start: the running loops wait until the database is back.
        logger.critical("DATABASE_URL: %s", error)
        return DependencyDown.exit_code
    except Exception:
        logger.critical("stopped by a bug", exc_info=True)
        return BUG
