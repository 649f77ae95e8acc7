"""Downloads the finished video from an untrusted host to our disk.

Everything is bounded: addresses (public_address.py), redirects, bytes, time and speed (body.py), memory, disk
(disk_space.py). host_answers.py says what an answer means. The API's key never travels to the video's host,
because this module has a separate session and does not know the key.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from bot.core.errors import CourierError, DownloadFailed, DownloadInterrupted, LinkRefused, VideoUnusable
from bot.core.problems import ProblemCode
from bot.media.disk_space import DiskSpace
from bot.media.mp4 import Mp4, Mp4CutShort, NotAnMp4
from bot.media.part_file import PartFile, Representation
from bot.network_errors import describe_network_error
from bot.veo.body import BodyReader, TooSlow, TransferLimits
from bot.veo.client import USER_AGENT
from bot.veo.host_answers import (
    MP4_HEAD,
    VIDEO_STATUSES,
    BodyRange,
    HostReaction,
    body_range,
    read_host_answer,
    read_host_failure,
    validator_of,
)
from bot.veo.public_address import Networks, PublicResolver, check_link, next_hop, parse_link
from bot.veo.retry_after import retry_after

_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_READ_BUFFER: Final = 1 << 18
# The limits are ours (TransferLimits): aiohttp's know nothing of redirects, 1xx answers and speed.
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
# What aiohttp, ssl and socket raise.
_FAILURES: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)

OnProgress = Callable[[int], None]


def open_download_session(
    *, allow_loopback: bool, networks: Networks = (), resolver: PublicResolver | None = None
) -> aiohttp.ClientSession:
    """Open a session that resolves the name for each request anew; PublicResolver checks the result."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=resolver or PublicResolver(allow_loopback=allow_loopback, networks=networks),
            use_dns_cache=False,
            force_close=True,
            limit=0,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A compressed video is no smaller, and its length could not be checked.
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        read_bufsize=_READ_BUFFER,
        timeout=_NO_TIMEOUT,
        trust_env=False,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to a request for the bytes from `start` on; `first` is the beginning of its body."""

    response: aiohttp.ClientResponse
    body: BodyReader
    first: bytes
    start: int
    reaction: HostReaction

    @property
    def range(self) -> BodyRange | None:
        return body_range(self.response.status, self.response.headers)

    @property
    def length(self) -> int | None:
        return None if self.range is None else self.range.length

    @property
    def is_useless(self) -> bool:
        """Whether the download must begin at byte 0, and this body does not."""
        return self.reaction is HostReaction.RESTART and (self.range is None or not self.range.whole)


class VideoDownloader:
    """Downloads videos over a session from `open_download_session`, which the caller closes."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        max_bytes: int,
        allow_loopback: bool,
        networks: Networks = (),
        disk: DiskSpace | None = None,
        limits: TransferLimits | None = None,
    ) -> None:
        self._session = session
        self._max_bytes = max_bytes
        self._allow_loopback = allow_loopback
        self._networks = networks
        self._disk = disk or DiskSpace()
        self._limits = limits or TransferLimits()

    async def fetch(
        self, url: str, destination: Path, *, timeout: float, on_progress: OnProgress = lambda _: None
    ) -> Mp4:
        """Download `url` to `destination`, which is then complete and checked, or untouched.

        An interrupted download is resumed if the host can do so (RFC 9110, 14.2 and 13.1.5). The download
        ends after `timeout` seconds, but not before `limits.least_total`. `on_progress` is called for each
        chunk with the number of bytes that are here; what it raises ends the download, keeps the part file,
        and passes through.

        Raises DownloadInterrupted, LinkRefused, StorageUnavailable or VideoUnusable.
        """
        link = parse_link(url)
        ends_at = asyncio.get_running_loop().time() + max(timeout, self._limits.least_total)
        async with PartFile(destination, self._disk) as part:
            try:
                return await self._transfer(link, part, ends_at, on_progress)
            except DownloadFailed as error:
                error.progressed = part.received > 0
                raise

    async def _transfer(self, link: URL, part: PartFile, ends_at: float, on_progress: OnProgress) -> Mp4:
        digest = _digest(link)
        answer = await self._request(link, part, _resume_at(part, digest), ends_at)
        try:
            if answer.is_useless:
                answer.response.close()
                answer = await self._request(link, part, 0, ends_at)
            self._raise_for_reaction(answer, part)
            await _begin_part(answer, part, digest)
            await self._receive(answer, part, on_progress)
        finally:
            answer.response.close()
        return await _check_and_keep(part)

    async def _request(self, link: URL, part: PartFile, start: int, ends_at: float) -> _Answer:
        """Request the bytes from `start` on, and read as much of the answer as is needed to judge it."""
        held = part.representation if start else None
        response = await self._headers_in_time(link, _range_headers(held, start), part)
        try:
            body = BodyReader(response.content, self._limits, ends_at)
            first = await _read_body(body.first(MP4_HEAD)) if response.status in VIDEO_STATUSES else b""
        except BaseException:
            response.close()
            raise
        reaction = read_host_answer(
            response.status,
            response.headers,
            first,
            resumed_at=start,
            part=held,
            max_bytes=self._max_bytes,
        )
        return _Answer(response, body, first, start, reaction)

    async def _headers_in_time(
        self, link: URL, headers: dict[str, str], part: PartFile
    ) -> aiohttp.ClientResponse:
        """Return the answer once its headers are here.

        The time is limited, because aiohttp skips all 1xx answers.
        """
        try:
            async with asyncio.timeout(self._limits.header_timeout):
                return await self._send_request(link, headers)
        except VideoUnusable:
            part.discard()
            raise
        except _FAILURES as error:
            raise _download_error(error) from error

    async def _send_request(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Send the request and follow redirects here, not in aiohttp, because each hop must be checked."""
        for _ in range(_MAX_REDIRECTS + 1):
            check_link(url, allow_loopback=self._allow_loopback, networks=self._networks)
            response = await self._session.get(url, headers=headers, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            url = next_hop(url, location)
        raise LinkRefused("The video's host redirects too often.", code=ProblemCode.LINK_REDIRECTED)

    def _raise_for_reaction(self, answer: _Answer, part: PartFile) -> None:
        """Raise the exception of the reaction, if it has one."""
        status, wait = answer.response.status, retry_after(answer.response.headers)
        message = f"The video's host answered {status}."
        if answer.reaction is HostReaction.TRY_LATER:
            raise DownloadInterrupted(message, retry_after=wait)
        if answer.reaction is HostReaction.NEVER:
            raise self._too_large(part, answer.length)
        if answer.reaction is HostReaction.ODD and status in VIDEO_STATUSES:
            raise LinkRefused(f"{message[:-1]} and sent no MP4.", code=ProblemCode.NOT_AN_MP4)
        if answer.reaction is HostReaction.ODD:
            raise LinkRefused(message, retry_after=wait, status=status)

    async def _receive(self, answer: _Answer, part: PartFile, on_progress: OnProgress) -> None:
        """Write the body. aiohttp raises ClientPayloadError when it is shorter than its Content-Length."""
        if part.size:
            on_progress(part.size)
        chunk = answer.first
        while chunk:
            if part.size + len(chunk) > self._max_bytes:
                raise self._too_large(part, None)
            await part.write(chunk)
            on_progress(part.size)
            chunk = await _read_body(answer.body.chunk())

    def _too_large(self, part: PartFile, size: int | None) -> VideoUnusable:
        part.discard()
        data = {"limit": self._max_bytes} | ({} if size is None else {"size": size})
        return VideoUnusable(ProblemCode.VIDEO_TOO_LARGE, **data)


def _digest(link: URL) -> str:
    """Return a digest of the link without its query.

    Links to one file differ in the query, where a signature is.
    """
    return hashlib.sha256(str(link.with_query(None).with_fragment(None)).encode()).hexdigest()


def _resume_at(part: PartFile, digest: str) -> int:
    """Return the first byte to request.

    Of a complete part the last byte is requested again, so that the host can confirm the rest. With another
    link only a part with an ETag is resumed, because only an ETag shows that both links lead to the same
    file.
    """
    held = part.representation
    if held is None or held.validator is None or (held.link != digest and not held.has_etag):
        return 0
    if held.length is None or part.size < held.length:
        return part.size
    return held.length - 1 if part.size == held.length else 0


def _range_headers(held: Representation | None, start: int) -> dict[str, str]:
    if held is None or held.validator is None:
        return {}
    return {"Range": f"bytes={start}-", "If-Range": held.validator}


async def _begin_part(answer: _Answer, part: PartFile, digest: str) -> None:
    held = part.representation
    if answer.reaction is HostReaction.TAKE and answer.start and held is not None:
        goes_on = replace(held, link=digest, length=held.length or answer.length)
        await part.begin(goes_on, answer.start)
    else:
        validator = validator_of(answer.response.headers)
        await part.begin(Representation(digest, validator, answer.length), 0)


async def _read_body(reading: Awaitable[bytes]) -> bytes:
    try:
        return await reading
    except _FAILURES as error:
        raise _download_error(error) from error


def _download_error(error: Exception) -> CourierError:
    """Make our exception of a failure. It names only the kind of error, whose text may hold a signed link."""
    reaction = read_host_failure(error)
    if reaction is HostReaction.NEVER:
        return VideoUnusable(ProblemCode.LINK_UNUSABLE)
    reason = str(error) if isinstance(error, TooSlow) else describe_network_error(error)
    message = f"The download was interrupted ({reason})."
    return LinkRefused(message) if reaction is HostReaction.ODD else DownloadInterrupted(message)


async def _check_and_keep(part: PartFile) -> Mp4:
    """Check the file and keep it. Without a length only its boxes show whether the connection broke."""
    length = None if part.representation is None else part.representation.length
    if length is not None and part.size != length:
        if part.size > length:
            part.discard()
        raise DownloadInterrupted(f"The video's host sent {part.size} of {length} bytes.")
    try:
        return await part.keep()
    except NotAnMp4 as error:
        if isinstance(error, Mp4CutShort) and length is None:
            raise DownloadInterrupted("The video ended in the middle of a box.") from error
        part.discard()
        raise LinkRefused(f"The video is no MP4: {error}.", code=ProblemCode.NOT_AN_MP4) from error
