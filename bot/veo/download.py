"""Downloads the finished video from an untrusted host to our disk.

Everything is bounded: addresses (public_address.py), redirects, bytes, silence, memory, disk. The API's key
never travels to the video's host, because this module has a session of its own and does not know the key.
"""

from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from bot.core.errors import DownloadInterrupted, LinkRefused, VideoUnusable
from bot.core.problems import ProblemCode
from bot.media.mp4 import Mp4CutShort, NotAnMp4
from bot.media.part_file import PartFile
from bot.veo.client import USER_AGENT
from bot.veo.public_address import PublicResolver, check_link, next_hop, parse_link
from bot.veo.retry_after import retry_after

CONNECT_TIMEOUT: Final = 15.0
STALL_TIMEOUT: Final = 30.0

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# These are about this moment, not about the link.
_TRANSIENT = frozenset({408, 425, 429})
_MIB = 1 << 20


def open_download_session(*, allow_loopback: bool) -> aiohttp.ClientSession:
    """One connection per request: each resolves the name anew, and PublicResolver judges the result."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=PublicResolver(allow_loopback=allow_loopback),
            use_dns_cache=False,
            force_close=True,
            limit=0,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A compressed video is no smaller, and its length could not be checked.
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        read_bufsize=_MIB // 4,
        trust_env=False,
    )


class VideoDownloader:
    """The session belongs to the caller and must come from `open_download_session`."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        max_bytes: int,
        allow_loopback: bool,
        connect_timeout: float = CONNECT_TIMEOUT,
        stall_timeout: float = STALL_TIMEOUT,
    ) -> None:
        self._session = session
        self._max_bytes = max_bytes
        self._allow_loopback = allow_loopback
        # No total: a slow line may take its time as long as it delivers. `connect` bounds the name resolution
        # as well, which `sock_connect` leaves to the system.
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            connect=2 * connect_timeout,
            sock_connect=connect_timeout,
            sock_read=stall_timeout,
        )

    async def fetch(self, url: str, destination: Path) -> None:
        """Download `url` to `destination`, which is then complete and checked, or untouched.

        Raises DownloadInterrupted, LinkRefused, StorageUnavailable or VideoUnusable.
        """
        try:
            async with await self._open(parse_link(url)) as response:
                await self._save(response, destination)
        except aiohttp.InvalidURL as error:
            raise VideoUnusable(ProblemCode.LINK_UNUSABLE) from error
        except (aiohttp.ClientError, OSError) as error:
            raise DownloadInterrupted(f"The video stopped on its way ({type(error).__name__}).") from error

    async def _open(self, url: URL) -> aiohttp.ClientResponse:
        """Follow redirects here and not in aiohttp, because each hop must be judged."""
        for _ in range(_MAX_REDIRECTS + 1):
            check_link(url, allow_loopback=self._allow_loopback)
            response = await self._session.get(url, allow_redirects=False, timeout=self._timeout)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            url = next_hop(url, location)
        raise VideoUnusable(ProblemCode.LINK_REDIRECTED)

    async def _save(self, response: aiohttp.ClientResponse, destination: Path) -> None:
        _check_status(response)
        length = _content_length(response)
        if length is not None and length > self._max_bytes:
            raise self._too_large(length)
        async with PartFile(destination, expected_size=length or 0) as part:
            await self._receive(response, part)
            await _keep(part, length_known=length is not None)

    async def _receive(self, response: aiohttp.ClientResponse, part: PartFile) -> None:
        """aiohttp raises ClientPayloadError when fewer bytes come than Content-Length told."""
        received = 0
        async for chunk in response.content.iter_any():
            received += len(chunk)
            if received > self._max_bytes:
                raise self._too_large(None)
            await part.write(chunk)

    def _too_large(self, size: int | None) -> VideoUnusable:
        data = {"limit": self._max_bytes} | ({} if size is None else {"size": size})
        return VideoUnusable(ProblemCode.VIDEO_TOO_LARGE, **data)


async def _keep(part: PartFile, *, length_known: bool) -> None:
    """Check the file. Without a length only its boxes show whether the connection broke."""
    try:
        await part.keep()
    except NotAnMp4 as error:
        if isinstance(error, Mp4CutShort) and not length_known:
            raise DownloadInterrupted("The video ended in the middle of a box.") from error
        raise VideoUnusable(ProblemCode.NOT_AN_MP4) from error


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    message = f"The video's host answered {status}."
    if 400 <= status < 500 and status not in _TRANSIENT:
        raise LinkRefused(message, status=status)
    raise DownloadInterrupted(message, retry_after=retry_after(response.headers))


def _content_length(response: aiohttp.ClientResponse) -> int | None:
    """The length of what will be written: a compressed reply tells another number."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    return response.content_length if encoding == "identity" else None
