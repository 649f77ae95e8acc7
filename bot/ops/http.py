"""An HTTP server that costs the bot little, because it serves few connections, each for a short time."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager

from aiohttp import web

from bot.aio import cancel_all
from bot.core.errors import DependencyDown

logger = logging.getLogger(__name__)
Page = Callable[[], Awaitable[web.Response]]

# More than monitoring needs, and few compared with the files that polls and downloads open.
MAX_CONNECTIONS = 64
_BACKLOG = 128
_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# Seconds in which a request must arrive whole, the first and each next one on a connection.
_REQUEST_TIMEOUT = 10.0
# Seconds in which it must be answered, and the answer be read.
_RESPONSE_TIMEOUT = 30.0
# Seconds that running answers get when the process stops.
_SHUTDOWN_TIMEOUT = 1.0
# Seconds before the next try when the process has no file left, and before that is logged again.
_NO_FILE_PAUSE = 1.0
_LOG_AGAIN_AFTER = 60.0


class BoundedServer(web.Server):
    """Serves `pages` by their path, to at most `MAX_CONNECTIONS` connections at once.

    One more closes the connection that has been quiet for longest, so that a client that holds all of them
    does not keep others out.
    """

    def __init__(
        self,
        pages: Mapping[str, Page],
        *,
        request_timeout: float = _REQUEST_TIMEOUT,
        response_timeout: float = _RESPONSE_TIMEOUT,
    ) -> None:
        # After `keepalive_timeout` aiohttp closes a connection without a whole request.
        super().__init__(
            self._answer_request, keepalive_timeout=request_timeout, lingering_time=1.0, access_log=None
        )
        self._pages = pages
        self._response_timeout = response_timeout
        # The connections that were quiet for longest come first.
        self._open: dict[web.RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Accept the connection; at the limit close the one that has been quiet for longest."""
        super().connection_made(handler, transport)
        if len(self._open) >= MAX_CONNECTIONS:
            self._drop_connection(next(iter(self._open)))
        self._restart_timer(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        self._forget_connection(handler)
        super().connection_lost(handler, exc)

    def _restart_timer(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Give the connection a new timeout, and make it the last that is closed at the limit."""
        self._forget_connection(handler)
        end = asyncio.get_running_loop().call_later(self._response_timeout, self._drop_connection, handler)
        self._open[handler] = transport, end

    def _drop_connection(self, handler: web.RequestHandler) -> None:
        if (transport := self._forget_connection(handler)) is not None:
            transport.abort()

    def _forget_connection(self, handler: web.RequestHandler) -> asyncio.Transport | None:
        transport, end = self._open.pop(handler, (None, None))
        if end is not None:
            end.cancel()
        return transport

    async def _answer_request(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            self._restart_timer(request.protocol, request.transport)
        page = self._pages.get(request.path)
        if page is None:
            return web.Response(text=f"there are {', '.join(self._pages)}\n", status=404)
        if request.method not in ("GET", "HEAD"):
            return web.Response(text="only GET and HEAD\n", status=405, headers={"Allow": "GET, HEAD"})
        return await page()


@asynccontextmanager
async def serving(server: BoundedServer, host: str, port: int) -> AsyncIterator[None]:
    """Listen while this is open. Raises DependencyDown for a port in use or an address that is not ours."""
    with ExitStack() as stack:
        listening = [stack.enter_context(each) for each in await _listen(host, port)]
        accepting = [asyncio.create_task(_accept(each, server), name="http") for each in listening]
        try:
            yield
        finally:
            await cancel_all(*accepting)
            server.pre_shutdown()
            await server.shutdown(_SHUTDOWN_TIMEOUT)


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Open a socket for each address of `host`.

    `localhost` often has two, of which this machine may lack one. Raises DependencyDown.
    """
    opened: list[socket.socket] = []
    errors: list[OSError] = []
    for family, *_, address in await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        try:
            opened.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
            opened[-1].setblocking(False)
        except OSError as error:
            errors.append(error)
    for why in errors:
        if not opened or why.errno not in _MISSING:
            for each in opened:
                each.close()
            raise DependencyDown(
                f"HTTP_PORT: {port} cannot be opened on HTTP_HOST {host} ({os.strerror(why.errno or 0)})"
            ) from why
    return opened


async def _accept(listening: socket.socket, server: BoundedServer) -> None:
    """Accept one connection after the other.

    asyncio's server would retry a hundred times a second, each time with a traceback, when the process has no
    file left (Python 3.11).
    """
    loop, logged_at = asyncio.get_running_loop(), -_LOG_AGAIN_AFTER
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
            await loop.connect_accepted_socket(server, connection)
        except ConnectionError:
            continue  # the client has closed it already
        except OSError as error:
            if loop.time() - logged_at >= _LOG_AGAIN_AFTER:
                logged_at = loop.time()
                logger.warning("HTTP_PORT takes no connection for now: %s", error.strerror or error)
            await asyncio.sleep(_NO_FILE_PAUSE)
