"""PostgreSQL's backup, with the commands of docs/operating.md."""

import subprocess
from pathlib import Path

import pytest

from bot.core.tracking import Limits
from bot.storage.store import open_store
from sandbox.postgres import Server
from tests.conftest import INTERVAL
from tests.factories import TASK, look_up, post_next, track_ended
from tests.timing import FakeClock

pytestmark = pytest.mark.crash
LIMITS = Limits(per_user=20, per_channel=50, per_guild=200)


async def test_restored_dump_has_the_state_of_its_time(
    server: Server, brought_up: str, clock: FakeClock, tmp_path: Path
):
    """Results posted since the dump are due again, as the documentation warns."""
    url, dump = server.database(brought_up), tmp_path / "bot.dump"
    async with open_store(url, limits=LIMITS, interval=INTERVAL) as store:
        await track_ended(store, clock)
        _run(server, "pg_dump", "--format", "custom", "--file", str(dump), url)
        await post_next(store, clock)
    _run(server, "pg_restore", "--clean", "--if-exists", "--dbname", url, str(dump))

    async with open_store(url, limits=LIMITS, interval=INTERVAL) as store:
        assert (await look_up(store, TASK)).delivery.state == "due"


def _run(server: Server, program: str, *arguments: str) -> None:
    done = subprocess.run([server.program(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
