"""VideoDownloader against the stand-in and against hostile servers, over real sockets."""

import asyncio
import contextlib
import hashlib
import json
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.core.errors import DownloadInterrupted, LinkRefused, StorageUnavailable, VideoUnusable
from bot.core.problems import Problem, ProblemCode
from bot.media.mp4 import Mp4, inspect_mp4
from bot.veo.body import TransferLimits
from bot.veo.download import VideoDownloader, open_download_session
from bot.veo.public_address import PublicResolver
from sandbox.video_api import CLIP, BodyFault, Clip, Fault, StandInVideoApi
from sandbox.video_api.sending import HoldPoint
from tests.download_env import WHOLE, Arrivals
from tests.timing import hurried

MIB = 1 << 20
VIDEO = "GET /videos/*"
ID = "vgen_abc123def456"


@pytest.fixture
async def api() -> AsyncIterator[StandInVideoApi]:
    async with StandInVideoApi() as api:
        api.create(ID).complete()
        yield api
        api.check()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_download_session(allow_loopback=True) as session:
        yield session


@pytest.fixture
def downloader(session: aiohttp.ClientSession) -> VideoDownloader:
    return VideoDownloader(session=session, max_bytes=64 * MIB, allow_loopback=True)


@pytest.fixture
def link(api: StandInVideoApi) -> str:
    return f"{api.url}/videos/{ID}.mp4"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "video.mp4"


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def left_behind(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir()]


async def fetched(downloader: VideoDownloader, url: str, target: Path) -> Mp4:
    """What the file is, by a download that may take a minute."""
    found = await downloader.fetch(url, target, timeout=60)
    assert found == inspect_mp4(target)
    return found


async def fetched_hurried(api: StandInVideoApi, downloader: VideoDownloader, url: str, target: Path) -> Mp4:
    """The same, in the time that the limits allow, though not by the clock on the wall."""
    arrivals = Arrivals(api)
    fetching = downloader.fetch(url, target, timeout=3600, on_progress=arrivals.note)
    return await hurried(fetching, all_came=arrivals.are_complete)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def test_video_arrives_whole_and_checked(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path
):
    """Byte for byte, under its name alone."""
    assert await fetched(downloader, link, target) == WHOLE
    assert sha256(target) == CLIP.sha256
    assert left_behind(target) == ["video.mp4"]
    assert api.downloads[0].bytes_sent == CLIP.size


async def test_request_tells_nothing_about_us(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path
):
    """No key, no cookies, no referer, also behind a redirect and with a password in the link."""
    api.faults.add(
        Fault(VIDEO, status=302, headers={"Location": link, "Set-Cookie": "a=1"}),
    )
    await fetched(downloader, link.replace("http://", "http://user:secret@"), target)
    assert len(api.downloads) == 2
    for download in api.downloads:
        assert set(download.headers) == {
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Encoding",
            "Connection",
        }
        assert download.headers["Accept-Encoding"] == "identity"
        assert download.headers["User-Agent"].startswith("veo-courier/")


async def test_existing_destination_is_replaced(downloader: VideoDownloader, link: str, target: Path):
    """A second download of the same task, after a crash for instance."""
    await fetched(downloader, link, target)
    os.truncate(target, 100)
    await fetched(downloader, link, target)
    assert sha256(target) == CLIP.sha256


async def test_video_without_a_length_is_accepted_when_it_is_whole(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path
):
    """Chunked transfer: the boxes tell where the file ends."""
    api.faults.add(BodyFault(chunked=True))
    assert await fetched(downloader, link, target) == WHOLE


