"""Looks up names with the system's resolver, in separate threads.

A look-up cannot be cancelled. One that hangs keeps its thread until the system gives up. In asyncio's
executor the disk and the uploads would wait for that thread. These threads are daemons, so that the end of
the process does not wait for them either.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from bot.aio import retrieve_exception

LOOK_UP_TIMEOUT: Final = 15.0
_MAX_LOOK_UPS: Final = 32

_Key = tuple[str, int, socket.AddressFamily]
_Found = list[tuple[Any, ...]]


class SystemResolver(AbstractResolver):
    """Resolves names in one thread per name; requests for a name that is being looked up share its thread.

    Raises socket.gaierror when the system finds no address, after `timeout` seconds, and when `limit` names
    are being looked up already.
    """

    def __init__(
        self,
        *,
        timeout: float = LOOK_UP_TIMEOUT,
        limit: int = _MAX_LOOK_UPS,
        getaddrinfo: Callable[..., _Found] = socket.getaddrinfo,
    ) -> None:
        self._timeout = timeout
        self._limit = limit
        self._getaddrinfo = getaddrinfo
        self._running: dict[_Key, asyncio.Future[_Found]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up. aiohttp calls it for each new connection."""
        key = (host, port, family)
        job = self._running.get(key) or self._start_look_up(key)
        try:
            async with asyncio.timeout(self._timeout):
                found = await asyncio.shield(job)
        except TimeoutError as error:
            raise _temporary_failure(f"no answer within {self._timeout:g} s") from error
        return [_result(host, port, entry) for entry in found]

    async def close(self) -> None:
        """Do nothing, because a thread that still hangs does not keep the process."""

    def _start_look_up(self, key: _Key) -> "asyncio.Future[_Found]":
        if len(self._running) >= self._limit:
            raise _temporary_failure(f"{self._limit} names are being looked up already")
        job: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        self._running[key] = job
        job.add_done_callback(lambda done: self._end_look_up(key, done))
        threading.Thread(target=self._look_up, args=(key, job), name="name look-up", daemon=True).start()
        return job

    def _end_look_up(self, key: _Key, job: "asyncio.Future[_Found]") -> None:
        del self._running[key]
        retrieve_exception(job)

    def _look_up(self, key: _Key, job: "asyncio.Future[_Found]") -> None:
        """Look the name up, in the thread. The loop may have ended before the thread does."""
        host, port, family = key
        found: _Found | Exception
        try:
            found = self._getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except Exception as error:  # raised again in `resolve`
            found = error
        with contextlib.suppress(RuntimeError):
            job.get_loop().call_soon_threadsafe(_set_outcome, job, found)


def _set_outcome(job: "asyncio.Future[_Found]", found: _Found | Exception) -> None:
    if job.done():
        return
    if isinstance(found, Exception):
        job.set_exception(found)
    else:
        job.set_result(found)


def _result(host: str, port: int, entry: tuple[Any, ...]) -> ResolveResult:
    family, _, proto, _, address = entry
    return ResolveResult(
        hostname=host,
        host=address[0],
        port=port,
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def _temporary_failure(reason: str) -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, reason)
