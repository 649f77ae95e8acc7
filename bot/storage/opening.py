"""Which database an address means."""

from pathlib import Path

from bot.core.errors import SettingsWrong
from bot.storage.engine import Database
from bot.storage.sqlite import SqliteDatabase


def open_database(url: str) -> Database:
    """Connects to nothing yet. Raises SettingsWrong, also for PostgreSQL without its driver."""
    if url.startswith("sqlite:///"):
        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsWrong(["DATABASE_URL: must begin with sqlite:/// or postgresql://"])
    try:
        # An extra, and some MiB that SQLite has no use for.
        from bot.storage.postgresql import PostgresDatabase
    except ImportError as error:
        raise SettingsWrong(
            ["DATABASE_URL: PostgreSQL needs its driver: pip install 'veo-courier[postgres]'"]
        ) from error
    return PostgresDatabase(url)
