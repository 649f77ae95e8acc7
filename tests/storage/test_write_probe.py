"""Whether a database can be written, on both databases; the probe leaves nothing behind."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from bot.core.errors import StorageUnavailable
from bot.storage.migrations import migrate
from bot.storage.store import open_database
from bot.storage.write_probe import check_writable
from sandbox.postgres import Server


async def tables(url: str) -> dict[str, int]:
    """Each table and its number of rows."""
    database = open_database(url)
    names = await database.run(lambda c: c.run_sync(lambda sync: sa.inspect(sync).get_table_names()))
    counts = {
        name: await database.run(lambda c, n=name: c.scalar(sa.text(f"SELECT count(*) FROM {n}")))  # type: ignore[misc]
        for name in names
    }
    await database.close()
    return counts


@pytest.mark.parametrize("brings_up", [True, False], ids=["with tables", "empty"])
async def test_probe_leaves_no_row_and_no_table(database_url: str, brings_up: bool):
    if brings_up:
        database = open_database(database_url)
        await migrate(database)
        await database.close()
    before = await tables(database_url)

    await check_writable(database_url)

    assert await tables(database_url) == before


async def test_locked_file_cannot_be_written(tmp_path: Path):
    """In the driver's words."""
    path = tmp_path / "bot.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE held (number INTEGER)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnavailable, match="cannot be written: database is locked"):
            await check_writable(f"sqlite:///{path}")


async def test_server_that_refuses_writes_is_reported(server: Server):
    """Without class names in the message."""
    url = server.database()
    server.sql(f"ALTER DATABASE {urlsplit(url).path.strip('/')} SET default_transaction_read_only = on")

    with pytest.raises(StorageUnavailable, match=r"^PostgreSQL takes no writes"):
        await check_writable(url)


async def test_user_without_write_permission_is_reported(server: Server, brought_up: str):
    """A missing permission is not our bug: the operator can grant it."""
    url = server.database(brought_up)
    name = urlsplit(url).path.strip("/")
    server.sql(f"CREATE ROLE reader_{name} LOGIN")
    server.sql(f"ALTER ROLE reader_{name} IN DATABASE {name} SET search_path = pg_catalog")

    with pytest.raises(StorageUnavailable) as raised:
        await check_writable(url.replace("postgres:", f"reader_{name}:"))

    assert "class" not in str(raised.value)
    assert "permission denied" in str(raised.value)
