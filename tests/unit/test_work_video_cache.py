"""The video cache: one download per task, and removal of files that are no longer needed."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from bot.core.clock import DAY, SECOND
from bot.core.errors import CannotFit, DownloadInterrupted, StorageUnavailable
from bot.core.results import Video
from bot.media.mp4 import Mp4, inspect_mp4
from bot.metrics import Metrics
from bot.work.video_cache import Fitter, VideoCache
from tests.boxes import FILM, FTYP, MDAT, MVHD, TABLES, box, entry, trak
from tests.factories import OWNER, URL
from tests.timing import eventually


class HeldDownloads:
    """Starts each download and ends it when `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.error: Exception | None = None

    async def fetch(
        self, url: str, destination: Path, *, timeout: float, on_progress: Callable[[int], None]
    ) -> Mp4:
        self.begun.append(url)
        await self.go.wait()
        if self.error:
            raise self.error
        await asyncio.to_thread(destination.write_bytes, FILM)
        return await asyncio.to_thread(inspect_mp4, destination)


class CopyingFitter:
    """Accepts every size: copies the video."""

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        await asyncio.to_thread(shutil.copyfile, source, destination)


@pytest.fixture
def downloads() -> HeldDownloads:
    return HeldDownloads()


def cache_in(folder: Path, downloads: HeldDownloads, fitter: Fitter | None = None) -> VideoCache:
    return VideoCache(folder, downloads, fitter or CopyingFitter(), Metrics())


def download(videos: VideoCache, task_id: str = "t1", url: str = URL) -> Coroutine[Any, Any, Video]:
    return videos.download(task_id, url, OWNER, 60)


@pytest.fixture
def videos(tmp_path: Path, downloads: HeldDownloads) -> VideoCache:
    return cache_in(tmp_path, downloads)


async def test_callers_of_one_video_share_one_download(videos: VideoCache, downloads: HeldDownloads):
    jobs = [asyncio.create_task(download(videos)) for _ in range(5)]
    await eventually(lambda: downloads.begun)
    downloads.go.set()
    found = await asyncio.gather(*jobs)

    assert len(downloads.begun) == 1
    assert {video.path.read_bytes() for video in found} == {FILM}


async def test_different_videos_are_downloaded_at_the_same_time(videos: VideoCache, downloads: HeldDownloads):
    jobs = [asyncio.create_task(download(videos, task_id)) for task_id in ("t1", "t2")]
    await eventually(lambda: len(downloads.begun) == 2)
    downloads.go.set()
    first, second = await asyncio.gather(*jobs)

    assert first != second


async def test_download_after_a_failed_one_is_a_new_attempt(videos: VideoCache, downloads: HeldDownloads):
    downloads.error = DownloadInterrupted("cut")
    downloads.go.set()
    with pytest.raises(DownloadInterrupted):
        await download(videos)
    downloads.error = None

    assert (await download(videos)).path.exists()
    assert len(downloads.begun) == 2


async def test_cancelled_download_releases_its_lock(videos: VideoCache, downloads: HeldDownloads):
    job = asyncio.create_task(download(videos))
    await eventually(lambda: downloads.begun)
    job.cancel()
    await asyncio.wait({job})
    downloads.go.set()

    assert (await download(videos)).path.exists()


@pytest.mark.parametrize(("one", "two"), [("a:b", "a_b"), ("ABC", "abc"), ("x" * 128, "x" * 127)])
async def test_ids_that_a_file_system_confuses_have_different_files(
    videos: VideoCache, downloads: HeldDownloads, one: str, two: str
):
    """Files are named by a short hash."""
    downloads.go.set()
    first, second = await download(videos, one), await download(videos, two)

    assert first.path.name.lower() != second.path.name.lower()


async def test_removed_video_is_gone_and_may_be_removed_again(videos: VideoCache, downloads: HeldDownloads):
    """Two channels may finish at the same time."""
    downloads.go.set()
    path = (await download(videos)).path
    await videos.remove("t1")
    await videos.remove("t1")

    assert not path.exists()


async def test_sweep_keeps_the_needed_videos_and_removes_the_rest(
    videos: VideoCache, downloads: HeldDownloads, tmp_path: Path
):
    """Partial files, and videos of ended deliveries."""
    downloads.go.set()
    kept = await download(videos)
    await download(videos, "t2")
    (tmp_path / "half.part").write_bytes(b"")
    (tmp_path / "folder").mkdir()

    assert await videos.sweep(["t1", "t9"]) == 2
    left = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
    assert left == {kept.path.name, "folder"}


async def test_smaller_video_is_kept_and_removed_with_the_whole_one(
    videos: VideoCache, downloads: HeldDownloads, tmp_path: Path
):
    downloads.go.set()
    await download(videos)
    smaller = await videos.fitted("t1", 10)
    assert await videos.sweep(["t1"]) == 0
    assert smaller.path.exists()

    await videos.remove("t1")

    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_tidy_keeps_running_downloads(videos: VideoCache, downloads: HeldDownloads, tmp_path: Path):
    """It runs every hour."""
    downloads.go.set()
    await download(videos)
    part = tmp_path / "half.mp4.0123.part"
    part.write_bytes(b"")

    assert await videos.tidy([]) == 1
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [part]


async def test_partial_file_that_is_no_longer_written_is_removed(videos: VideoCache, tmp_path: Path):
    """A dead process left it in a shared folder, which is never swept."""
    part = tmp_path / "half.mp4.0123.part"
    part.write_bytes(b"")
    yesterday = time.time() - DAY / SECOND
    os.utime(part, (yesterday, yesterday))

    assert await videos.tidy([]) == 1
    assert not part.exists()


async def test_smaller_file_that_another_process_removed_is_downloaded_again_later(
    tmp_path: Path, downloads: HeldDownloads
):
    """The other process had posted the result; a delivery that still needs the file tries again."""

    class Vanishing(CopyingFitter):
        async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
            await super().fit(source, destination, limit=limit)
            await asyncio.to_thread(destination.unlink)

    downloads.go.set()
    videos = cache_in(tmp_path, downloads, Vanishing())
    await download(videos)

    with pytest.raises(DownloadInterrupted, match="removed meanwhile"):
        await videos.fitted("t1", 10_000)


async def test_missing_file_is_not_reported_as_unfit(tmp_path: Path, downloads: HeldDownloads):
    """Otherwise the channel would get a link for a video that fits."""

    class Unable(CopyingFitter):
        async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
            raise CannotFit("no such file")

    videos = cache_in(tmp_path, downloads, Unable())
    with pytest.raises(DownloadInterrupted, match="removed meanwhile"):
        await videos.fitted("t1", 10)

    downloads.go.set()
    await download(videos)
    with pytest.raises(CannotFit):
        await videos.fitted("t1", 10)


async def test_sweep_creates_a_missing_folder(tmp_path: Path, downloads: HeldDownloads):
    """At the first start."""
    folder = tmp_path / "data" / "videos"

    assert await cache_in(folder, downloads).sweep([]) == 0
    assert folder.is_dir()


async def test_sweep_of_a_file_in_place_of_the_folder_raises_storage_unavailable(
    tmp_path: Path, downloads: HeldDownloads
):
    (tmp_path / "videos").write_bytes(b"")

    with pytest.raises(StorageUnavailable, match="cannot be tidied"):
        await cache_in(tmp_path / "videos", downloads).sweep([])


async def test_failure_is_shared_by_all_waiters(videos: VideoCache, downloads: HeldDownloads):
    """None of them sends a new request at once; each delivery plans its next attempt."""
    downloads.error = DownloadInterrupted("cut")
    jobs = [asyncio.create_task(download(videos)) for _ in range(12)]
    await eventually(lambda: downloads.begun)
    downloads.go.set()

    outcomes = await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [DownloadInterrupted] * 12
    assert len(downloads.begun) == 1


async def test_cancelled_waiter_does_not_end_the_download_of_the_others(
    videos: VideoCache, downloads: HeldDownloads
):
    """The last one does."""
    first, second = (asyncio.create_task(download(videos)) for _ in range(2))
    await eventually(lambda: [shared.users for shared in videos._downloads.values()] == [2])
    first.cancel()
    await asyncio.wait({first})
    downloads.go.set()

    assert (await second).path.exists()
    assert len(downloads.begun) == 1


async def test_download_that_takes_too_long_is_ended(videos: VideoCache, downloads: HeldDownloads):
    """The wait for a slot is part of its time."""
    with pytest.raises(TimeoutError):
        await videos.download("t1", URL, OWNER, 0.01)
    downloads.go.set()

    assert (await download(videos)).path.exists()


async def test_cached_video_has_the_same_description_as_the_downloaded_one(
    videos: VideoCache, downloads: HeldDownloads
):
    downloads.go.set()
    assert await videos.find("t1") is None
    downloaded = await download(videos)

    assert await videos.find("t1") == downloaded
    assert (downloaded.width, downloaded.height, downloaded.codec) == (640, 360, "avc1")
    assert (downloaded.size, downloaded.seconds, downloaded.plays_in_discord) == (len(FILM), 8.0, True)


@pytest.mark.parametrize(
    ("described", "codec", "plays"),
    [
        (entry(), "avc1", True),
        (entry(profile=110), "avc1", False),
        (entry(kind=b"hvc1", profile=None), "hvc1", False),
        (entry(kind=b"av01", profile=None), "av01", False),
    ],
    ids=["H.264", "10-bit", "HEVC", "AV1"],
)
async def test_video_says_whether_discord_plays_it(
    videos: VideoCache, described: bytes, codec: str, plays: bool
):
    film = FTYP + MDAT + box(b"moov", MVHD, trak(TABLES, entries=described))
    await asyncio.to_thread(videos._path("t1").write_bytes, film)

    video = await videos.find("t1")

    assert video is not None
    assert (video.codec, video.plays_in_discord) == (codec, plays)


async def test_damaged_file_is_removed_and_downloaded_again(videos: VideoCache, downloads: HeldDownloads):
    """A power failure can damage a file that was complete."""
    downloads.go.set()
    video = await download(videos)
    video.path.write_bytes(FILM[:-20])

    assert await videos.find("t1") is None
    assert (await download(videos)).size == len(FILM)
    assert len(downloads.begun) == 2


async def test_partial_file_of_a_needed_video_is_kept_at_the_start(videos: VideoCache, tmp_path: Path):
    """Its download resumes; other partial files are removed."""
    for task_id in ("t1", "t2"):
        await asyncio.to_thread(videos._path(task_id).with_suffix(".mp4.part").write_bytes, b"half")

    assert await videos.sweep(["t1"]) == 1
    left = await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()])
    assert left == [f"{videos._path('t1').stem}.mp4.part"]


async def test_cache_keeps_no_state_of_ended_downloads(videos: VideoCache, downloads: HeldDownloads):
    """It would grow with every id."""
    downloads.error = DownloadInterrupted("cut")
    jobs = [asyncio.create_task(download(videos, f"t{number % 3}")) for number in range(9)]
    await eventually(lambda: len(downloads.begun) == 3)
    assert len(videos._downloads) == 3
    jobs[-1].cancel()
    downloads.go.set()
    await asyncio.gather(*jobs, return_exceptions=True)

    assert len(videos._downloads) == 0


async def test_cache_keeps_no_locks_of_videos_that_are_not_being_made_smaller(
    videos: VideoCache, downloads: HeldDownloads
):
    """They would grow with every id."""
    downloads.go.set()
    for number in range(3):
        await download(videos, f"t{number}")
        await videos.fitted(f"t{number}", 10_000)

    assert len(videos._locks) == 0
