"""Sends one video in chunks, with the faults that can occur before and during it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from sandbox.faults import Fault
from sandbox.video_api.clips import Clip
from sandbox.video_api.journal import Download
from sandbox.video_api.ranges import Slice, Validator, asked_for, validators

# received: nothing is done yet. answered: the reply is ready, but no byte of it is sent.
# half: half of the answer's bytes are sent. sent: all are sent, and the connection is still open.
HoldPoint = Literal["received", "answered", "half", "sent"]

Pause = Callable[[HoldPoint, web.Request], Awaitable[None]]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class BodyFault(Fault):
    """A fault of a video's answer, added to `api.faults` like any other; `times` and `delay` apply.

    `cut_at`: close the connection after this many bytes of the answer. `stall_at`: stop sending after this
    many bytes and keep the connection open. `claim`: a wrong Content-Length. `chunked`: no Content-Length.
    `pause`: seconds between two chunks of `chunk` bytes, for a slow connection.

    `video_status`: this status with the usual body. `ignores_range`, `ignores_if_range`: the host does not
    know this header. `validator`: the headers that identify the file's version. `extra`: headers
    that are added or, with None, left out. `continues`: this many `100 Continue` come first, a thousand at
    a time with `pause` seconds between.
    """

    route: str = "GET /videos/*"
    cut_at: int | None = None
    stall_at: int | None = None
    claim: int | None = None
    chunked: bool = False
    pause: float = 0.0
    chunk: int = 64 * 1024
    video_status: int | None = None
    ignores_range: bool = False
    ignores_if_range: bool = False
    validator: Validator = "etag"
    extra: Mapping[str, str | None] = field(default_factory=dict)
    continues: int = 0

    @property
    def ends_at(self) -> int | None:
        """The number of bytes after which the body ends; None for the whole body."""
        return self.cut_at if self.cut_at is not None else self.stall_at


_NO_FAULT = BodyFault(chunk=256 * 1024)


async def send_video(
    request: web.Request, clip: Clip, download: Download, fault: Fault | None, pause: Pause
) -> web.StreamResponse:
    """Send `clip`, count the bytes in `download`, and pause at the hold points half and sent."""
    how = fault if isinstance(fault, BodyFault) else _NO_FAULT
    wanted = _wanted(request, clip, how)
    response = web.StreamResponse(
        status=how.video_status or wanted.status, headers=_headers(clip, wanted, how)
    )
    if how.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = wanted.end - wanted.start if how.claim is None else how.claim
    # The client may be killed here; `download` still counts the bytes that were sent.
    with contextlib.suppress(ConnectionResetError):
        await _send_continues(request, how)
        await response.prepare(request)
        download.status = response.status
        await _send_body(request, response, clip, wanted, download, how, pause)
        if download.bytes_sent < wanted.end - wanted.start or how.claim is not None or _is_cut(fault):
            await _break_off(request, how)
            return response
        await pause("sent", request)
        await response.write_eof()
    return response


def _wanted(request: web.Request, clip: Clip, how: BodyFault) -> Slice:
    headers = dict(request.headers)
    if how.ignores_range:
        headers.pop("Range", None)
    if how.ignores_if_range:
        headers.pop("If-Range", None)
    return asked_for(headers, clip, how.validator)


def _headers(clip: Clip, wanted: Slice, how: BodyFault) -> dict[str, str]:
    headers: dict[str, str | None] = {"Content-Type": "video/mp4", **validators(clip, how.validator)}
    if wanted.status == 206 or how.video_status == 206:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.end - 1}/{clip.size}"
    elif wanted.status == 416:
        headers["Content-Range"] = f"bytes */{clip.size}"
    return {name: value for name, value in (headers | dict(how.extra)).items() if value is not None}


async def _send_continues(request: web.Request, how: BodyFault) -> None:
    left = how.continues
    while left > 0 and request.transport is not None and not request.transport.is_closing():
        request.transport.write(_CONTINUE * min(left, 1000))
        left -= 1000
        await asyncio.sleep(how.pause)


async def _send_body(
    request: web.Request,
    response: web.StreamResponse,
    clip: Clip,
    wanted: Slice,
    download: Download,
    how: BodyFault,
    pause: Pause,
) -> None:
    size = wanted.end - wanted.start
    end = size if how.ends_at is None else min(how.ends_at, size)
    half = size // 2
    for piece in _pieces(clip.chunks(wanted.start), how.chunk, (half, end)):
        if download.bytes_sent == end:
            return
        await response.write(piece)
        download.bytes_sent += len(piece)
        if download.bytes_sent == half:
            await pause("half", request)
        await asyncio.sleep(how.pause)


async def _break_off(request: web.Request, how: BodyFault) -> None:
    """End the body early. Closing, unlike aborting, still delivers what was written."""
    if how.stall_at is not None:
        await asyncio.Event().wait()  # until the client leaves or the server stops
    if request.transport is not None:
        request.transport.close()


def _is_cut(fault: Fault | None) -> bool:
    return fault is not None and fault.cut == "after"


def _pieces(chunks: Iterator[bytes], chunk: int, stops: tuple[int, ...]) -> Iterator[memoryview]:
    """Pieces of at most `chunk` bytes, cut so that none crosses one of the stops."""
    sent = 0
    for whole in chunks:
        block = memoryview(whole)
        while block:
            gap = min((stop - sent for stop in stops if stop > sent), default=chunk)
            piece, block = block[: min(chunk, gap)], block[min(chunk, gap) :]
            yield piece
            sent += len(piece)
