"""Sends one video in chunks, with the faults that can happen in the middle of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from sandbox.faults import Fault
from sandbox.video_api.clips import Clip
from sandbox.video_api.journal import Download

# received: nothing is done yet. answered: the reply is ready, and not one byte of it is sent.
# half: half of the video's bytes are sent. sent: all of them, and the connection is still open.
HoldPoint = Literal["received", "answered", "half", "sent"]

Pause = Callable[[HoldPoint, web.Request], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class BodyFault(Fault):
    """A fault in the middle of a video, added to `api.faults` like any other; `times` and `delay` apply.

    `cut_at`: close the connection after this many bytes. `stall_at`: send nothing more after this many bytes,
    and keep the connection. `claim`: a wrong Content-Length. `chunked`: no Content-Length. `pause`: seconds
    between two chunks of `chunk` bytes, for a slow connection.
    """

    route: str = "GET /videos/*"
    cut_at: int | None = None
    stall_at: int | None = None
    claim: int | None = None
    chunked: bool = False
    pause: float = 0.0
    chunk: int = 64 * 1024

    @property
    def ends_at(self) -> int | None:
        """After how many bytes the body ends; None for all of them."""
        return self.cut_at if self.cut_at is not None else self.stall_at


_NO_FAULT = BodyFault(chunk=256 * 1024)


async def send_video(
    request: web.Request, clip: Clip, download: Download, fault: Fault | None, pause: Pause
) -> web.StreamResponse:
    """Send `clip`, count the bytes in `download`, and pause at the stages half and sent."""
    how = fault if isinstance(fault, BodyFault) else _NO_FAULT
    response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
    if how.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = clip.size if how.claim is None else how.claim
    # The client may be killed meanwhile; `download` then tells how many bytes were sent.
    with contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        download.status = response.status
        await _send_body(request, response, clip, download, how, pause)
        if download.bytes_sent < clip.size or how.claim is not None or _is_cut(fault):
            await _break_off(request, how)
            return response
        await pause("sent", request)
        await response.write_eof()
    return response


async def _send_body(
    request: web.Request,
    response: web.StreamResponse,
    clip: Clip,
    download: Download,
    how: BodyFault,
    pause: Pause,
) -> None:
    end = clip.size if how.ends_at is None else min(how.ends_at, clip.size)
    half = clip.size // 2
    for piece in _pieces(clip, how.chunk, (half, end)):
        if download.bytes_sent == end:
            return
        await response.write(piece)
        download.bytes_sent += len(piece)
        if download.bytes_sent == half:
            await pause("half", request)
        await asyncio.sleep(how.pause)


async def _break_off(request: web.Request, how: BodyFault) -> None:
    """End the body early. The connection is closed, not aborted, so that what was written still arrives."""
    if how.stall_at is not None:
        await asyncio.Event().wait()  # until the client leaves or the server stops
    if request.transport is not None:
        request.transport.close()


def _is_cut(fault: Fault | None) -> bool:
    return fault is not None and fault.cut == "after"


def _pieces(clip: Clip, chunk: int, stops: tuple[int, ...]) -> Iterator[memoryview]:
    """Pieces of at most `chunk` bytes, cut so that none crosses one of the stops."""
    sent = 0
    for whole in clip.chunks():
        block = memoryview(whole)
        while block:
            gap = min((stop - sent for stop in stops if stop > sent), default=chunk)
            piece, block = block[: min(chunk, gap)], block[min(chunk, gap) :]
            yield piece
            sent += len(piece)
