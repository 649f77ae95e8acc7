"""An empty database of either kind, given by its address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """The kinds of database. Both flush every commit to the disk, as in operation."""

    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


@asynccontextmanager
async def database(kind: Kind, folder: Path) -> AsyncIterator[str]:
    """Create a database, and give its address as DATABASE_URL takes it. `folder` must hold no other one."""
    if kind is Kind.SQLITE:
        yield f"sqlite:///{folder / 'bot.db'}"
        return
    # Imported here because its wheel belongs to the development environment only.
    from sandbox.postgres import postgres

    with postgres(safe=True) as server:
        yield server.database()
