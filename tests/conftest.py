"""Fixtures that every tier shares: a store on disk and a clock that is set by hand."""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route
from hypothesis import HealthCheck, settings

from bot.core.tracking import Limits
from bot.storage.migrations import migrate
from bot.storage.store import Store, open_database, open_store
from sandbox.postgres import Server, postgres
from tests.ports import reserved_port
from tests.secrecy import leaked, leaked_into
from tests.timing import FakeClock

INTERVAL = 30_000

# A slow machine must not fail a property: no deadline, and no check for slow input.
_PROPERTIES = settings(
    deadline=None,
    # The examples of one property share a folder: each example overwrites the file.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("every run", _PROPERTIES, max_examples=100)
# `python -m bench fuzz` sets FUZZ_EXAMPLES. `make test` does not, because it would take too long.
settings.register_profile(
    "fuzz", _PROPERTIES, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "0")) or 200, database=None
)
settings.load_profile("fuzz" if "FUZZ_EXAMPLES" in os.environ else "every run")


def pytest_configure() -> None:
    """Look for garbage rarely: looking while 7,000 tests are collected takes a fifth of that time."""
    gc.set_threshold(50_000, 20, 100)


def pytest_xdist_auto_num_workers() -> int:
    """Two per core, because many tests wait for a process or for a lease to end."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test if its output, its logs or its folder hold a secret."""
    report = yield
    # Titles end with the phase: "Captured log call".
    found = leaked("\n".join(printed for title, printed in report.sections if title.endswith(report.when)))
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "teardown" and folder is not None:
        found += leaked_into(folder)
    if found:
        before = f"{report.longrepr}\n" if report.failed else ""
        report.outcome = "failed"
        report.longrepr = f"{before}a secret was printed: {found}"
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many schedules the explorer has run."""
    passed = [name for report in terminalreporter.stats.get("passed", []) for name in report.user_properties]
    for what in ("schedules", "pairs"):
        if count := sum(value for name, value in passed if name == what):
            terminalreporter.write_line(f"explored: {count} {what}")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests of this process; started only if a test needs it."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def brought_up(server: Server) -> str:
    """The name of a database with the current schema: copying it is faster than running the migrations."""
    url = server.database()
    asyncio.run(_bring_up(url))
    return urlsplit(url).path.strip("/")


async def _bring_up(url: str) -> None:
    database = open_database(url)
    await migrate(database)
    await database.close()


@pytest.fixture(scope="session")
def brought_up_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the current schema."""
    file = tmp_path_factory.mktemp("brought-up") / "bot.db"
    asyncio.run(_bring_up(f"sqlite:///{file}"))
    return file


def database_url_of(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a new database, for a fixture that is parametrized with the dialects."""
    if request.param == "postgresql":
        made: Server = request.getfixturevalue("server")
        return made.database(request.getfixturevalue("brought_up"))
    file: Path = request.getfixturevalue("brought_up_file")
    folder.mkdir(exist_ok=True)
    return f"sqlite:///{shutil.copy(file, folder)}"


@pytest.fixture
def database_url(tmp_path: Path, brought_up_file: Path) -> str:
    return f"sqlite:///{shutil.copy(brought_up_file, tmp_path)}"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    limits = Limits(per_user=20, per_channel=50, per_guild=200)
    async with open_store(database_url, limits=limits, interval=INTERVAL) as store:
        yield store


@pytest.fixture
def discord_addresses() -> Iterator[None]:
    """Put discord.py's addresses back: it keeps them in its classes, where the bot sets them."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    yield
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before
