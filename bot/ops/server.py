"""`/healthz` and `/metrics` over HTTP, for whatever watches the process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bot.core.clock import Clock
from bot.core.errors import DependencyDown, StorageUnavailable
from bot.ops.health import Health
from bot.ops.metrics import exposition
from bot.storage.diagnosis import Diagnosis


class _Pages:
    def __init__(
        self, health: Health, diagnosis: Diagnosis, clock: Clock, gateway_is_up: Callable[[], bool] | None
    ) -> None:
        self._health = health
        self._diagnosis = diagnosis
        self._clock = clock
        self._gateway_is_up = gateway_is_up

    async def healthz(self, _: web.Request) -> web.Response:
        problems = await self._health.problems()
        return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        try:
            text = await exposition(
                self._diagnosis, self._clock, gateway_is_up=self._gateway_is_up and self._gateway_is_up()
            )
        except StorageUnavailable as error:
            return web.Response(text=f"{error}\n", status=503)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def open_server(
    port: int, health: Health, diagnosis: Diagnosis, clock: Clock, gateway_is_up: Callable[[], bool] | None
) -> AsyncIterator[None]:
    """On every interface: in a container, nobody else could ask. Raises DependencyDown for a port in use."""
    pages = _Pages(health, diagnosis, clock, gateway_is_up)
    application = web.Application()
    application.add_routes([web.get("/healthz", pages.healthz), web.get("/metrics", pages.metrics)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await _listen(runner, port)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, port=port).start()
    except OSError as error:
        raise DependencyDown(f"HTTP_PORT: {port} cannot be opened ({error.strerror})") from error
