"""`/healthz` and `/metrics` over HTTP, for whatever watches the process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot.core.clock import Clock
from bot.core.errors import DependencyDown, StorageUnavailable
from bot.ops.counters import PrometheusMeter
from bot.ops.health import Health
from bot.ops.lag import lag_measured
from bot.ops.metrics import gauges
from bot.storage.store import Store


class _Pages:
    def __init__(
        self,
        store: Store,
        meter: PrometheusMeter,
        clock: Clock,
        gateway_is_up: Callable[[], bool] | None,
        asks: bool,
    ) -> None:
        self._health = Health(
            gateway_is_up=gateway_is_up,
            asks=asks,
            diagnosis=store.diagnosis,
            facts=store.facts,
            clock=clock,
            interval=store.interval,
        )
        self._diagnosis = store.diagnosis
        self._meter = meter
        self._gateway_is_up = gateway_is_up
        self._clock = clock

    async def healthz(self, _: web.Request) -> web.Response:
        problems = await self._health.problems()
        return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        is_up = None if self._gateway_is_up is None else self._gateway_is_up()
        try:
            read = await gauges(self._diagnosis, self._clock, gateway_is_up=is_up)
        except StorageUnavailable as error:
            return web.Response(text=f"{error}\n", status=503)
        counted = generate_latest(self._meter.registry)
        return web.Response(body=read + counted, headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def open_server(
    port: int,
    store: Store,
    meter: PrometheusMeter,
    clock: Clock,
    *,
    gateway_is_up: Callable[[], bool] | None,
    asks: bool,
) -> AsyncIterator[None]:
    """On every interface: in a container, nobody else could ask. Raises DependencyDown for a port in use.

    `gateway_is_up` and `asks` are what this process's part is, see Health.
    """
    pages = _Pages(store, meter, clock, gateway_is_up, asks)
    application = web.Application()
    application.add_routes([web.get("/healthz", pages.healthz), web.get("/metrics", pages.metrics)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await _listen(runner, port)
        async with lag_measured(meter.lagged):
            yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, port=port).start()
    except OSError as error:
        raise DependencyDown(f"HTTP_PORT: {port} cannot be opened ({error.strerror})") from error
