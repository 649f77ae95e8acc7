"""Names are looked up in threads of their own, each for a bounded time, each name once at a time."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bot.veo.look_up import SystemResolver
from sandbox.patience import PATIENCE


class NameServer:
    """Answers when `go` is set; a thread waits for it in the way that getaddrinfo does."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []
        self.began = threading.Semaphore(0)

    def getaddrinfo(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        self.began.release()
        self.go.wait(PATIENCE)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0)),
        ]


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.go.set()


async def test_addresses_are_those_of_the_system(server: NameServer):
    """All of them, in their order, as aiohttp connects to them."""
    server.go.set()
    found = await SystemResolver(getaddrinfo=server.getaddrinfo).resolve("cdn.example", 443)
    assert [(result["host"], result["port"], result["family"]) for result in found] == [
        ("192.0.2.1", 443, socket.AF_INET),
        ("2001:db8::1", 443, socket.AF_INET6),
    ]


async def test_real_system_knows_localhost():
    """No stand-in for getaddrinfo."""
    found = await SystemResolver().resolve("localhost", 80)
    assert {result["host"] for result in found} <= {"127.0.0.1", "::1"}


async def test_unknown_name_is_the_systems_error(server: NameServer):
    """For everyone who waited for it."""
    resolver = SystemResolver(getaddrinfo=server.getaddrinfo)
    jobs = [asyncio.create_task(resolver.resolve("unknown.example")) for _ in range(2)]
    await asyncio.to_thread(server.began.acquire)
    server.go.set()
    for found in await asyncio.gather(*jobs, return_exceptions=True):
        assert isinstance(found, socket.gaierror)
    assert server.asked == ["unknown.example"]


async def test_look_up_that_hangs_ends_for_who_waits(server: NameServer):
    """Its thread goes on, and who asks for the same name later joins it."""
    resolver = SystemResolver(timeout=0.05, getaddrinfo=server.getaddrinfo)
    for _ in range(3):
        with pytest.raises(socket.gaierror, match=r"no answer within 0\.05 s"):
            await resolver.resolve("hangs.example")
    await asyncio.to_thread(server.began.acquire)
    assert server.asked == ["hangs.example"]


async def test_number_of_look_ups_is_bounded(server: NameServer):
    """Whoever comes when all threads hang is refused at once; when they end, there is room again."""
    resolver = SystemResolver(limit=2, getaddrinfo=server.getaddrinfo)
    jobs = [asyncio.create_task(resolver.resolve(f"{name}.example")) for name in "ab"]
    await asyncio.to_thread(server.began.acquire)
    await asyncio.to_thread(server.began.acquire)
    with pytest.raises(socket.gaierror, match="2 names are being looked up"):
        await resolver.resolve("c.example")
    server.go.set()
    await asyncio.gather(*jobs)
    assert await resolver.resolve("c.example")


async def test_cancelled_waiter_disturbs_no_other(server: NameServer):
    """Two downloads from one host."""
    resolver = SystemResolver(getaddrinfo=server.getaddrinfo)
    one, other = (asyncio.create_task(resolver.resolve("cdn.example")) for _ in range(2))
    await asyncio.to_thread(server.began.acquire)
    one.cancel()
    server.go.set()
    assert len(await other) == 2
    with pytest.raises(asyncio.CancelledError):
        await one


def test_loop_may_end_before_the_look_up(server: NameServer):
    """The end of the process does not wait for a name server."""

    async def ask() -> None:
        resolver = SystemResolver(timeout=0.05, getaddrinfo=server.getaddrinfo)
        with pytest.raises(socket.gaierror):
            await resolver.resolve("hangs.example")

    asyncio.run(ask())
    server.go.set()
    for thread in threading.enumerate():
        if thread.name == "name look-up":
            thread.join(PATIENCE)
            assert not thread.is_alive()
