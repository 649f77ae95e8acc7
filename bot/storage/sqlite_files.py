"""The files of a SQLite database: their paths, the lock that keeps a second bot away, and our rights."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bot.core.database_url import SQLITE_PREFIX
from bot.core.errors import DependencyDown

_LOCK: Final = ".lock"
# What SQLite keeps beside the file, and our lock.
_BESIDE: Final = ("-wal", "-shm", "-journal", _LOCK)


def sqlite_path(url: str) -> Path:
    """Return the file of a sqlite:/// address. Raises ValueError for a `~` of an unknown home folder."""
    path = Path(url.removeprefix(SQLITE_PREFIX))
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: that home folder is not known") from error


def own_files(path: Path) -> list[Path]:
    """Return the database file and all files that may lie beside it."""
    return [path, *(path.with_name(path.name + ending) for ending in _BESIDE)]


def read_only_address(path: Path) -> str:
    """Return the address by which SQLite opens the file without changing or making any.

    Without a write-ahead log no process has the file open. `immutable` then keeps SQLite from making a log,
    which would belong to the reading user, and the bot could not write it.
    """
    log = path.with_name(f"{path.name}-wal")
    options = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    return f"file:{quote(str(path))}?{options}"


def writable_address(path: Path) -> str:
    """Return the address by which SQLite opens an existing file, for writing if we may write it.

    A reader that made the write-ahead log removes it at its end.
    """
    return f"file:{quote(str(path))}?mode={'rw' if os.access(path, os.W_OK) else 'ro'}"


# -- the lock ------------------------------------------------------------------------------------------


@contextmanager
def exclusive_file_lock(url: str) -> Iterator[None]:
    """Hold the lock file of a SQLite database, because only one bot may use it. Does nothing for PostgreSQL.

    It is a lock of SQLite: it works where the database works, and the operating system drops it when the
    process ends. Raises DependencyDown.
    """
    if not url.startswith(SQLITE_PREFIX):
        yield
        return
    path = sqlite_path(url)
    with closing(_locked(path)):
        yield


def _locked(path: Path) -> sqlite3.Connection:
    """Open a connection that holds the lock until it is closed."""
    lock = path.with_name(path.name + _LOCK)
    try:
        return _exclusive(lock)
    except sqlite3.Error as error:
        raise DependencyDown(_why_not_locked(path, lock, error)) from error


def _exclusive(file: Path) -> sqlite3.Connection:
    """Begin an exclusive transaction on an empty database. Nothing is ever written."""
    connection = sqlite3.connect(file, timeout=0, isolation_level=None)
    try:
        # No journal beside it, because a kill would leave it, perhaps as another user's file.
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("BEGIN EXCLUSIVE")
    except BaseException:
        connection.close()
        raise
    return connection


def _why_not_locked(path: Path, lock: Path, error: sqlite3.Error) -> str:
    if _primary_code(error) == sqlite3.SQLITE_NOTADB:
        return f"DATABASE_URL: {lock} is not a lock of this program: remove it once no bot runs on {path}"
    if not _locks_work_in(path.parent):
        return (
            f"DATABASE_URL: the file system of {path.parent} has no file locks, which SQLite needs: put the "
            "database on a local disk (DATA_DIR, or DATABASE_URL=sqlite:////folder/bot.db), or use PostgreSQL"
        )
    if _primary_code(error) == sqlite3.SQLITE_BUSY:
        return f"another veo-courier already runs on {path}: stop it first"
    return f"DATABASE_URL: {path} cannot be locked ({error}): let the bot's user write {lock}"


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _locks_work_in(folder: Path) -> bool:
    """Whether a new file in the folder can be locked. Without file locks SQLite says "busy" as well."""
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=folder, prefix=".lock-") as private:
        try:
            _exclusive(Path(private) / "probe").close()
        except sqlite3.Error:
            return False
    return True


# -- rights --------------------------------------------------------------------------------------------


def check_rights(url: str) -> None:
    """Raise DependencyDown when a file of the database cannot be written. Does nothing for PostgreSQL.

    Call it before this process opens the database, because closing a file ends the locks of its process.
    """
    if not url.startswith(SQLITE_PREFIX):
        return
    for file in own_files(sqlite_path(url)):
        with contextlib.suppress(FileNotFoundError):
            _check_file(file)


def _check_file(file: Path) -> None:
    """Open the file for writing, because only the system knows what a user may do on a file system."""
    try:
        os.close(os.open(file, os.O_RDWR | getattr(os, "O_NONBLOCK", 0)))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DependencyDown(
            f"DATABASE_URL: {file} cannot be written ({error.strerror}): "
            "it must be a file that the bot's user may read and write"
        ) from error
