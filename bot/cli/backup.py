"""`python -m bot backup FILE`: a whole copy of the SQLite database, while the bot runs."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from bot.core.errors import DependencyDown, SettingsWrong
from bot.settings import Settings
from bot.storage.sqlite import sqlite_path


async def run(settings: Settings, destination: Path) -> int:
    """Writes beside the destination and renames, so that a copy is whole or not there.

    Raises DependencyDown, SettingsWrong.
    """
    if settings.on_postgresql:
        raise SettingsWrong(
            ["backup: copies a SQLite file; for PostgreSQL use pg_dump, see docs/operating.md"]
        )
    source = sqlite_path(settings.database)
    try:
        size = await asyncio.to_thread(_copy, source, destination)
    except (OSError, sqlite3.Error) as error:
        raise DependencyDown(f"{source} cannot be copied to {destination}: {error}") from error
    print(f"{source} copied to {destination} ({size:,} bytes)")
    return 0


def _copy(source: Path, destination: Path) -> int:
    """By SQLite's online backup: copying the file itself would miss what is in its write-ahead log."""
    part = destination.with_name(f"{destination.name}.part")
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(part)) as copy,
        ):
            original.backup(copy)
            [(verdict,)] = copy.execute("PRAGMA integrity_check")
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")
        part.replace(destination)
    finally:
        part.unlink(missing_ok=True)
    return destination.stat().st_size
