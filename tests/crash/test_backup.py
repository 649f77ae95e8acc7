"""`python -m bot backup`: a copy made beside a running bot is complete, and a bot can run on it."""

import shutil
from pathlib import Path

import pytest

from bot.cli import backup
from bot.core.errors import SettingsWrong
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


async def refused(env: CrashEnv, destination: Path) -> str:
    """The refusal to copy the running bot's database there. In this process: starting one takes a second."""
    with pytest.raises(SettingsWrong) as refusal:
        await backup.run(env.read_settings(), destination)
    [problem] = refusal.value.problems
    return problem


async def test_bot_goes_on_from_a_backup(env: CrashEnv):
    """The copy includes the write-ahead log of the running bot."""
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


async def test_existing_file_is_not_replaced(env: CrashEnv):
    """It may be the only good copy; no partial file is left either."""
    folder = env.folder / "copies"
    folder.mkdir()
    (folder / "copy.db").write_text("an older one")
    (folder / "link.db").symlink_to(folder / "copy.db")
    await env.start_bot()

    code, said = await back_up(env, folder / "copy.db")
    problems = [await refused(env, folder / name) for name in ("copy.db", "link.db", "")]

    refusal = "exists already: nothing is replaced, name a new file"
    assert code == 2
    assert f"{folder / 'copy.db'} {refusal}" in said
    assert all(problem.endswith(refusal) for problem in problems)
    assert sorted(path.name for path in folder.iterdir()) == ["copy.db", "link.db"]
    assert (folder / "copy.db").read_text() == "an older one"


SPELLINGS = {
    "itself": "data/bot.db",
    "its log": "data/bot.db-wal",
    "its shared memory": "data/bot.db-shm",
    "its journal": "data/bot.db-journal",
    "its lock": "data/bot.db.lock",
    "another spelling": "data/../data/./bot.db",
    "a linked folder": "linked/bot.db-journal",
    "a link": "symbolic.db",
    "a link to nothing yet": "dangling.db",
    "a hard link": "hard.db",
}


async def test_own_database_is_never_overwritten(env: CrashEnv):
    """In any spelling of its path. One error line, and the bot goes on."""
    task = env.api.create(ID)
    await env.start_bot()
    data = env.folder / "data"
    (env.folder / "linked").symlink_to(data)
    (env.folder / "symbolic.db").symlink_to(data / "bot.db")
    (env.folder / "dangling.db").symlink_to(data / "bot.db-journal")
    (env.folder / "hard.db").hardlink_to(data / "bot.db")
    await env.track(ID)
    before = {path.name: path.stat().st_ino for path in data.iterdir()}

    refusal = "belongs to the database that is to be copied: name another file"
    code, said = await back_up(env, env.folder / SPELLINGS["a linked folder"])
    assert code == 2
    assert said.splitlines()[-1].endswith(refusal)
    for what, spelling in SPELLINGS.items():
        assert (await refused(env, env.folder / spelling)).endswith(refusal), what
        assert {path.name: path.stat().st_ino for path in data.iterdir()} == before, what

    task.complete()
    assert len(await env.settled(ID)) == 1


async def test_backup_of_a_stopped_bot_leaves_nothing_beside_its_database(env: CrashEnv):
    """A write-ahead log of another user would keep the bot from its database."""
    await env.start_bot()
    await env.bot.stop()
    data = env.folder / "data"
    before = sorted(path.name for path in data.iterdir())

    code, _ = await back_up(env, env.folder / "copy.db")

    assert code == 0
    assert sorted(path.name for path in data.iterdir()) == before


async def test_backup_without_a_database_exits_69(env: CrashEnv):
    """One line, and no empty file that looks like a backup."""
    code, said = await back_up(env, env.folder / "copy.db")

    assert code == 69
    assert "cannot be copied" in said.splitlines()[-1]
    assert not (env.folder / "copy.db").exists()
