"""Fixtures that every tier shares: settings of a test, a store on disk, a clock to set."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bot.core.tracking import Limits
from bot.storage.migrations import migrate
from bot.storage.store import Store, open_database, open_store
from sandbox.postgres import Server, postgres
from tests.secrecy import leaked, leaked_into
from tests.timing import FakeClock

INTERVAL = 30_000


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: many tests wait for a process or for a lease to end."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whatever any test printed, logged or left in its folder, passed or not, holds no secret."""
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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests of this process, if any asks for it."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def brought_up(server: Server) -> str:
    """The name of a database with today's schema: copying it is much quicker than running every step."""
    url = server.database()
    asyncio.run(_bring_up(url))
    return urlsplit(url).path.strip("/")


async def _bring_up(url: str) -> None:
    database = open_database(url)
    await migrate(database)
    await database.close()


@pytest.fixture(scope="session")
def brought_up_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for SQLite."""
    file = tmp_path_factory.mktemp("brought-up") / "bot.db"
    asyncio.run(_bring_up(f"sqlite:///{file}"))
    return file


def database_url_of(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a new database, for a fixture with the dialects as its parameters."""
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
