"""`python -m bot backup FILE`: copies the whole SQLite database while the bot runs."""

import asyncio
import contextlib
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from bot.core.errors import DependencyDown, SettingsWrong
from bot.settings import Settings
from bot.storage.sqlite_files import own_files, sqlite_path, writable_address


async def run(settings: Settings, destination: Path) -> int:
    """Copy the database to `destination`; returns the exit code.

    The copy is written beside it and renamed, so it is whole or not there. Raises DependencyDown,
    SettingsWrong.
    """
    if settings.on_postgresql:
        raise SettingsWrong(
            ["backup: copies a SQLite file; for PostgreSQL use pg_dump, see docs/operating.md"]
        )
    source = sqlite_path(settings.database)
    return await asyncio.to_thread(_back_up, source, destination)


def _back_up(source: Path, destination: Path) -> int:
    try:
        _check_destination(source, destination)
        size = _copy(source, destination)
    except FileExistsError as error:
        raise SettingsWrong(
            [f"backup: {destination} exists already: nothing is replaced, name a new file"]
        ) from error
    except (OSError, sqlite3.Error) as error:
        raise DependencyDown(f"{source} cannot be copied to {destination}: {error}") from error
    print(f"{source} copied to {destination} ({size:,} bytes)")
    return 0


def _check_destination(source: Path, destination: Path) -> None:
    """Raise SettingsWrong if it is the database itself, in any spelling; FileExistsError if it exists."""
    if any(_is_same(destination, own) for own in own_files(source)):
        raise SettingsWrong(
            [f"backup: {destination} belongs to the database that is to be copied: name another file"]
        )
    if os.path.lexists(destination):
        raise FileExistsError(destination)


def _is_same(one: Path, other: Path) -> bool:
    """Whether both are one file, also through links. A missing file is known by its folder and its name."""
    with contextlib.suppress(FileNotFoundError):
        return one.samefile(other)
    real_one, real_other = Path(os.path.realpath(one)), Path(os.path.realpath(other))
    if real_one.name.casefold() != real_other.name.casefold():
        return False
    with contextlib.suppress(FileNotFoundError):
        return real_one.parent.samefile(real_other.parent)
    return False


def _copy(source: Path, destination: Path) -> int:
    """Copy by SQLite's online backup, because a copy of the file would miss its write-ahead log."""
    part = destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.part")
    try:
        with (
            closing(sqlite3.connect(writable_address(source), uri=True)) as original,
            closing(sqlite3.connect(part)) as copy,
        ):
            original.backup(copy)
            [(verdict,)] = copy.execute("PRAGMA integrity_check")
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")
        _publish(part, destination)
    finally:
        part.unlink(missing_ok=True)
    return destination.stat().st_size


def _publish(part: Path, destination: Path) -> None:
    """Give the copy its final name. Raises FileExistsError when a file has appeared there meanwhile."""
    try:
        destination.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(destination):
            raise FileExistsError(destination) from None
        part.replace(destination)
