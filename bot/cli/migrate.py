"""`python -m bot migrate`: updates the database's schema, as a start does."""

from bot.resources import prepare_files
from bot.settings import Settings
from bot.storage.migrations import migrate
from bot.storage.sqlite_files import exclusive_file_lock
from bot.storage.store import open_database


async def run(settings: Settings) -> int:
    """Update the schema; returns the exit code. Raises DependencyDown, StorageUnavailable."""
    prepare_files(settings)
    with exclusive_file_lock(settings.database):
        database = open_database(settings.database)
        try:
            before, after = await migrate(database)
        finally:
            await database.close()
    print(f"database at schema version {after}" + (f" (was {before})" if before != after else ""))
    return 0
