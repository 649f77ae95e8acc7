"""Refuses requests that do not come from this page in a browser on this machine.

The page can act, so a foreign site must not reach it: neither under its own name (DNS rebinding, visible in
Host) nor from its own pages (visible in Origin).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
# The text of messages is untrusted. Even if it became markup, it could neither run nor load anything; with
# trusted types the browser refuses strings as markup.
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
    # So that a reload shows a developer's edits.
    "Cache-Control": "no-cache",
}
# An attachment is untrusted: opened as a document, it may do nothing.
_ATTACHMENT_POLICY = "default-src 'none'; media-src 'self'; sandbox"


@web.middleware
async def own_page_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware that answers 403 to requests from elsewhere."""
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
    """Whether this is a name of this machine, with the port of this connection."""
    name, _, port = host.rpartition(":")
    sockname = request.get_extra_info("sockname")
    return name in _NAMES and sockname is not None and port == str(sockname[1])


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers; a handler for `on_response_prepare`."""
    response.headers.update(_HEADERS)
    if request.path.startswith("/attachments/"):
        response.headers["Content-Security-Policy"] = _ATTACHMENT_POLICY
