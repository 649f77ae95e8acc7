"""`python -m bot` for an operator: exit codes, error lines, signals, and no secret in any output."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from bot.core.version import VERSION
from bot.storage.migrations import NEWEST
from sandbox.bot_process import BotProcess
from sandbox.faults import Fault
from tests.crash.conftest import CrashEnv
from tests.timing import eventually

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"


async def run(folder: Path, settings: dict[str, str], *arguments: str) -> tuple[int, str]:
    process = BotProcess(settings, folder / "other.log")
    await process.start(*arguments)
    return await process.ended(), process.output()


def bring_up(env: CrashEnv, file: Path) -> Path:
    """Copy a database to where the bot expects its own, as `migrate` would make it; returns its path."""
    (env.folder / "data" / "videos").mkdir(parents=True)
    return Path(shutil.copy(file, env.folder / "data"))


async def test_wrong_settings_exit_2_with_one_line_per_problem(tmp_path: Path):
    """All problems at once, without a traceback."""
    code, said = await run(tmp_path, {"POLL_INTERVAL": "3", "LOG_LEVEL": "LOUD"})

    assert code == 2
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "DISCORD_TOKEN",
        "VEO_API_KEY",
        "POLL_INTERVAL",
        "LOG_LEVEL",
    ]


async def test_refused_token_exits_77(env: CrashEnv):
    """One line that says what to do."""
    code, said = await run(env.folder, env.settings() | {"DISCORD_TOKEN": "wrong-one"})
    env.discord.surprises.clear()

    assert code == 77
    assert "DISCORD_TOKEN" in said.splitlines()[-1]
    assert "wrong-one" not in said


async def test_unreachable_discord_exits_69(env: CrashEnv):
    """Discord must be reachable at the start."""
    code, said = await run(env.folder, env.settings() | {"DISCORD_API_URL": "http://127.0.0.1:9/api/v10"})

    assert code == 69
    assert "Discord cannot be reached" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "settings", "exit_code", "said"),
    [
        (4011, {}, 69, "more than 2 shards by now: the next start takes as many"),
        (4011, {"SHARD_COUNT": "2", "SHARD_IDS": "1"}, 2, "SHARD_COUNT: Discord asks for more than 2"),
    ],
)
async def test_gateway_that_refuses_a_shard_ends_the_process(
    env: CrashEnv, code: int, settings: dict[str, str], exit_code: int, said: str
):
    """Also if it refuses only the second shard. One line without a traceback."""
    env.discord.shards = env.discord.session_starts["max_concurrency"] = 2
    env.discord.refuse_shard(1, code)
    ended, output = await run(env.folder, env.settings() | settings)

    assert ended == exit_code
    assert said in output.splitlines()[-1]
    assert "Traceback" not in output


async def test_gateway_that_stays_closed_is_retried(env: CrashEnv):
    """One line per attempt without a traceback; SIGTERM still stops the bot."""
    env.discord.shards = env.discord.session_starts["max_concurrency"] = 2
    env.discord.refuse_connections(1000)
    process = BotProcess(env.settings(), env.folder / "bot.log")
    await process.start()
    await eventually(lambda: process.output().count("trying again in") >= 3)
    process.ask_to_stop()
    code = await process.ended()

    assert code == 0
    assert "gateway (shard " in process.output()
    assert "Traceback" not in process.output()


async def test_folder_that_cannot_be_written_exits_69(env: CrashEnv):
    """A file is in the place of the folder."""
    obstacle = env.folder / "obstacle"
    obstacle.write_text("")
    code, said = await run(env.folder, env.settings() | {"DATA_DIR": str(obstacle / "data")})

    assert code == 69
    assert "DATA_DIR" in said.splitlines()[-1]


@pytest.mark.parametrize("command", [(), ("check",)], ids=["start", "check"])
async def test_file_that_cannot_be_written_is_named(env: CrashEnv, command: tuple[str, ...]):
    """Before a task can be tracked. tests/unit/test_process_set_up.py has the other files."""
    file = env.folder / "data" / "bot.db-wal"
    file.mkdir(parents=True)
    code, said = await run(env.folder, env.settings(), *command)
    env.api.surprises.clear()

    assert code == 69
    assert f"{file} cannot be written (" in said
    assert "Traceback" not in said


async def test_database_in_a_missing_folder_is_named(env: CrashEnv):
    """The folder is not created, because it may be a disk that is not mounted."""
    missing = env.folder / "disk"
    code, said = await run(env.folder, env.settings() | {"DATABASE_URL": f"sqlite:///{missing}/bot.db"})

    assert code == 69
    assert f"DATABASE_URL: {missing} cannot be written (No such file or directory)" in said
    assert not missing.exists()


async def test_newer_database_exits_69_and_is_unchanged(env: CrashEnv, brought_up_file: Path):
    """An older program would misread it."""
    path = bring_up(env, brought_up_file)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO schema_version VALUES (99)")
    database.close()
    before = path.read_bytes()
    code, said = await run(env.folder, env.settings())

    assert code == 69
    assert "schema version 99" in said.splitlines()[-1]
    assert path.read_bytes() == before


async def test_file_that_is_no_database_exits_69(env: CrashEnv):
    """It is not overwritten."""
    path = env.folder / "data" / "bot.db"
    path.parent.mkdir()
    path.write_text("not a database, though long enough to be looked at as one " * 20)
    code, said = await run(env.folder, env.settings())

    assert code == 69
    assert "DATABASE_URL" in said.splitlines()[-1]


async def test_second_bot_on_one_file_exits_69(env: CrashEnv):
    """The first bot goes on."""
    await env.start_bot()
    code, said = await run(env.folder, env.settings())

    assert code == 69
    assert "another veo-courier already runs" in said.splitlines()[-1]
    assert env.bot.exit_code is None


async def test_migrate_reports_what_it_did(env: CrashEnv):
    """A second run does nothing."""
    first = await run(env.folder, env.settings(), "migrate")
    second = await run(env.folder, env.settings(), "migrate")

    assert first == (0, f"database at schema version {NEWEST} (was 0)\n")
    assert second[0] == 0


async def test_check_tries_every_dependency(env: CrashEnv, brought_up_file: Path):
    """One line per dependency, and no log lines between them."""
    bring_up(env, brought_up_file)
    code, said = await run(env.folder, env.settings(), "check")
    env.expect_check_of_another_address()

    lines = said.splitlines()
    assert code == 0
    assert [line.split(":")[0] for line in lines] == [
        f"ok    veo-courier {VERSION}",
        "ok    settings",
        "ok    data folder",
        "ok    disk",
        "ok    database",
        "ok    Discord",
        "ok    video API",
        "ok    ffmpeg",
        "ok    names",
    ]
    assert f"ok    database: schema version {NEWEST}, can be written" in lines
    assert "in 1 servers; to invite it: https://discord.com/oauth2/authorize?client_id=" in said
    assert said.count("&permissions=274879056896") == 1


async def test_check_changes_nothing(env: CrashEnv):
    """Neither before the first start nor beside a stopped bot."""
    data = env.folder / "data"
    assert (await run(env.folder, env.settings(), "check"))[0] == 0
    assert not data.exists()
    await run(env.folder, env.settings(), "migrate")
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}

    assert (await run(env.folder, env.settings(), "check"))[0] == 0
    env.api.surprises.clear()
    assert {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()} == before


async def test_check_reports_misspelt_variables(env: CrashEnv):
    """They would be ignored silently."""
    code, said = await run(env.folder, env.settings() | {"POLL_INTERVALL": "60"}, "check")
    env.expect_check_of_another_address()

    assert code == 0
    assert (
        "LOOK  settings: in the environment, POLL_INTERVALL is not a setting: did you mean POLL_INTERVAL?\n"
        in said
    )


@pytest.mark.parametrize("terminal", [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "PYTHONUTF8": "0"}])
async def test_check_replaces_characters_that_the_terminal_cannot_show(
    env: CrashEnv, terminal: dict[str, str]
):
    """The API refuses in Chinese."""
    refusal = {"error": {"message": "\u65e0\u6548\u7684\u4ee4\u724c", "code": 401}}
    env.api.faults.add(Fault("GET *", status=401, body=refusal, times=None))
    code, said = await run(env.folder, env.settings() | terminal, "check")
    env.api.surprises.clear()

    assert code == 69
    assert "FAIL  video API: refuses VEO_API_KEY" in said
    assert "ok    names" in said
    assert "Traceback" not in said


async def test_check_reports_an_address_with_only_404(env: CrashEnv):
    """Every path gets the same reply, so no id can be known there."""
    env.api.faults.add(Fault("GET *", status=404, body={"detail": "Not Found"}, times=None))
    code, said = await run(env.folder, env.settings(), "check")

    assert code == 69
    assert f"FAIL  video API: {env.api.url} answers 404 at every address" in said
    assert "perhaps VEO_API_URL is wrong" in said


async def test_check_reports_a_wrong_key_and_unreachable_discord(env: CrashEnv):
    code, said = await run(
        env.folder,
        env.settings() | {"VEO_API_KEY": "bad-key", "DISCORD_API_URL": "http://127.0.0.1:9"},
        "check",
    )
    env.api.surprises.clear()

    assert code == 69
    assert "FAIL  Discord: Discord cannot be reached at http://127.0.0.1:9 (connection refused)\n" in said
    assert not re.search(r"[A-Z][a-z]+Error", said)
    assert "FAIL  video API: refuses VEO_API_KEY" in said
    assert "bad-key" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_during_an_upload_finishes_it_and_exits_0(env: CrashEnv, number: signal.Signals):
    """The bot takes no new work and finishes the upload."""
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    hold = env.discord.hold("POST /channels/*/messages", point="received")
    await hold.reached()
    signal_sent = asyncio.get_running_loop().time()
    os.kill(env.bot.pid, number)
    await wait_for_line(env, "stopping")
    hold.release()
    code = await env.bot.ended()

    assert code == 0
    assert asyncio.get_running_loop().time() - signal_sent < 15
    assert len(env.results()) == 1
    assert env.results()[0].attachments


async def wait_for_line(env: CrashEnv, text: str) -> None:
    await eventually(lambda: text in env.bot.output())


async def test_idle_bot_stops_without_waiting(env: CrashEnv):
    await env.start_bot()
    began = asyncio.get_running_loop().time()
    code = await env.bot.stop()

    assert code == 0
    # With work in progress the bot would wait for up to 20 s.
    assert asyncio.get_running_loop().time() - began < 15


async def test_api_that_is_down_at_start_does_not_stop_the_bot(env: CrashEnv):
    """Commands are answered and due results posted; polls go on until the API answers."""
    env.api.create(ID).complete()
    env.api.faults.add(Fault("GET /v1/result/*", status=503, body="", times=2))
    await env.start_bot()
    await env.track(ID)

    assert await env.settled(ID)
    lines = [line for line in env.bot.output().splitlines() if "WARNING" in line]
    assert len([line for line in lines if "the video API gives no usable answer" in line]) == 1
