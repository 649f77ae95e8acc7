"""The command line's own decisions."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from bot import cli


def test_uvloop_runs_the_bot_where_it_is_installed(monkeypatch: pytest.MonkeyPatch):
    """Nobody has to say so."""
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=asyncio.SelectorEventLoop))

    assert cli._quickest_loop() is asyncio.SelectorEventLoop


def test_asyncio_runs_the_bot_elsewhere(monkeypatch: pytest.MonkeyPatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert cli._quickest_loop() is None
