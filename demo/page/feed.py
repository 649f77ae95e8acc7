"""Keeps every open page up to date over its websocket: first a snapshot, then the changes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

Json = dict[str, Any]
# The connection of a page that is further behind is closed; it reconnects and gets a new snapshot.
_MAX_WAITING = 5000


class PageConnection:
    """One page's websocket. Its own job writes to it, so that a slow page delays nothing else."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, text: str) -> None:
        self._outbox.put_nowait(text if self._outbox.qsize() < _MAX_WAITING else None)

    def close(self) -> None:
        self._outbox.put_nowait(None)

    async def write_queued(self) -> None:
        while (text := await self._outbox.get()) is not None:
            try:
                await self.socket.send_str(text)
            except ConnectionError:
                return
        await self.socket.close()


class Feed:
    """Sends changes to all pages: `sections` are small and sent whole, everything else is sent as events.

    `history` gives the part of a snapshot that is not in the sections.
    """

    def __init__(
        self,
        sections: dict[str, Callable[[], object]],
        events: Callable[[], list[Json]],
        history: Callable[[], Json],
    ) -> None:
        self._sections = sections
        self._events = events
        self._history = history
        self._sent: dict[str, object] = {}
        self._connections: set[PageConnection] = set()
        self._waiting: asyncio.Handle | None = None

    def changed(self) -> None:
        """Something may have changed: compare and send in the next turn of the event loop."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_soon(self._flush)

    def join(self, connection: PageConnection) -> None:
        self._flush()
        sections = {name: read() for name, read in self._sections.items()}
        connection.send(json.dumps({"type": "snapshot", **sections, **self._history()}))
        self._connections.add(connection)

    def leave(self, connection: PageConnection) -> None:
        self._connections.discard(connection)

    def close(self) -> None:
        """Close the connections of all pages."""
        for connection in self._connections:
            connection.close()

    def _flush(self) -> None:
        """Send what has changed since the last call."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        events = self._different_sections() + self._events()
        for event in events:
            text = json.dumps(event)
            for connection in self._connections:
                connection.send(text)

    def _different_sections(self) -> list[Json]:
        different = []
        for name, read in self._sections.items():
            value = read()
            if self._sent.get(name) != value:
                self._sent[name] = value
                different.append({"type": name, name: value})
        return different
