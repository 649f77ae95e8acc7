"""The HTTP server under misbehaving clients, over real sockets and beyond its connection limit."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.core.errors import DependencyDown
from bot.ops.http import MAX_CONNECTIONS, BoundedServer, serving
from tests.ports import reserved_port
from tests.timing import eventually

BIG = b"x" * (16 * 1024 * 1024)
REQUEST = b"GET /page HTTP/1.1\r\nHost: bot\r\n\r\n"


async def page() -> web.Response:
    return web.Response(text="here\n")


async def big() -> web.Response:
    return web.Response(body=BIG)


@asynccontextmanager
async def open_server(request_timeout: float = 10, response_timeout: float = 30) -> AsyncIterator[int]:
    server = BoundedServer(
        {"/page": page, "/big": big}, request_timeout=request_timeout, response_timeout=response_timeout
    )
    with reserved_port() as port:
        async with serving(server, "127.0.0.1", port):
            yield port


@contextmanager
def many_files() -> Iterator[int]:
    """Raises the file limit, and yields how many connections the test may open (both ends need files)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    yield min(1200, allowed - 400)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connect(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    except BaseException:
        client.close()
        raise
    return client


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the names are needed


async def fetch(port: int, path: str = "/page", method: str = "GET") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
        session.request(method, f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def is_closed(client: socket.socket, within: float = 10) -> bool:
    """Whether the server closes the connection, after any answer. A reset counts as closed."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(within):
        try:
            while await loop.sock_recv(client, 1 << 20):
                continue
        except ConnectionError:
            return True
    return True


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files are counted in /proc")
async def test_idle_connections_are_limited_and_monitoring_is_answered():
    """With 1,200 idle connections."""
    with many_files() as count:
        async with open_server() as port:
            before = open_files()
            clients = [await connect(port) for _ in range(count)]
            try:
                assert await fetch(port) == (200, "here\n")
                await eventually(lambda: open_files() - before - len(clients) <= MAX_CONNECTIONS + 1)
            finally:
                for client in clients:
                    client.close()


async def test_connection_without_a_request_is_closed():
    async with open_server(request_timeout=0.1) as port:
        with await connect(port) as client:
            assert await is_closed(client)


async def test_request_that_arrives_too_slowly_is_closed():
    """A received byte does not restart the time limit."""
    async with open_server(request_timeout=0.3) as port:
        with await connect(port) as client:
            loop = asyncio.get_running_loop()
            closed = asyncio.create_task(is_closed(client))
            await loop.sock_sendall(client, b"GET /page HTTP/1.1\r\nX-Drops: ")
            while not closed.done():
                try:
                    await loop.sock_sendall(client, b"a")
                except ConnectionError:
                    break
                await asyncio.sleep(0.02)
            assert await closed


async def test_connection_is_kept_for_a_second_request_and_then_closed():
    async with open_server(request_timeout=0.3) as port:
        with await connect(port) as client:
            loop = asyncio.get_running_loop()
            for _ in range(2):
                await loop.sock_sendall(client, REQUEST)
                assert b"here" in await loop.sock_recv(client, 4096)
            assert await is_closed(client)


async def test_client_that_does_not_read_the_answer_is_dropped(port: int):
    """Its answer would occupy memory and a file."""
    server = BoundedServer({"/big": big}, response_timeout=0.3)
    async with serving(server, "127.0.0.1", port):
        with await connect(port) as client:
            await asyncio.get_running_loop().sock_sendall(client, REQUEST.replace(b"/page", b"/big"))
            await eventually(lambda: server.requests_count == 1 and not server.connections)
            read = 0
            with contextlib.suppress(ConnectionError):
                while chunk := client.recv(1 << 20):
                    read += len(chunk)
            assert read < len(BIG)


async def test_slow_page_does_not_delay_the_stop(port: int):
    """Its client is disconnected a second later."""
    begun = asyncio.Event()

    async def slow() -> web.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(BoundedServer({"/slow": slow}), "127.0.0.1", port):
        with await connect(port) as client:
            await asyncio.get_running_loop().sock_sendall(client, REQUEST.replace(b"/page", b"/slow"))
            await begun.wait()
            stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 5


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/page", (200, "here\n")),
        ("GET", "/page?verbose=1", (200, "here\n")),
        ("HEAD", "/page", (200, "")),
        ("POST", "/page", (405, "only GET and HEAD\n")),
        ("GET", "/", (404, "there are /page, /big\n")),
        ("GET", "/other", (404, "there are /page, /big\n")),
    ],
)
async def test_requests_are_answered(method: str, path: str, answer: tuple[int, str]):
    async with open_server() as port:
        assert await fetch(port, path, method) == answer


async def test_request_that_is_no_http_logs_nothing(caplog: pytest.LogCaptureFixture):
    """Port scans would fill the log."""
    with caplog.at_level(logging.INFO):
        async with open_server() as port:
            with await connect(port) as client:
                await asyncio.get_running_loop().sock_sendall(client, b"\x16\x03\x01\x02\x00\x01\xff\r\n\r\n")
                assert await is_closed(client)

    assert caplog.records == []


async def test_port_in_use_is_named_with_its_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DependencyDown, match=f"HTTP_PORT: {port} .* HTTP_HOST localhost .*in use"):
            async with serving(BoundedServer({}), "localhost", port):
                pass


async def test_address_of_another_machine_is_refused_with_its_name(port: int):
    with pytest.raises(DependencyDown, match=r"HTTP_HOST 192\.0\.2\.1 .*assign"):
        async with serving(BoundedServer({}), "192.0.2.1", port):
            pass


async def test_port_is_free_after_the_server_has_ended(port: int):
    """The next process can use it at once."""
    for _ in range(2):
        async with serving(BoundedServer({"/page": page}), "localhost", port):
            assert await fetch(port) == (200, "here\n")
    with pytest.raises(ConnectionRefusedError):
        await connect(port)
    assert len(asyncio.all_tasks()) == 1
