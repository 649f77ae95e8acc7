"""The command line's own decisions."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from bot.cli import main as cli
from bot.core.errors import StorageUnavailable
from bot.settings import Settings

SETTINGS = Settings.model_validate({"discord_token": "MTE.x.y", "veo_api_key": "key"})


def test_uvloop_runs_the_bot_where_it_is_installed(monkeypatch: pytest.MonkeyPatch):
    """Nobody has to say so."""
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=asyncio.SelectorEventLoop))

    assert cli._event_loop_factory() is asyncio.SelectorEventLoop


def test_asyncio_runs_the_bot_elsewhere(monkeypatch: pytest.MonkeyPatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert cli._event_loop_factory() is None


def test_database_that_goes_away_during_the_start_is_no_bug(caplog: pytest.LogCaptureFixture):
    """69, in one line: whoever watches the process starts it again."""

    async def starting(_: Settings) -> int:
        raise StorageUnavailable("the database did not answer: canceling statement due to lock timeout")

    assert cli._run_command(starting, SETTINGS) == 69
    assert [record.getMessage() for record in caplog.records] == [
        "DATABASE_URL: the database did not answer: canceling statement due to lock timeout"
    ]
    assert caplog.records[0].exc_info is None
