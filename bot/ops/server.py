"""Serves `/healthz`, `/livez` and `/metrics` over HTTP, and measures the event loop's lag."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.aio import cancel_all, retrieve_exception, wait_for_any
from bot.core.errors import StorageUnavailable
from bot.metrics import Metrics
from bot.ops.health import HealthCheck
from bot.ops.http import BoundedServer, serving

Read = TypeVar("Read")

# Seconds. Short enough to notice a block of half a second, and costs nothing.
_LAG_INTERVAL = 0.5
# Seconds that the database has for an answer. Clients of /healthz often wait only ten seconds.
_DATABASE_TIMEOUT = 8.0


class _Shared(Generic[Read]):
    """Shares one read between all requests that come during it, so that many cost no more than one."""

    def __init__(self, read: Callable[[], Awaitable[Read]]) -> None:
        self._read = read
        self._reading: asyncio.Future[Read] | None = None

    async def get(self, timeout: float) -> Read:
        """Return what was read. Raises TimeoutError, and what the read raises; a slow read goes on."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read())
            self._reading.add_done_callback(retrieve_exception)
        if not await wait_for_any(self._reading, timeout=timeout):
            raise TimeoutError
        return self._reading.result()

    async def close(self) -> None:
        if self._reading is not None:
            await cancel_all(self._reading)


class _Pages:
    """The three pages."""

    def __init__(
        self,
        check: HealthCheck,
        gauges: Callable[[], Awaitable[bytes]],
        metrics: Metrics,
        timeout: float,
    ) -> None:
        self._check = check
        self._health = _Shared(check)
        self._gauges = _Shared(gauges)
        self._metrics = metrics
        self._timeout = timeout
        self._no_answer = f"the database has not answered for {timeout:g} s"

    async def livez(self) -> web.Response:
        """Answer that the event loop runs; nothing else is checked."""
        return web.Response(text="ok\n")

    async def healthz(self) -> web.Response:
        try:
            health = await self._health.get(self._timeout)
        except TimeoutError:
            health = self._check.without_database(self._no_answer)
        return web.Response(text=health.text, status=503 if health.problems else 200)

    async def metrics(self) -> web.Response:
        try:
            read = await self._gauges.get(self._timeout)
        except (StorageUnavailable, TimeoutError) as error:
            return web.Response(text=f"{str(error) or self._no_answer}\n", status=503)
        counted = generate_latest(self._metrics.registry)
        return web.Response(body=read + counted, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def close(self) -> None:
        await self._health.close()
        await self._gauges.close()


@asynccontextmanager
async def open_server(
    host: str,
    port: int,
    *,
    check: HealthCheck,
    gauges: Callable[[], Awaitable[bytes]],
    metrics: Metrics,
    timeout: float = _DATABASE_TIMEOUT,
) -> AsyncIterator[None]:
    """Serve the three pages. `timeout` in seconds. Raises DependencyDown for a port in use."""
    pages = _Pages(check, gauges, metrics, timeout)
    server = BoundedServer(
        {"/healthz": pages.healthz, "/livez": pages.livez, "/metrics": pages.metrics},
    )
    try:
        async with serving(server, host, port), lag_measured(metrics.lagged):
            yield
    finally:
        await pages.close()


@asynccontextmanager
async def lag_measured(report: Callable[[float], None]) -> AsyncIterator[None]:
    """Report the event loop's lag in seconds while this is open: a blocked loop delays every answer."""
    measuring = asyncio.create_task(_measure_lag(report), name="event loop lag")
    try:
        yield
    finally:
        await cancel_all(measuring)


async def _measure_lag(report: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_INTERVAL
        await asyncio.sleep(_LAG_INTERVAL)
        report(max(loop.time() - due, 0.0))
