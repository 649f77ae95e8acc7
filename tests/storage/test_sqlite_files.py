"""The files of a SQLite database: the lock, permissions, and reading without changing a file."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.core.errors import DependencyDown, StorageUnavailable
from bot.storage.migrations import NEWEST, migrate, schema_version
from bot.storage.sqlite_files import check_rights, exclusive_file_lock, own_files, sqlite_path
from bot.storage.store import open_database
from tests.system_calls import FCNTL, FLOCK, LOCKS, ON_LINUX, in_child, refuse_calls


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def lock(path: Path) -> str:
    with exclusive_file_lock(f"sqlite:///{path}"):
        return "locked"


# -- the lock ------------------------------------------------------------------------------------------


def test_second_bot_on_one_file_is_refused(path: Path):
    """In the same process and in another."""
    with exclusive_file_lock(f"sqlite:///{path}"):
        with pytest.raises(DependencyDown, match=r"already runs on .*bot\.db: stop it first"):
            lock(path)
        assert "another veo-courier already runs" in in_child(lambda: lock(path))

    assert lock(path) == "locked"


def test_lock_ends_with_a_killed_process(path: Path):
    """It leaves no file that the next process, perhaps of another user, cannot open."""
    script = (
        "import sys, time; from bot.storage.sqlite_files import exclusive_file_lock\n"
        "with exclusive_file_lock(sys.argv[1]): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, f"sqlite:///{path}"], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert "another veo-courier already runs" in in_child(lambda: lock(path))
        holder.send_signal(signal.SIGKILL)

    assert names(path.parent) == ["bot.db.lock"]
    assert lock(path) == "locked"


def test_postgresql_needs_no_lock_file(tmp_path: Path):
    with exclusive_file_lock("postgresql://h/name"):
        check_rights("postgresql://h/name")

    assert names(tmp_path) == []


@ON_LINUX
@pytest.mark.parametrize("failure", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES])
def test_system_without_flock_uses_sqlites_lock(path: Path, failure: int):
    """A second bot is still refused."""

    def twice() -> str:
        refuse_calls(FLOCK, failure)
        with exclusive_file_lock(f"sqlite:///{path}"):
            return in_child(lambda: lock(path))

    assert "another veo-courier already runs" in in_child(twice)
    assert lock(path) == "locked"


@ON_LINUX
@pytest.mark.parametrize(
    "failure", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EINVAL]
)
def test_file_system_without_locks_is_reported(path: Path, failure: int):
    """SQLite reports some of these errors as "busy"; the message must not claim that another bot runs."""

    def refused() -> str:
        refuse_calls(FCNTL, failure, LOCKS)
        return lock(path)

    said = in_child(refused)

    assert said.startswith("DependencyDown: DATABASE_URL: the file system of ")
    assert "has no file locks" in said
    assert "put the database on a local disk" in said
    assert names(path.parent) == ["bot.db.lock"]


def test_lock_file_of_another_program_is_reported(path: Path):
    """For example of an older version on a system without flock."""
    path.with_name("bot.db.lock").write_text("4711\nhost\n")

    with pytest.raises(DependencyDown, match=r"bot\.db\.lock is not a lock of this program: remove it once"):
        lock(path)


# -- permissions ---------------------------------------------------------------------------------------


def as_nobody(work: Callable[[], object]) -> str:
    """Run `work` as a user who owns nothing here."""

    def run() -> object:
        os.setgid(65534)
        os.setuid(65534)
        return work()

    return in_child(run)


AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can change users"
)


@AS_ROOT
@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal", ".lock"])
def test_file_of_another_user_is_reported(path: Path, ending: str):
    """Otherwise the first write would fail, after a command was accepted."""
    open_to_all(path.parent)
    file = path.with_name(path.name + ending)
    file.touch(mode=0o644)

    said = as_nobody(lambda: check_rights(f"sqlite:///{path}"))

    assert said == (
        f"DependencyDown: DATABASE_URL: {file} cannot be written (Permission denied): "
        "it must be a file that the bot's user may read and write"
    )


@AS_ROOT
def test_files_of_the_own_user_are_fine(path: Path):
    open_to_all(path.parent)
    for file in own_files(path):
        file.touch()
        file.chmod(0o666)

    assert as_nobody(lambda: check_rights(f"sqlite:///{path}")) == "None"


def open_to_all(folder: Path) -> None:
    """Let other users into pytest's folders."""
    for each in (folder, *folder.parents[:3]):
        each.chmod(each.stat().st_mode | 0o777)


def test_folder_in_place_of_the_file_is_reported(path: Path):
    path.mkdir()

    with pytest.raises(DependencyDown, match=r"bot\.db cannot be written \(Is a directory\)"):
        check_rights(f"sqlite:///{path}")


def test_missing_database_passes_the_permission_check(path: Path):
    check_rights(f"sqlite:///{path}")

    assert names(path.parent) == []


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert sqlite_path("sqlite:///~/bot.db") == tmp_path / "bot.db"
    with pytest.raises(ValueError, match="that home folder is not known"):
        sqlite_path("sqlite:///~nobody-of-this-name/bot.db")


# -- reading without changes ---------------------------------------------------------------------------


async def bring_up(path: Path) -> None:
    database = open_database(f"sqlite:///{path}")
    await migrate(database)
    await database.close()


def seen(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


async def read_version(path: Path) -> int:
    database = open_database(f"sqlite:///{path}", read_only=True)
    try:
        return await schema_version(database)
    finally:
        await database.close()


async def test_reading_a_stopped_bots_database_leaves_no_file(path: Path):
    """A write-ahead log of another user would keep the bot from its database."""
    await bring_up(path)
    before = seen(path.parent)

    assert await read_version(path) == NEWEST
    assert seen(path.parent) == before
    assert list(before) == ["bot.db"]


async def test_reading_beside_a_bot_includes_its_write_ahead_log(path: Path):
    """And writes nothing into it."""
    await bring_up(path)
    with closing(sqlite3.connect(path)) as bot:
        bot.execute("INSERT INTO schema_version VALUES (99)")
        bot.commit()
        before = seen(path.parent)

        assert await read_version(path) == 99
        after = seen(path.parent)

    assert {"bot.db", "bot.db-shm", "bot.db-wal"} == set(before) == set(after)
    assert (after["bot.db"], after["bot.db-wal"]) == (before["bot.db"], before["bot.db-wal"])


async def test_read_only_connection_refuses_writes(path: Path):
    await bring_up(path)
    database = open_database(f"sqlite:///{path}", read_only=True)

    with pytest.raises(StorageUnavailable, match="readonly database"):
        await database.run(lambda c: c.execute(sa.text("INSERT INTO schema_version VALUES (98)")))
    await database.close()


async def test_file_name_with_special_characters_of_a_url_is_opened(tmp_path: Path):
    path = tmp_path / "50% of #1?.db"
    await bring_up(path)

    assert await read_version(path) == NEWEST