async def test_slow_line_is_no_stall(
    api: StandInVideoApi, session: aiohttp.ClientSession, link: str, target: Path
):
    """Longer in total than the stall limit, but never silent for that long."""
    limits = TransferLimits(least_speed=1)
    downloader = VideoDownloader(session=session, max_bytes=64 * MIB, allow_loopback=True, limits=limits)
    api.faults.add(BodyFault(chunk=CLIP.size // 8, pause=limits.stall_timeout - 5))
    assert await fetched_hurried(api, downloader, link, target) == WHOLE


# -- what ends a video for good --------------------------------------------------------------------


async def test_video_announced_as_too_large_is_not_begun(
    api: StandInVideoApi, session, link: str, target: Path
):
    """By Content-Length, before anything is written."""
    downloader = VideoDownloader(session=session, max_bytes=MIB, allow_loopback=True)
    api.create(ID).complete(Clip.padded(64 * MIB))
    with pytest.raises(VideoUnusable) as caught:
        await fetched(downloader, link, target)
    assert caught.value.problem == Problem(ProblemCode.VIDEO_TOO_LARGE, {"limit": MIB, "size": 64 * MIB})
    assert left_behind(target) == []
    assert api.downloads[0].bytes_sent < 32 * MIB


async def test_video_that_grows_too_large_is_stopped(api: StandInVideoApi, session, link: str, target: Path):
    """Without a length the limit holds while reading."""
    downloader = VideoDownloader(session=session, max_bytes=MIB, allow_loopback=True)
    api.create(ID).complete(Clip.padded(64 * MIB))
    api.faults.add(BodyFault(chunked=True))
    with pytest.raises(VideoUnusable) as caught:
        await fetched(downloader, link, target)
    assert caught.value.problem == Problem(ProblemCode.VIDEO_TOO_LARGE, {"limit": MIB})
    assert left_behind(target) == []
    assert api.downloads[0].bytes_sent < 32 * MIB


async def test_video_of_exactly_the_limit_is_taken(api, session, link: str, target: Path):
    """The limit itself is allowed, one byte more is not."""
    for limit in (CLIP.size, CLIP.size - 1):
        downloader = VideoDownloader(session=session, max_bytes=limit, allow_loopback=True)
        if limit == CLIP.size:
            assert (await fetched(downloader, link, target)).size == limit
        else:
            with pytest.raises(VideoUnusable, match=f"limit={limit} size={CLIP.size}"):
                await fetched(downloader, link, target)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(VIDEO, status=200, body="<html>This link has expired</html>"),
        Fault(VIDEO, status=200, body={"error": "expired"}),
        Fault(VIDEO, status=200, body=b""),
        Fault(VIDEO, status=200, body=CLIP.content[:5000]),
        Fault(VIDEO, status=200, body=CLIP.content[4:]),
        BodyFault(claim=CLIP.size - 100),
    ],
    ids=["web page", "json", "nothing", "head alone", "shifted", "announced too short"],
)
async def test_what_is_not_an_mp4_is_refused_and_may_come_later(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path, fault: Fault
):
    """Complete by its own account, and no video; nothing of it is kept, and the next answer is the video."""
    api.faults.add(fault)
    with pytest.raises(LinkRefused) as caught:
        await fetched(downloader, link, target)
    assert caught.value.problem == Problem(ProblemCode.NOT_AN_MP4)
    assert not caught.value.progressed
    assert left_behind(target) == []
    assert await fetched(downloader, link, target) == WHOLE


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/v.mp4",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:10.0.0.1]/",
        "http://167772161/",
        "http://0x0a.1/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/v.mp4",
        "http://[broken/",
    ],
)
async def test_redirect_to_a_forbidden_place_is_refused_unvisited(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path, location: str
):
    """Even where loopback is allowed, nothing else private is. A connection would be an interruption."""
    api.faults.add(Fault(VIDEO, status=302, headers={"Location": location}))
    with pytest.raises(VideoUnusable) as caught:
        await fetched(downloader, link, target)
    assert "http" not in str(caught.value)
    assert left_behind(target) == []


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", VideoUnusable),
        ("2130706433", VideoUnusable),
        ("0x7f.1", VideoUnusable),
        ("[::1]", VideoUnusable),
        ("localhost", LinkRefused),  # a name may lead elsewhere next time
    ],
)
async def test_loopback_is_refused_unless_allowed(
    api: StandInVideoApi, target: Path, host: str, kind: type[VideoUnusable] | type[LinkRefused]
):
    """By literal address and by name; nothing arrives."""
    port = api.url.rpartition(":")[2]
    async with open_download_session(allow_loopback=False) as session:
        downloader = VideoDownloader(session=session, max_bytes=MIB, allow_loopback=False)
        with pytest.raises((VideoUnusable, LinkRefused)) as caught:
            await fetched(downloader, f"http://{host}:{port}/videos/{ID}.mp4", target)
    assert type(caught.value) is kind
    assert caught.value.problem == Problem(ProblemCode.LINK_FORBIDDEN)
    assert left_behind(target) == []
    assert api.downloads == []


class TurningZone(AbstractResolver):
    """A name server whose answer changes between two look-ups of one name."""

    address = "127.0.0.1"

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)
        return [found]

    async def close(self) -> None:
        """Nothing is held."""


