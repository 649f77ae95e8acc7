"""An HTTP server on loopback that runs while its `async with` is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"


class LoopbackServer:
    """Serves an aiohttp application in the caller's event loop. Port 0 takes a free one.

    When it closes, requests that are still running are cancelled after `shutdown_timeout` seconds.
    """

    def __init__(self, application: web.Application, port: int, *, shutdown_timeout: float = 1.0) -> None:
        self.port = port
        """The port that was asked for; the real one once the server is open."""
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=shutdown_timeout)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await self._listen()
        self.port = int(self._runner.addresses[-1][1])
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop serving; a second call does nothing more."""
        await self._closing()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The address without a path, as VEO_API_URL takes it."""
        return f"http://{LOOPBACK}:{self.port}"

    async def _listen(self) -> None:
        """Bind `self.port`. Raises OSError if it is in use."""
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()

    async def _opened(self) -> None:
        """Called when the port is known, before the `async with` block begins."""

    async def _closing(self) -> None:
        """Called while the server still accepts connections."""
