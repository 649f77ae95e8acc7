"""An HTTP server that costs the bot little, whoever connects: few connections, and none of them for long."""

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

# More than any monitoring needs, and few beside the files that polls and downloads open.
MAX_CONNECTIONS = 64
_BACKLOG = 128
_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# Seconds in which a request must be there whole, the first as well as the next on the same connection.
_ASKING = 10.0
# Seconds that its answer may take, and the reading of it.
_ANSWERING = 30.0
# Seconds that are left to them when the process stops.
_LAST_ANSWERS = 1.0
# Seconds before the next try when the process has no file left, and before the log says so again.
_NO_FILE_PAUSE = 1.0
_TELL_AGAIN = 60.0


class BoundedServer(web.Server):
    """Serves `pages` by their path, to at most `MAX_CONNECTIONS` at once.

    One more closes the connection that has been quiet for longest: whoever holds sixty of them keeps out
    nobody who has a question.
    """

    def __init__(
        self, pages: Mapping[str, Page], *, asking: float = _ASKING, answering: float = _ANSWERING
    ) -> None:
        # aiohttp closes a connection that is silent, or sends a request in drops, after the first of these.
        super().__init__(self._answer, keepalive_timeout=asking, lingering_time=1.0, access_log=None)
        self._pages = pages
        self._answering = answering
        # Those that were quiet for longest come first.
        self._open: dict[web.RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take the connection; at the limit another one gives way."""
        super().connection_made(handler, transport)
        if len(self._open) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._open)))
        self._allow(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        self._forget(handler)
        super().connection_lost(handler, exc)

    def _allow(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Let it live until its question is answered and the answer is read."""
        self._forget(handler)
        end = asyncio.get_running_loop().call_later(self._answering, self._drop, handler)
        self._open[handler] = transport, end

    def _drop(self, handler: web.RequestHandler) -> None:
        if (transport := self._forget(handler)) is not None:
            transport.abort()

    def _forget(self, handler: web.RequestHandler) -> asyncio.Transport | None:
        transport, end = self._open.pop(handler, (None, None))
        if end is not None:
            end.cancel()
        return transport

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            self._allow(request.protocol, request.transport)
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
            await server.shutdown(_LAST_ANSWERS)


async def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host`: `localhost` often has two, of which this machine may lack one."""
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
    """Take one connection after the other.

    asyncio's own server tries again a hundredfold each second, with a traceback each time, once the process
    has no file left (Python 3.11).
    """
    loop, told = asyncio.get_running_loop(), -_TELL_AGAIN
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
            await loop.connect_accepted_socket(server, connection)
        except ConnectionError:
            continue  # it has gone already
        except OSError as error:
            if loop.time() - told >= _TELL_AGAIN:
                told = loop.time()
                logger.warning("HTTP_PORT takes no connection for now: %s", error.strerror or error)
            await asyncio.sleep(_NO_FILE_PAUSE)
