"""The command line: parses arguments and returns exit codes."""

import argparse
import asyncio
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from bot.core.errors import CannotStart, DependencyDown, SettingsWrong, StorageUnavailable
from bot.core.version import NAME, VERSION
from bot.logs import logging_to_stderr
from bot.process import imports
from bot.settings import Role, Settings, misspelt_variables, read_settings

logger = logging.getLogger("bot")

OK = 0
BUG = 70

Command = Callable[[Settings], Coroutine[Any, Any, int]]


COMMANDS = {
    "run": "run the bot (what it does without an argument)",
    "check": "try settings, database, Discord token and video API, and say what is wrong",
    "doctor": "show what is stuck and why, while the bot runs",
    "migrate": "update the database's schema",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 stopped, 2 settings wrong, 69 a dependency is down, 77 token refused, 70 a bug. `doctor` returns 1 when
    something needs a look.
    """
    _print_everywhere()
    parsed = _parser().parse_args(arguments)
    if os.name == "nt":
        print("veo-courier does not run on Windows itself: use Docker or WSL, see README.md", file=sys.stderr)
        return DependencyDown.exit_code
    try:
        settings = read_settings()
    except SettingsWrong as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return error.exit_code
    # The lines of check are its output, so no log line may stand between them.
    level = "CRITICAL" if parsed.command == "check" else settings.log_level
    with logging_to_stderr(level, settings.log_format, settings.secrets):
        for problem in misspelt_variables():  # check has a line for each
            logger.warning("in the environment, %s", problem)
        return _run_command(_command(parsed), settings)


def _print_everywhere() -> None:
    """Print `?` for characters that a terminal without UTF-8 cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="A Discord bot that waits for your Veo videos and posts the MP4 in the channel.",
        epilog="Settings come from the environment and from .env; .env.example lists them.",
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    _add_role(parser, default=Role.ALL)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, meaning in COMMANDS.items():
        made = commands.add_parser(name, help=meaning)
        if name == "run":
            _add_role(made, default=argparse.SUPPRESS)
    copying = commands.add_parser("backup", help="copy the SQLite database to a file, while the bot runs")
    copying.add_argument("file", type=Path, help="where to; nothing that exists is replaced")
    _add_move(commands.add_parser("move", help="move a stopped bot from SQLite to PostgreSQL"))
    return parser


def _add_move(parser: argparse.ArgumentParser) -> None:
    parser.description = "Copies a SQLite file into the empty PostgreSQL database of DATABASE_URL."
    parser.add_argument(
        "source", nargs="?", help="sqlite:///folder/bot.db; if left out, the file in DATA_DIR"
    )
    # Accepted only to be refused with a sentence about the password.
    parser.add_argument("target", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument(
        "--undo", action="store_true", help="let a bot start again on a file that was moved; copies nothing"
    )


def _add_role(parser: argparse.ArgumentParser, *, default: Any) -> None:
    parser.add_argument(
        "--role",
        type=Role,
        choices=list(Role),
        default=default,
        help="with PostgreSQL, the part of the bot that this process runs: chat (gateway and commands), "
        "work (polling and delivering), or all (the default)",
    )


def _command(arguments: argparse.Namespace) -> Command:
    """Import one command and return it. The others stay out, because most of a start is imports."""
    with imports():
        match arguments.command:
            case "check":
                from bot.cli import check

                return check.run
            case "doctor":
                from bot.cli import doctor

                return doctor.run
            case "migrate":
                from bot.cli import migrate

                return migrate.run
            case "backup":
                from bot.cli import backup

                return partial(backup.run, destination=arguments.file)
            case "move":
                from bot.cli import move

                return partial(
                    move.run, source=arguments.source, target=arguments.target, undo=arguments.undo
                )
            case _:
                from bot.cli import run

                return partial(run.run, role=arguments.role)


def _event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory if it is installed, else None for asyncio's."""
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
