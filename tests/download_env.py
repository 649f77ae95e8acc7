"""A stand-in host, a folder and a downloader, for the download tests."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bot.media.mp4 import Mp4
from bot.media.part_file import part_paths
from bot.veo.body import TransferLimits
from bot.veo.download import VideoDownloader, open_download_session
from sandbox.video_api import CLIP, Clip, StandInVideoApi
from sandbox.video_api.journal import Download
from tests.timing import hurried

MIB = 1 << 20
ID = "vgen_abc123def456"
VIDEO = "GET /videos/*"
LIMITS = TransferLimits()
WHOLE = Mp4(CLIP.size, 8.0, 1280, 720, "avc1", plays_in_discord=True)


class Arrivals:
    """Whether the client has received everything that the stand-in sent for its newest download."""

    def __init__(self, api: StandInVideoApi) -> None:
        self._api = api
        self._before = len(api.downloads)
        self._received = 0

    def note(self, received: int) -> None:
        self._received = received

    def are_complete(self) -> bool:
        begun = self._api.downloads[self._before :]
        return bool(begun) and begun[-1].bytes_sent <= self._received


@dataclass
class DownloadEnv:
    """`fetch` downloads the video of the stand-in's only task."""

    api: StandInVideoApi
    session: aiohttp.ClientSession
    folder: Path
    limits: TransferLimits = LIMITS
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> str:
        return f"{self.api.url}/videos/{ID}.mp4"

    @property
    def target(self) -> Path:
        return self.folder / "video.mp4"

    @property
    def part(self) -> Path:
        return part_paths(self.target)[0]

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    @property
    def asked(self) -> list[str | None]:
        """The Range header of every request so far."""
        return [download.headers.get("Range") for download in self.api.downloads]

    @property
    def downloads(self) -> list[Download]:
        return self.api.downloads

    def serve(self, clip: Clip) -> Clip:
        """Serve `clip` as the video from now on."""
        self.api.create(ID).complete(clip)
        return clip

    def downloader(self, **options: Any) -> VideoDownloader:
        """A new downloader, as after a restart."""
        usual: dict[str, Any] = {
            "session": self.session,
            "max_bytes": 64 * MIB,
            "allow_loopback": True,
            "limits": self.limits,
        }
        return VideoDownloader(**(usual | self.options | options))

    async def fetch(self, link: str | None = None, *, timeout: float = 60, **options: Any) -> Mp4:
        return await self.downloader().fetch(link or self.link, self.target, timeout=timeout, **options)

    async def fetch_hurried(self, link: str | None = None, *, timeout: float = 3600) -> Mp4:
        """`fetch` on a fast clock: the time limits pass without real waiting."""
        arrivals = Arrivals(self.api)
        fetching = self.fetch(link, timeout=timeout, on_progress=arrivals.note)
        return await hurried(fetching, all_came=arrivals.are_complete)

    def digest(self) -> str:
        """The hash of what was downloaded."""
        return hashlib.sha256(self.target.read_bytes()).hexdigest()


@asynccontextmanager
async def download_env(folder: Path) -> AsyncIterator[DownloadEnv]:
    """At its end it fails if the stand-in received anything unexpected."""
    async with StandInVideoApi() as api, open_download_session(allow_loopback=True) as session:
        api.create(ID).complete()
        yield DownloadEnv(api, session, folder)
        api.check()


@asynccontextmanager
async def raw_host(
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The address of a host that answers each request with the bytes that `answer` writes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(await reader.readuntil(b"\r\n\r\n"), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that breaks off is the usual end here; its tests check what it received
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