async def test_name_that_turns_private_is_refused_at_the_second_look_up(
    api: StandInVideoApi, session: aiohttp.ClientSession, link: str, target: Path
):
    """What was judged before says nothing about this connection."""
    zone = TurningZone()
    connector: Any = session.connector
    connector._resolver = PublicResolver(allow_loopback=True, inner=zone)
    downloader = VideoDownloader(session=session, max_bytes=64 * MIB, allow_loopback=True)
    named = link.replace("127.0.0.1", "cdn.example")
    assert (await fetched(downloader, named, target)).size == CLIP.size

    zone.address = "10.0.0.1"
    with pytest.raises(LinkRefused, match=r"cdn\.example resolves to 10\.0\.0\.1"):
        await fetched(downloader, named, target)

    assert len(api.downloads) == 1


async def test_name_on_loopback_is_resolved_where_allowed(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path
):
    """The system's own resolver, through ours."""
    named = link.replace("127.0.0.1", "localhost")
    assert (await fetched(downloader, named, target)).size == CLIP.size


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://h/x", "http://", "http://h:0/", "http://\n"])
async def test_link_that_is_none_is_unusable(downloader: VideoDownloader, target: Path, url: str):
    """No try can help."""
    with pytest.raises(VideoUnusable, match=r"^link_unusable$"):
        await fetched(downloader, url, target)


async def test_five_redirects_are_followed(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path
):
    """Relative or absolute, with every redirecting status."""
    for status in (301, 302, 303, 307, 308):
        api.faults.add(Fault(VIDEO, status=status, headers={"Location": f"/videos/{ID}.mp4"}))
    assert (await fetched(downloader, link, target)).size == CLIP.size
    assert len(api.downloads) == 6


async def test_sixth_redirect_is_too_many(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path
):
    """A loop of links ends; it may be gone next time."""
    api.faults.add(Fault(VIDEO, status=302, headers={"Location": link}, times=None))
    with pytest.raises(LinkRefused) as caught:
        await fetched(downloader, link, target)
    assert caught.value.problem == Problem(ProblemCode.LINK_REDIRECTED)
    assert len(api.downloads) == 6


# -- what may be otherwise next time ---------------------------------------------------------------


@pytest.mark.parametrize("status", [202, 204, 302, 304, 400, 401, 403, 404, 410, 416, 451])
async def test_refused_link_tells_its_status(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path, status: int
):
    """The deliverer decides how long it believes in such a link."""
    api.faults.add(Fault(VIDEO, status=status, body="<html>no</html>"))
    with pytest.raises(LinkRefused) as caught:
        await fetched(downloader, link, target)
    assert str(caught.value) == f"The video's host answered {status}."


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_passing_status_is_an_interruption(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path, status: int
):
    """With the wait that the host asked for."""
    api.faults.add(Fault(VIDEO, status=status, headers={"Retry-After": "9"}))
    with pytest.raises(DownloadInterrupted) as caught:
        await fetched(downloader, link, target)
    assert caught.value.retry_after == 9


