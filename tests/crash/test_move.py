"""`python -m bot move`: from a SQLite file to PostgreSQL, as an operator does it."""

import pytest

from sandbox.bot_process import BotProcess
from sandbox.postgres import Server
from tests.crash.conftest import CrashEnv

pytestmark = pytest.mark.crash

ID, LATER = "vgen_abc123def456", "vgen_later"


async def move(env: CrashEnv, *arguments: str, target: str = "") -> tuple[int, str]:
    """The target address comes from the settings, because other users can read arguments."""
    log = env.folder / "move.log"
    log.unlink(missing_ok=True)
    process = BotProcess(env.settings() | {"DATABASE_URL": target}, log)
    await process.start("move", *arguments)
    return await process.ended(), process.output()


async def start_that_must_end(env: CrashEnv, **settings: str) -> tuple[int, str]:
    """Start a bot that must end at once."""
    log = env.folder / "anew.log"
    log.unlink(missing_ok=True)
    process = BotProcess(env.settings() | settings, log)
    await process.start()
    return await process.ended(), process.output()


async def test_bot_goes_on_in_its_new_database(env: CrashEnv, server: Server, database_url: str):
    """Posted results are not posted again, waiting ones arrive, and no bot starts on the old file."""
    target = server.database()
    env.api.create(ID).complete()
    later = env.api.create(LATER)
    await env.start_bot()
    await env.track(f"{ID} {LATER}")
    [first] = await env.settled(ID)
    while f"/{first.id}" not in await env.listed():
        continue
    refused = await move(env, database_url, target=target)
    await env.bot.stop()
    moved = await move(env, database_url, target=target)
    repeated = await move(env, target=target)
    old = await start_that_must_end(env)

    env.bot = BotProcess(env.settings() | {"DATABASE_URL": target}, env.folder / "new.log")
    await env.start_bot()
    later.complete()
    results = await env.settled(ID, LATER)

    assert refused[0] == 69
    assert "another veo-courier already runs" in refused[1]
    assert moved[0] == repeated[0] == 0
    assert "2 deliveries\n" in moved[1]
    assert "moved and counted" in moved[1]
    assert old[0] == 69
    assert "this database was moved to veo_" in old[1].splitlines()[-1]
    assert old[1].splitlines()[-1].endswith("run: python -m bot move --undo")
    assert results[0] == first
    assert len(results) == 2
    assert (await move(env, database_url, target=target))[0] == 69


async def test_file_that_was_moved_can_be_used_again(env: CrashEnv, server: Server, database_url: str):
    """If the operator allows it. The mark is not in the new database."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    await env.bot.stop()
    target = server.database()
    assert (await move(env, database_url, target=target))[0] == 0

    code, said = await move(env, "--undo")

    assert code == 0
    assert "was moved to veo_" in said
    assert "can be used again" in said
    assert (await move(env, "--undo"))[1].endswith("bot.db: was not moved\n")
    await env.start_bot()
    listed = await env.listed()
    assert "in the queue" in listed
    assert ID[-4:] in listed


@pytest.mark.parametrize(
    ("arguments", "target", "code", "said"),
    [
        (("sqlite:///a.db", "postgresql://u:hunter2@h/a"), "", 2, "the target is DATABASE_URL"),
        (("postgresql://u:hunter2@h/a",), "", 2, "the target is DATABASE_URL"),
        (("sqlite:a.db",), "postgresql://h/a", 2, "'sqlite:a.db' must begin with sqlite:///"),
        (("sqlite:///missing.db",), "postgresql://h/a", 69, "there is no file missing.db"),
    ],
)
async def test_impossible_move_is_refused_with_the_reason(
    env: CrashEnv, arguments: tuple[str, ...], target: str, code: int, said: str
):
    """Before anything is written, and without the password."""
    ended, output = await move(env, *arguments, target=target)

    assert ended == code
    assert said in output
    assert "hunter2" not in output


async def test_unreachable_target_exits_69_and_the_file_stays_usable(env: CrashEnv, database_url: str):
    """The message holds no password; a bot may still start on the file."""
    migrating = BotProcess(env.settings(), env.folder / "migrate.log")
    await migrating.start("migrate")
    assert await migrating.ended() == 0

    code, said = await move(env, target="postgresql://bot:hunter2hunter2@127.0.0.1:1/veo")
    without = await move(env)

    assert code == 69
    assert "PostgreSQL cannot be reached" in said
    assert "hunter2" not in said
    assert without[0] == 2
    assert "DATABASE_URL must be the address to move to" in without[1]
    await env.start_bot()
