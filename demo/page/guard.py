"""Who may talk to the page: this machine's browser, from the page itself and from nowhere else.

The page has buttons that act, so a foreign site must neither reach it under a name of its own (DNS
rebinding shows in Host) nor from its own pages (which shows in Origin).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
# Text of messages comes from anywhere. Even if it became markup, nothing of it could run or load; with
# trusted types the browser refuses strings as markup altogether.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A developer edits the files and reloads.
    "Cache-Control": "no-cache",
}
# An attachment is somebody else's file: opened as a document of its own, it may do nothing.
_ATTACHMENT_POLICY = "default-src 'none'; media-src 'self'; sandbox"


@web.middleware
async def own_page_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 to what does not come from this machine's own page."""
    if _is_foreign(request):
        raise web.HTTPForbidden(text="This page answers to its own address on this machine only.\n")
    return await handler(request)


def _is_foreign(request: web.Request) -> bool:
    if not _is_own(request.host, request):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and not _is_own_origin(origin, request)


def _is_own_origin(origin: str, request: web.Request) -> bool:
    parts = urlsplit(origin)
    return parts.scheme == "http" and _is_own(parts.netloc, request)


def _is_own(host: str, request: web.Request) -> bool:
    """A name of this machine with the port that was really asked."""
    name, _, port = host.rpartition(":")
    sockname = request.get_extra_info("sockname")
    return name in _NAMES and sockname is not None and port == str(sockname[1])


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal for `on_response_prepare`."""
    response.headers.update(_HEADERS)
    if request.path.startswith("/attachments/"):
        response.headers["Content-Security-Policy"] = _ATTACHMENT_POLICY
