"""Names are looked up in separate threads, with a time limit, and each name once at a time."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bot.veo.look_up import SystemResolver
from sandbox.patience import PATIENCE


class NameServer:
    """Answers when `go` is set; until then it blocks the calling thread, as getaddrinfo does."""

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


async def test_addresses_are_those_of_getaddrinfo_in_its_order(server: NameServer):
    server.go.set()
    found = await SystemResolver(getaddrinfo=server.getaddrinfo).resolve("cdn.example", 443)
    assert [(result["host"], result["port"], result["family"]) for result in found] == [
        ("192.0.2.1", 443, socket.AF_INET),
        ("2001:db8::1", 443, socket.AF_INET6),
    ]


async def test_real_getaddrinfo_resolves_localhost():
    found = await SystemResolver().resolve("localhost", 80)
    assert {result["host"] for result in found} <= {"127.0.0.1", "::1"}


async def test_unknown_name_raises_the_systems_error_for_every_waiter(server: NameServer):
    resolver = SystemResolver(getaddrinfo=server.getaddrinfo)
    jobs = [asyncio.create_task(resolver.resolve("unknown.example")) for _ in range(2)]
    await asyncio.to_thread(server.began.acquire)
    server.go.set()
    for found in await asyncio.gather(*jobs, return_exceptions=True):
        assert isinstance(found, socket.gaierror)
    assert server.asked == ["unknown.example"]


async def test_look_up_that_hangs_times_out_for_its_waiters(server: NameServer):
    """Its thread goes on, and a later look-up of the same name waits for that thread."""
    resolver = SystemResolver(timeout=0.05, getaddrinfo=server.getaddrinfo)
    for _ in range(3):
        with pytest.raises(socket.gaierror, match=r"no answer within 0\.05 s"):
            await resolver.resolve("hangs.example")
    await asyncio.to_thread(server.began.acquire)
    assert server.asked == ["hangs.example"]


async def test_look_up_beyond_the_limit_of_threads_is_refused_at_once(server: NameServer):
    """It succeeds again when a thread has ended."""
    resolver = SystemResolver(limit=2, getaddrinfo=server.getaddrinfo)
    jobs = [asyncio.create_task(resolver.resolve(f"{name}.example")) for name in "ab"]
    await asyncio.to_thread(server.began.acquire)
    await asyncio.to_thread(server.began.acquire)
    with pytest.raises(socket.gaierror, match="2 names are being looked up"):
        await resolver.resolve("c.example")
    server.go.set()
    await asyncio.gather(*jobs)
    assert await resolver.resolve("c.example")


async def test_cancelled_waiter_does_not_affect_the_others(server: NameServer):
    """For example two downloads from one host."""
    resolver = SystemResolver(getaddrinfo=server.getaddrinfo)
    one, other = (asyncio.create_task(resolver.resolve("cdn.example")) for _ in range(2))
    await asyncio.to_thread(server.began.acquire)
    one.cancel()
    server.go.set()
    assert len(await other) == 2
    with pytest.raises(asyncio.CancelledError):
        await one


def test_loop_may_end_before_the_look_up(server: NameServer):
    """The process does not wait for a name server when it ends."""

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
