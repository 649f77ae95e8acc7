"""An empty database of either kind, by its address: what is measured does not know which it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """Both flush every commit to the disk, as they do for operators."""

    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


@asynccontextmanager
async def database(kind: Kind, folder: Path) -> AsyncIterator[str]:
    """Its address, as DATABASE_URL takes it. `folder` is there and holds no other."""
    if kind is Kind.SQLITE:
        yield f"sqlite:///{folder / 'bot.db'}"
        return
    # A wheel of the development environment brings it.
    from sandbox.postgres import postgres

    with postgres(safe=True) as server:
        yield server.database()
