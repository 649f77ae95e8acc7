"""Serves uploaded files byte for byte, whole or by range, as Discord's CDN does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from sandbox.discord.world import World

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class AttachmentFiles:
    def __init__(self, world: World) -> None:
        self._world = world

    async def handle(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = self._world.attachments.get(int(identity)) if identity.isdecimal() else None
        if found is None or found.filename != request.match_info["filename"]:
            raise web.HTTPNotFound
        headers = {"Content-Type": found.content_type, "Accept-Ranges": "bytes"}
        wanted = request.headers.get("Range")
        if wanted is None:
            return web.Response(body=found.content, headers=headers)
        bounds = _bounds(wanted, found.size)
        if bounds is None:
            headers["Content-Range"] = f"bytes */{found.size}"
            return web.Response(status=416, headers=headers)
        first, last = bounds
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
        return web.Response(status=206, body=found.content[first : last + 1], headers=headers)


def _bounds(wanted: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range, or None when it cannot be satisfied."""
    found = _RANGE.fullmatch(wanted)
    if found is None or found.group(1) == found.group(2) == "":
        return None
    if found.group(1) == "":
        first, last = max(size - int(found.group(2)), 0), size - 1
    else:
        first, last = int(found.group(1)), min(int(found.group(2) or size - 1), size - 1)
    return (first, last) if first <= last else None
