"""Fixtures that every tier shares: settings of a test, a store on disk, a clock to set."""

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from bot.core.registration import Limits
from bot.storage.store import Store, open_store
from tests.secrecy import leaked
from tests.timing import FakeClock

INTERVAL = 30_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whatever any test printed or logged, passed or not, holds no secret; crash tests read their logs."""
    report = yield
    # Titles end with the phase: "Captured log call".
    found = leaked("\n".join(printed for title, printed in report.sections if title.endswith(report.when)))
    if found:
        report.outcome = "failed"
        report.longrepr = f"a secret was printed: {found}"
    return report


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'bot.db'}"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    limits = Limits(per_user=20, per_channel=50, per_guild=200)
    async with open_store(database_url, limits=limits, interval=INTERVAL) as store:
        yield store
