"""Keeps every open page up to date: a snapshot at first, then what changed, over one websocket each."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

Json = dict[str, Any]
# A page that is so far behind gets a new snapshot instead: its connection is closed.
_MOST_WAITING = 5000


class Line:
    """One page's connection, written to by one job so that nobody waits for a slow reader."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, text: str) -> None:
        self._outbox.put_nowait(text if self._outbox.qsize() < _MOST_WAITING else None)

    def hang_up(self) -> None:
        self._outbox.put_nowait(None)

    async def write(self) -> None:
        while (text := await self._outbox.get()) is not None:
            try:
                await self.socket.send_str(text)
            except ConnectionError:
                return
        await self.socket.close()


class Feed:
    """`sections` are small and sent whole when they differ; everything else is sent as events."""

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
        self._lines: set[Line] = set()
        self._waiting: asyncio.Handle | None = None

    def changed(self) -> None:
        """Something may be different; looked at once everything that is happening has happened."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_soon(self._flush)

    def join(self, line: Line) -> None:
        self._flush()
        sections = {name: read() for name, read in self._sections.items()}
        line.send(json.dumps({"type": "snapshot", **sections, **self._history()}))
        self._lines.add(line)

    def leave(self, line: Line) -> None:
        self._lines.discard(line)

    def hang_up(self) -> None:
        for line in self._lines:
            line.hang_up()

    def _flush(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        events = self._different_sections() + self._events()
        for event in events:
            text = json.dumps(event)
            for line in self._lines:
                line.send(text)

    def _different_sections(self) -> list[Json]:
        different = []
        for name, read in self._sections.items():
            value = read()
            if self._sent.get(name) != value:
                self._sent[name] = value
                different.append({"type": name, name: value})
        return different
