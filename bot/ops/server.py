"""`/healthz` and `/metrics` over HTTP, for what watches the process; and how late the event loop is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.aio import cancel_all
from bot.core.clock import Clock
from bot.core.errors import DependencyDown, StorageUnavailable
from bot.metrics import Metrics
from bot.ops.gauges import gauges
from bot.ops.health import health_problems
from bot.storage.store import Store

# Seconds. Costs nothing, and notices every block of half a second.
_LAG_INTERVAL = 0.5


class _Pages:
    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        interval: int,
        gateway_is_up: Callable[[], bool] | None,
        polls: bool,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._interval = interval
        self._gateway_is_up = gateway_is_up
        self._polls = polls

    async def healthz(self, _: web.Request) -> web.Response:
        problems = await health_problems(
            self._store,
            self._clock,
            interval=self._interval,
            gateway_is_up=self._gateway_is_up is None or self._gateway_is_up(),
            polls=self._polls,
        )
        return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        is_up = None if self._gateway_is_up is None else self._gateway_is_up()
        try:
            read = await gauges(self._store.diagnosis, self._clock, gateway_is_up=is_up)
        except StorageUnavailable as error:
            return web.Response(text=f"{error}\n", status=503)
        counted = generate_latest(self._metrics.registry)
        return web.Response(body=read + counted, headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def open_server(
    port: int,
    store: Store,
    metrics: Metrics,
    clock: Clock,
    *,
    interval: int,
    gateway_is_up: Callable[[], bool] | None,
    polls: bool,
) -> AsyncIterator[None]:
    """Listen on every interface, because in a container no other would be reached.

    `interval` is POLL_INTERVAL in ms; `gateway_is_up` is None for a process without a gateway; `polls` as in
    health.py. Raises DependencyDown for a port in use.
    """
    pages = _Pages(store, metrics, clock, interval, gateway_is_up, polls)
    application = web.Application()
    application.add_routes([web.get("/healthz", pages.healthz), web.get("/metrics", pages.metrics)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await _listen(runner, port)
        async with lag_measured(metrics.lagged):
            yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, port=port).start()
    except OSError as error:
        raise DependencyDown(f"HTTP_PORT: {port} cannot be opened ({error.strerror})") from error


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
