"""`python -m bot move`: from one file to PostgreSQL, as an operator does it."""

import pytest

from sandbox.bot_process import BotProcess
from sandbox.postgres import Server
from tests.crash.conftest import CrashEnv

pytestmark = pytest.mark.crash

ID, LATER = "vgen_abc123def456", "vgen_later"


async def move(env: CrashEnv, *addresses: str) -> tuple[int, str]:
    process = BotProcess(env.settings(), env.folder / "move.log")
    await process.start("move", *addresses)
    return await process.ended(), process.output()


async def test_bot_goes_on_in_its_new_database(env: CrashEnv, server: Server, database_url: str):
    """What was posted is not posted again, and what waited arrives."""
    target = server.database()
    env.api.create(ID).complete()
    later = env.api.create(LATER)
    await env.start_bot()
    await env.track(f"{ID} {LATER}")
    [first] = await env.settled(ID)
    while f"/{first.id}" not in await env.listed():
        continue
    refused = await move(env, database_url, target)
    await env.bot.stop()
    moved = await move(env, database_url, target)

    env.bot = BotProcess(env.settings() | {"DATABASE_URL": target}, env.folder / "new.log")
    await env.start_bot()
    later.complete()
    results = await env.settled(ID, LATER)

    assert refused[0] == 69
    assert "another veo-courier already runs" in refused[1]
    assert moved[0] == 0
    assert "2 deliveries\n" in moved[1]
    assert "moved and counted" in moved[1]
    assert results[0] == first
    assert len(results) == 2
    assert (await move(env, database_url, target))[0] == 69


@pytest.mark.parametrize(
    ("source", "target", "code", "said"),
    [
        ("postgresql://h/a", "sqlite:///b", 2, "goes from sqlite:///"),
        ("sqlite:///missing.db", "postgresql://h/a", 69, "there is no file missing.db"),
    ],
)
async def test_move_that_cannot_be_says_why(env: CrashEnv, source: str, target: str, code: int, said: str):
    """Before anything is written."""
    ended, output = await move(env, source, target)

    assert ended == code
    assert said in output


async def test_target_that_is_not_there_exits_69_and_the_file_stays(env: CrashEnv, database_url: str):
    """In words without the password."""
    migrating = BotProcess(env.settings(), env.folder / "migrate.log")
    await migrating.start("migrate")
    assert await migrating.ended() == 0

    code, said = await move(env, database_url, "postgresql://bot:hunter2hunter2@127.0.0.1:1/veo")

    assert code == 69
    assert "PostgreSQL cannot be reached" in said
    assert "hunter2" not in said
