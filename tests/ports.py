"""A port for a server of a test."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port where nothing listens, and that the system gives to nobody else; who names it may listen there.

    A bound socket keeps it; with SO_REUSEADDR, it lets a server bind it as well because it does not listen.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
