"""`python -m bot doctor` beside a running bot changes nothing, and names what is stuck."""

import io
import sqlite3
from contextlib import closing, redirect_stdout
from pathlib import Path

import pytest

from bot.cli import doctor
from bot.core.errors import DependencyDown
from bot.storage.migrations import NEWEST
from sandbox.bot_process import BotProcess
from sandbox.faults import Fault
from tests.crash.conftest import CrashEnv

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("discord_addresses")]

ID = "vgen_abc123def456"


async def doctor_process(env: CrashEnv) -> tuple[int, list[str]]:
    process = BotProcess(env.settings() | {"LOG_LEVEL": "ERROR"}, env.folder / "doctor.log")
    await process.start("doctor")
    return await process.ended(), process.output().splitlines()


async def report(env: CrashEnv) -> tuple[int, list[str]]:
    """The report, made in this process: starting one takes a second."""
    with redirect_stdout(io.StringIO()) as said:
        code = await doctor.run(env.read_settings())
    return code, said.getvalue().splitlines()


async def test_doctor_reports_no_problem_for_a_healthy_bot(env: CrashEnv):
    """While the bot holds the database."""
    task = env.api.create(ID)
    await env.start_bot()
    card = await env.track(ID)
    await env.discord.until(lambda: "in the queue" in card.content)

    code, lines = await doctor_process(env)

    assert (code, [line for line in lines if line.startswith("LOOK")]) == (0, [])
    assert "ok    tasks: 1 waiting" in lines
    assert f"ok    channel {env.channel.id} of server {env.guild.id}: may post" in lines
    task.fail("no")
    await env.settled(ID)


async def test_missing_permission_is_named_by_channel(env: CrashEnv):
    """For a thread by its parent channel."""
    thread = env.channel.add_thread("shots")
    env.api.create(ID)
    await env.start_bot()
    card = await env.track(ID)
    await env.discord.until(lambda: "in the queue" in card.content)
    await env.alice.slash(thread, "veo track", id=ID)
    env.channel.deny(env.discord.bot, "attach_files")

    code, lines = await report(env)

    server = f"of server {env.guild.id}: missing Attach Files"
    assert code == 1
    assert f"LOOK  channel {env.channel.id} {server}" in lines
    assert f"LOOK  channel {thread.id} {server}" in lines


async def test_stuck_work_is_named_although_discord_is_down(env: CrashEnv):
    """The database part does not need Discord."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    await env.bot.stop()
    quarantine(env.folder / "data" / "bot.db", "KeyError: 'x'")
    env.discord.faults.add(Fault("GET *", status=503, body="", times=None))

    code, lines = await report(env)
    env.discord.faults.clear()

    said = "\n".join(lines)
    assert code == 1
    assert f"LOOK  quarantined in tasks: {ID} (KeyError: 'x')" in said
    assert "LOOK  rights were not checked: Discord cannot be reached" in said


async def test_doctor_beside_a_stopped_bot_changes_no_file(env: CrashEnv):
    """No file of another user beside the database, and no changed byte in it."""
    await env.start_bot()
    await env.bot.stop()
    data = env.folder / "data"
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}

    code, _ = await report(env)

    assert code == 0
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before
    assert "bot.db-wal" not in before


async def test_doctor_after_a_kill_does_not_change_the_write_ahead_log(env: CrashEnv):
    """Rows that are only in the log are reported."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    await env.bot.kill()
    data = env.folder / "data"
    before = {path.name: path.read_bytes() for path in data.glob("bot.db*") if "-shm" not in path.name}

    _, lines = await report(env)

    assert "ok    tasks: 1 waiting" in lines
    assert {
        path.name: path.read_bytes() for path in data.glob("bot.db*") if "-shm" not in path.name
    } == before
    assert len(before["bot.db-wal"]) > 0


async def test_doctor_without_a_database_exits_69(env: CrashEnv):
    """It creates no empty database."""
    code, lines = await doctor_process(env)

    assert code == 69
    assert "the bot has not run" in lines[-1]
    assert not (env.folder / "data" / "bot.db").exists()


@pytest.mark.parametrize("version", [NEWEST - 1, NEWEST + 1])
async def test_database_of_another_version_is_not_touched(env: CrashEnv, version: int):
    """The doctor never migrates: a bot of the older version may be running."""
    path = env.folder / "data" / "bot.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        database.execute("INSERT INTO schema_version VALUES (?)", (version,))
    before = path.read_bytes()

    with pytest.raises(DependencyDown, match=f"schema version {version}, this program reads {NEWEST}"):
        await report(env)

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("last_error", "shown"),
    [
        ('{"code": "discord_unavailable", "status": 503}', "Discord answered 503."),
        ("503 Service Unavailable", "503 Service Unavailable"),
    ],
    ids=["a code", "a sentence of version 0.1.0"],
)
async def test_results_that_discord_refused_often_are_named(env: CrashEnv, last_error: str, shown: str):
    """With the number of attempts and Discord's last answer."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    await env.bot.stop()
    owe(env.folder / "data" / "bot.db", attempt=7, last_error=last_error)

    code, lines = await report(env)

    assert code == 1
    assert f"LOOK  tried 7 times: {ID} in channel {env.channel.id}: {shown}" in lines


async def test_wrong_address_of_the_api_is_suspected(env: CrashEnv):
    """A bare 404 about every task usually means a wrong VEO_API_URL."""
    env.api.faults.add(Fault("GET *", status=404, body={"detail": "Not Found"}, times=None))
    await env.start_bot()
    card = await env.track(f"{ID} vgen_second")
    await env.discord.until(lambda: card.content.count("finds nothing under this id") == 2)

    code, lines = await report(env)

    assert code == 1
    assert "LOOK  the video API answers 404 about 2 tasks: perhaps VEO_API_URL is wrong" in lines


def owe(path: Path, *, attempt: int, last_error: str) -> None:
    statement = "UPDATE deliveries SET state = 'due', attempt = ?, last_error = ?"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, (attempt, last_error))


def quarantine(path: Path, why: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE tasks SET quarantine_reason = ?", (why,))
