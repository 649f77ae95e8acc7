"""`python -m bot backup`: a copy made beside a running bot is whole, and a bot goes on from it."""

import shutil
from pathlib import Path

import pytest

from sandbox.bot_process import BotProcess
from tests.crash.conftest import CrashEnv

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"


async def back_up(env: CrashEnv, destination: Path) -> tuple[int, str]:
    log = env.folder / "backup.log"
    log.unlink(missing_ok=True)
    process = BotProcess(env.settings(), log)
    await process.start("backup", str(destination))
    return await process.ended(), process.output()


async def test_bot_goes_on_from_a_backup(env: CrashEnv):
    """What is still in the write-ahead log of the running bot is in the copy."""
    copy = env.folder / "copy.db"
    task = env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    code, said = await back_up(env, copy)
    await env.bot.stop()
    shutil.rmtree(env.folder / "data")
    (env.folder / "data").mkdir()
    shutil.copy(copy, env.folder / "data" / "bot.db")

    await env.start_bot()
    task.complete()
    [result] = await env.settled(ID)

    assert (code, "copied to" in said) == (0, True)
    assert len(result.attachments) == 1


async def test_older_copy_is_replaced_and_nothing_half_is_left(env: CrashEnv):
    folder = env.folder / "copies"
    folder.mkdir()
    (folder / "copy.db").write_text("an older one")
    await env.start_bot()

    code, _ = await back_up(env, folder / "copy.db")

    assert code == 0
    assert [path.name for path in folder.iterdir()] == ["copy.db"]
    assert (folder / "copy.db").read_bytes().startswith(b"SQLite format 3")


async def test_backup_without_a_database_exits_69(env: CrashEnv):
    """One line, and no empty file that looks like a backup."""
    code, said = await back_up(env, env.folder / "copy.db")

    assert code == 69
    assert "cannot be copied" in said.splitlines()[-1]
    assert not (env.folder / "copy.db").exists()
