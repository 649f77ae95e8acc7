"""The command line: event loop, start-up failures, terminals, Windows."""

import asyncio
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.cli import main as cli
from bot.core.errors import StorageUnavailable
from bot.settings import Settings

ROOT = Path(__file__).parents[2]
SETTINGS = Settings.model_validate({"discord_token": "MTE.x.y", "veo_api_key": "key"})


def test_uvloop_runs_the_bot_where_it_is_installed(monkeypatch: pytest.MonkeyPatch):
    """It is used without any setting."""
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=asyncio.SelectorEventLoop))

    assert cli._event_loop_factory() is asyncio.SelectorEventLoop


def test_asyncio_runs_the_bot_where_uvloop_is_missing(monkeypatch: pytest.MonkeyPatch):
    """uvloop is an optional dependency."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert cli._event_loop_factory() is None


def test_database_that_fails_during_the_start_exits_69(caplog: pytest.LogCaptureFixture):
    """One line without a traceback, so that a supervisor restarts the bot."""

    async def starting(_: Settings) -> int:
        raise StorageUnavailable("the database did not answer: canceling statement due to lock timeout")

    assert cli._run_command(starting, SETTINGS) == 69
    assert [record.getMessage() for record in caplog.records] == [
        "DATABASE_URL: the database did not answer: canceling statement due to lock timeout"
    ]
    assert caplog.records[0].exc_info is None


def run_python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=inherited | environment,
        cwd=ROOT / "docs",
        check=False,
        encoding="utf-8",
    )


def test_version_is_printed_without_any_setting():
    said = run_python("-m", "bot", "--version")

    assert (said.returncode, said.stdout) == (0, f"veo-courier {version('veo-courier')}\n")


# The command line alone, and then two commands that call neither Discord nor the API.
WITHOUT_NETWORK = """
import sys
from bot.cli import main as cli
for arguments in (["backup", "copy.db"], ["move"]):
    cli._command(cli._parser().parse_args(arguments))
print({"discord", "aiohttp"} & set(sys.modules))
"""


def test_command_imports_only_what_it_needs():
    """The packages for Discord and the API take most of a start."""
    said = run_python("-c", WITHOUT_NETWORK)

    assert said.stdout == "set()\n", said.stderr


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "PYTHONUTF8": "0"}])
@pytest.mark.parametrize("arguments", [("--help",), ("move", "--help"), ()])
def test_terminal_that_is_not_utf_8_gets_question_marks(
    environment: dict[str, str], arguments: tuple[str, ...]
):
    """A character that the terminal cannot show must not raise an exception."""
    said = run_python("-m", "bot", *arguments, **environment, VEO_API_URL="ftp://caf\u00e9")

    assert "Error" not in said.stderr
    assert said.returncode == (0 if arguments else 2)
    if not arguments:
        assert "VEO_API_URL: 'ftp://caf" in said.stderr


# Imports first the parts of the standard library that need the modules which Windows lacks.
WITHOUT_UNIX = """
import asyncio, multiprocessing, subprocess, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
import bot.cli.main
from bot.process import raise_file_limit
print(raise_file_limit())
import os
os.name = "nt"
print(bot.cli.main.main(["check"]))
"""


def test_windows_is_refused_in_one_sentence():
    """The refusal must not import modules that exist only on Unix."""
    said = run_python("-c", WITHOUT_UNIX)

    assert said.stdout.splitlines()[1:] == ["69"], said.stderr
    assert int(said.stdout.splitlines()[0]) > 1000
    assert said.stderr.splitlines()[-1] == (
        "veo-courier does not run on Windows itself: use Docker or WSL, see README.md"
    )