@pytest.mark.parametrize(
    "fault",
    [
        # aiohttp itself repeats a GET once when its connection closes without one byte.
        Fault(VIDEO, cut="before", times=2),
        Fault(VIDEO, delay=100),
        BodyFault(cut_at=0),
        BodyFault(cut_at=1),
        BodyFault(cut_at=CLIP.size - 1),
        BodyFault(cut_at=CLIP.size // 2, chunked=True),
        BodyFault(stall_at=0),
        BodyFault(stall_at=CLIP.size // 2),
        BodyFault(claim=CLIP.size + 100),
        Fault(VIDEO, status=200, body=b"junk", headers={"Content-Encoding": "gzip"}),
    ],
    ids=[
        "no answer",
        "silence",
        "cut at 0",
        "cut at 1",
        "last byte missing",
        "cut in chunks",
        "stalls at 0",
        "stalls",
        "announced too long",
        "not what it is encoded as",
    ],
)
async def test_interrupted_download_can_be_repeated(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path, fault: Fault
):
    """One attempt, at most a part left behind, and the next one succeeds."""
    api.faults.add(fault)
    with pytest.raises(DownloadInterrupted):
        await fetched_hurried(api, downloader, link, target)
    assert "video.mp4" not in left_behind(target)
    assert len(api.downloads) == fault.times
    assert await fetched(downloader, link, target) == WHOLE


async def test_connection_that_ends_early_without_a_length_is_an_interruption(
    downloader: VideoDownloader, target: Path
):
    """HTTP/1.0 style: only the boxes tell that bytes are missing."""

    async def send_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CLIP.content[:100_000])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(send_half, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DownloadInterrupted, match="middle of a box"):
            await fetched(downloader, f"http://127.0.0.1:{port}/v.mp4", target)
    assert left_behind(target) == []


async def test_length_that_contradicts_the_chunks_is_an_interruption(
    downloader: VideoDownloader, target: Path
):
    """A confused proxy sends both; the bytes are not what was announced."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"2\r\nab\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DownloadInterrupted):
            await fetched(downloader, f"http://127.0.0.1:{port}/v.mp4", target)
    assert left_behind(target) == []


async def test_short_spelling_of_an_allowed_address_is_unusable(
    api: StandInVideoApi, downloader: VideoDownloader, target: Path
):
    """aiohttp connects to canonical addresses only; trying again would not help."""
    port = api.url.rpartition(":")[2]
    with pytest.raises(VideoUnusable, match="link_unusable"):
        await fetched(downloader, f"http://127.1:{port}/videos/{ID}.mp4", target)
    assert api.downloads == []


async def test_compressed_video_is_unpacked(downloader: VideoDownloader, target: Path):
    """A host may ignore that we asked for the plain bytes; the length it tells is another then."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=CLIP.content, content_type="video/mp4")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(handler) as url:
        assert await fetched(downloader, url, target) == WHOLE


async def test_nobody_listening_is_an_interruption(downloader: VideoDownloader, target: Path):
    """A refused connection; port 1 is never ours."""
    with pytest.raises(DownloadInterrupted, match="connection refused"):
        await fetched(downloader, "http://127.0.0.1:1/v.mp4", target)


# -- the disk --------------------------------------------------------------------------------------


async def test_disk_without_room_is_known_before_reading(
    api: StandInVideoApi, session, link: str, target: Path
):
    """A pebibyte is announced; no disk under test has it."""
    downloader = VideoDownloader(session=session, max_bytes=1 << 60, allow_loopback=True)
    api.faults.add(BodyFault(claim=1 << 50))
    with pytest.raises(StorageUnavailable, match="not enough space"):
        await fetched(downloader, link, target)
    assert left_behind(target) == []


async def test_disk_that_fails_while_writing_leaves_nothing(
    downloader: VideoDownloader, link: str, target: Path
):
    """A file size limit of the process fails the write just as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageUnavailable, match="could not be written"):
            await fetched(downloader, link, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_behind(target) == []


@pytest.mark.parametrize("place", ["missing/video.mp4", "folder"])
async def test_impossible_destination_is_an_error_of_the_disk(
    downloader: VideoDownloader, link: str, tmp_path: Path, place: str
):
    """A folder that is gone, or one where the file should be."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageUnavailable):
        await fetched(downloader, link, tmp_path / place)
    assert left_behind(tmp_path / "video.mp4") == ["folder"]


# -- cancellation, memory --------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["received", "half", "sent"])
async def test_cancelled_download_leaves_nothing_under_the_final_name(
    api: StandInVideoApi, downloader: VideoDownloader, link: str, target: Path, point: HoldPoint
):
    """Before, in the middle of and after the bytes; a second cancel changes nothing. What came stays."""
    clip = Clip.padded(16 * MIB)
    api.create(ID).complete(clip)
    hold = api.hold(VIDEO, point=point)
    job = asyncio.create_task(fetched(downloader, link, target))
    await hold.reached()
    job.cancel()
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert "video.mp4" not in left_behind(target)
    assert (await fetched(downloader, link, target)).size == clip.size
    assert sha256(target) == clip.sha256


MEASURED = """
import asyncio, json, pathlib, sys, time, tracemalloc
from bot.veo.body import TransferLimits
from bot.veo.download import VideoDownloader, open_download_session

async def main(url, target):
    async with open_download_session(allow_loopback=True) as session:
        downloader = VideoDownloader(session=session, max_bytes=1 << 30, allow_loopback=True)
        tracemalloc.start()
        found = await downloader.fetch(url, pathlib.Path(target), timeout=60)
        peak, spent = tracemalloc.get_traced_memory()[1], time.process_time()
        print(json.dumps({"size": found.size, "peak": peak, "spent": spent}))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_large_video_costs_little_memory(api: StandInVideoApi, link: str, target: Path):
    """100 MiB through another process: a few MiB at the peak, and a few seconds of one core."""
    clip = Clip.padded(100 * MIB)
    api.create(ID).complete(clip)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEASURED, link, str(target), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    measured = json.loads(output)
    assert measured["size"] == clip.size
    assert measured["peak"] < 8 * MIB
    assert measured["spent"] < 10
    assert sha256(target) == clip.sha256
