"""A fast video API that answers every poll with "processing".

It does only what HTTP/1.1 requires, because it shares the cores with what is measured. `python -m
bench.video_api` serves until SIGTERM. The complete stand-in is in sandbox/video_api.
"""

import asyncio
import contextlib
import json
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

from bot.process import raise_file_limit

KEY = "bench-key"
_POLL = re.compile(rb"GET /v1/result/(\S+) HTTP/1\.1\r\n")
_AUTHORIZED = f"Authorization: Bearer {KEY}\r\n".encode()
_REPLY = {
    "object": "video",
    "created": int(time.time()),
    "model": "veo_3_1_fast",
    "status": "processing",
    "video_url": None,
    "error": None,
}
_HEAD = (
    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Date: " + formatdate(usegmt=True).encode() + b"\r\nServer: bench\r\n\r\n%s"
)

Callback = Callable[[str], None]


def _ignore(_task_id: str) -> None:
    """Ignore the task's id."""


class FastVideoApi:
    """Answers each poll after `delay` seconds. Both callbacks get the task's id."""

    def __init__(
        self, *, delay: float = 0, on_poll: Callback = _ignore, on_answer: Callback = _ignore
    ) -> None:
        self.url = ""
        self._delay = delay
        self._on_poll = on_poll
        self._on_answer = on_answer
        self._waiting: deque[tuple[float, _Connection, str]] = deque()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve, and give the address as VEO_API_URL takes it."""
        loop = asyncio.get_running_loop()
        raise_file_limit()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", backlog=4096)
        try:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self.url
        finally:
            server.close()

    def receive(self, connection: "_Connection", task_id: str) -> None:
        self._on_poll(task_id)
        if not self._delay:
            self._answer(connection, task_id)
            return
        loop = asyncio.get_running_loop()
        # The delay is the same for all, so they are answered in the order of arrival: one timer is enough.
        self._waiting.append((loop.time() + self._delay, connection, task_id))
        if len(self._waiting) == 1:
            loop.call_later(self._delay, self._answer_due)

    def _answer_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][0] <= loop.time():
            _, connection, task_id = self._waiting.popleft()
            self._answer(connection, task_id)
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._answer_due)

    def _answer(self, connection: "_Connection", task_id: str) -> None:
        self._on_answer(task_id)
        connection.send(b"200 OK", {"id": task_id} | _REPLY)


class _Connection(asyncio.Protocol):
    """One client connection, with one request at a time (no pipelining)."""

    def __init__(self, api: FastVideoApi) -> None:
        self._api = api
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        request, self._received = self._received, b""
        found = _POLL.match(request)
        if found is None:
            self.send(b"404 Not Found", {"status": 404, "error": "Not Found"})
        elif _AUTHORIZED not in request:
            self.send(b"200 OK", {"code": "204", "msg": "wrong key"})
        else:
            self._api.receive(self, found[1].decode())

    def send(self, status: bytes, reply: dict[str, object]) -> None:
        assert self._transport is not None
        body = json.dumps(reply).encode()
        self._transport.write(_HEAD % (status, len(body), body))


@asynccontextmanager
async def video_api_process() -> AsyncIterator[str]:
    """Run this API as a separate process, and give its address."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.video_api", stdout=PIPE)
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def _serve() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FastVideoApi().serving() as url:
        print(url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
