"""Sending one video in chunks, with everything that can go wrong in the middle of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from sandbox.faults import Fault
from sandbox.video_api.body_fault import BodyFault
from sandbox.video_api.clips import Clip
from sandbox.video_api.holds import Stage
from sandbox.video_api.journal import Download

_SOUND = BodyFault(chunk=256 * 1024)

Pause = Callable[[Stage, web.Request], Awaitable[None]]


async def send_video(
    request: web.Request, clip: Clip, download: Download, fault: Fault | None, pause: Pause
) -> web.StreamResponse:
    """`download` counts what went out. Stops at the stages half and sent."""
    how = fault if isinstance(fault, BodyFault) else _SOUND
    response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
    if how.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = clip.size if how.claim is None else how.claim
    # Whoever asked may be killed meanwhile: `download` then tells how far it got.
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
    """Closing (unlike aborting) still delivers what was written."""
    if how.stall_at is not None:
        await asyncio.Event().wait()  # until the client leaves or the server stops
    if request.transport is not None:
        request.transport.close()


def _is_cut(fault: Fault | None) -> bool:
    return fault is not None and fault.cut == "after"


def _pieces(clip: Clip, chunk: int, stops: tuple[int, ...]) -> Iterator[memoryview]:
    """Pieces of at most `chunk` bytes, none of them crossing one of the stops."""
    sent = 0
    for whole in clip.chunks():
        block = memoryview(whole)
        while block:
            gap = min((stop - sent for stop in stops if stop > sent), default=chunk)
            piece, block = block[: min(chunk, gap)], block[min(chunk, gap) :]
            yield piece
            sent += len(piece)
