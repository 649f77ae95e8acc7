"""`python -m bot doctor` beside a running bot: nothing is changed, and what is stuck is named."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.storage.migrations import NEWEST
from sandbox.bot_process import BotProcess
from sandbox.faults import Fault
from tests.crash.conftest import Theatre

pytestmark = [pytest.mark.crash, pytest.mark.timeout(90)]

ID = "vgen_abc123def456"


async def doctor(theatre: Theatre, **settings: str) -> tuple[int, list[str]]:
    log = theatre.folder / "doctor.log"
    log.unlink(missing_ok=True)
    process = BotProcess(theatre.settings() | {"LOG_LEVEL": "ERROR"} | settings, log)
    await process.start("doctor")
    return await process.ended(), process.output().splitlines()


async def test_healthy_bot_needs_no_look(theatre: Theatre):
    """It works while the bot holds the database."""
    task = theatre.api.create(ID)
    await theatre.start_bot()
    card = await theatre.track(ID)
    await theatre.discord.until(lambda: "queued" in card.content)

    code, lines = await doctor(theatre)

    assert (code, [line for line in lines if line.startswith("LOOK")]) == (0, [])
    assert "ok    tasks: 1 waiting" in lines
    assert f"ok    channel {theatre.channel.id} of server {theatre.guild.id}: may post" in lines
    task.fail("no")
    await theatre.settled(ID)


async def test_missing_right_is_named_by_channel(theatre: Theatre):
    """In a thread by the channel above it."""
    thread = theatre.channel.add_thread("shots")
    theatre.api.create(ID)
    await theatre.start_bot()
    card = await theatre.track(ID)
    await theatre.discord.until(lambda: "queued" in card.content)
    await theatre.alice.slash(thread, "veo track", id=ID)
    theatre.channel.deny(theatre.discord.bot, "attach_files")

    code, lines = await doctor(theatre)

    server = f"of server {theatre.guild.id}: missing Attach Files"
    assert code == 1
    assert f"LOOK  channel {theatre.channel.id} {server}" in lines
    assert f"LOOK  channel {thread.id} {server}" in lines


async def test_what_is_stuck_is_named_though_discord_is_down(theatre: Theatre):
    """The database part never depends on Discord."""
    theatre.api.create(ID)
    await theatre.start_bot()
    await theatre.track(ID)
    await theatre.bot.stop()
    set_aside(theatre.folder / "data" / "bot.db", "KeyError: 'x'")
    theatre.discord.faults.add(Fault("GET *", status=503, body="", times=None))

    code, lines = await doctor(theatre)
    theatre.discord.faults.clear()

    told = "\n".join(lines)
    assert code == 1
    assert f"LOOK  set aside in tasks: {ID} (KeyError: 'x')" in told
    assert "LOOK  rights were not looked at: Discord cannot be reached" in told


async def test_bot_that_never_ran_has_nothing_to_look_at(theatre: Theatre):
    """69, and no empty database is left behind."""
    code, lines = await doctor(theatre)

    assert code == 69
    assert "the bot has not run" in lines[-1]
    assert not (theatre.folder / "data" / "bot.db").exists()


@pytest.mark.parametrize("version", [NEWEST - 1, NEWEST + 1])
async def test_database_of_another_version_is_not_touched(theatre: Theatre, version: int):
    """The doctor never migrates: a newer one beside an older bot would pull its tables away."""
    path = theatre.folder / "data" / "bot.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        database.execute("INSERT INTO schema_version VALUES (?)", (version,))
    before = path.read_bytes()

    code, lines = await doctor(theatre)

    assert code == 69
    assert f"schema version {version}, this program reads {NEWEST}" in lines[-1]
    assert path.read_bytes() == before


async def test_what_discord_refused_often_is_named(theatre: Theatre):
    """With the number of attempts and Discord's last word."""
    theatre.api.create(ID)
    await theatre.start_bot()
    await theatre.track(ID)
    await theatre.bot.stop()
    owe(theatre.folder / "data" / "bot.db", attempt=7, trouble="503 Service Unavailable")

    code, lines = await doctor(theatre)

    assert code == 1
    assert f"LOOK  tried 7 times: {ID} in channel {theatre.channel.id}: 503 Service Unavailable" in lines


def owe(path: Path, *, attempt: int, trouble: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE deliveries SET state = 'due', attempt = ?, trouble = ?", (attempt, trouble))


def set_aside(path: Path, why: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE tasks SET set_aside = ?", (why,))
