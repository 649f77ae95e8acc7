"""`python -m bot backup`: a copy made beside a running bot is whole, and a bot goes on from it."""

import shutil
from pathlib import Path

import pytest

from sandbox.bot_process import BotProcess
from tests.crash.conftest import Theatre

pytestmark = [pytest.mark.crash, pytest.mark.timeout(90)]

ID = "vgen_abc123def456"


async def back_up(theatre: Theatre, destination: Path) -> tuple[int, str]:
    log = theatre.folder / "backup.log"
    log.unlink(missing_ok=True)
    process = BotProcess(theatre.settings(), log)
    await process.start("backup", str(destination))
    return await process.ended(), process.output()


async def test_bot_goes_on_from_a_backup(theatre: Theatre):
    """What is still in the write-ahead log of the running bot is in the copy."""
    copy = theatre.folder / "copy.db"
    task = theatre.api.create(ID)
    await theatre.start_bot()
    await theatre.track(ID)
    code, said = await back_up(theatre, copy)
    await theatre.bot.stop()
    shutil.rmtree(theatre.folder / "data")
    (theatre.folder / "data").mkdir()
    shutil.copy(copy, theatre.folder / "data" / "bot.db")

    await theatre.start_bot()
    task.complete()
    [result] = await theatre.settled(ID)

    assert (code, "copied to" in said) == (0, True)
    assert len(result.attachments) == 1


async def test_older_copy_is_replaced_and_nothing_half_is_left(theatre: Theatre):
    folder = theatre.folder / "copies"
    folder.mkdir()
    (folder / "copy.db").write_text("an older one")
    await theatre.start_bot()

    code, _ = await back_up(theatre, folder / "copy.db")

    assert code == 0
    assert [path.name for path in folder.iterdir()] == ["copy.db"]
    assert (folder / "copy.db").read_bytes().startswith(b"SQLite format 3")


async def test_backup_without_a_database_exits_69(theatre: Theatre):
    """One line, and no empty file that looks like a backup."""
    code, said = await back_up(theatre, theatre.folder / "copy.db")

    assert code == 69
    assert "cannot be copied" in said.splitlines()[-1]
    assert not (theatre.folder / "copy.db").exists()
