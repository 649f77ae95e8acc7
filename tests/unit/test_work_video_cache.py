"""The videos on our disk: one download per task, and files that are no longer needed."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from bot.core.clock import DAY, SECOND
from bot.core.errors import CannotFit, DownloadInterrupted, StorageUnavailable
from bot.metrics import Metrics
from bot.work.video_cache import Fitter, VideoCache
from tests.factories import URL
from tests.timing import eventually


class HeldDownloads:
    """Begins each download and ends it when `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.error: Exception | None = None

    async def fetch(self, url: str, destination: Path) -> None:
        self.begun.append(url)
        await self.go.wait()
        if self.error:
            raise self.error
        await asyncio.to_thread(destination.write_bytes, b"video")


class OneByteFitter:
    """Makes everything one byte."""

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        await asyncio.to_thread(destination.write_bytes, b"v")


@pytest.fixture
def downloads() -> HeldDownloads:
    return HeldDownloads()


def cache_in(folder: Path, downloads: HeldDownloads, fitter: Fitter | None = None) -> VideoCache:
    return VideoCache(folder, downloads, fitter or OneByteFitter(), Metrics())


@pytest.fixture
def videos(tmp_path: Path, downloads: HeldDownloads) -> VideoCache:
    return cache_in(tmp_path, downloads)


async def test_several_who_want_one_video_wait_for_one_download(videos: VideoCache, downloads: HeldDownloads):
    """One download at a time for each video."""
    jobs = [asyncio.create_task(videos.video("t1", URL)) for _ in range(5)]
    await eventually(lambda: downloads.begun)
    downloads.go.set()
    paths = await asyncio.gather(*jobs)

    assert len(downloads.begun) == 1
    assert {path.read_bytes() for path in paths} == {b"video"}


async def test_other_videos_are_downloaded_meanwhile(videos: VideoCache, downloads: HeldDownloads):
    """A slow host does not delay other videos."""
    jobs = [asyncio.create_task(videos.video(task_id, URL)) for task_id in ("t1", "t2")]
    await eventually(lambda: len(downloads.begun) == 2)
    downloads.go.set()
    first, second = await asyncio.gather(*jobs)

    assert first != second


async def test_failed_download_is_tried_again_by_the_next(videos: VideoCache, downloads: HeldDownloads):
    """The one that waited for it makes its own attempt."""
    downloads.error = DownloadInterrupted("cut")
    downloads.go.set()
    with pytest.raises(DownloadInterrupted):
        await videos.video("t1", URL)
    downloads.error = None

    assert (await videos.video("t1", URL)).exists()
    assert len(downloads.begun) == 2


async def test_cancelled_download_releases_its_lock(videos: VideoCache, downloads: HeldDownloads):
    """A stop leaves nothing locked."""
    job = asyncio.create_task(videos.video("t1", URL))
    await eventually(lambda: downloads.begun)
    job.cancel()
    await asyncio.wait({job})
    downloads.go.set()

    assert (await videos.video("t1", URL)).exists()


@pytest.mark.parametrize(("one", "two"), [("a:b", "a_b"), ("ABC", "abc"), ("x" * 128, "x" * 127)])
async def test_ids_that_a_file_system_confuses_have_files_of_their_own(
    videos: VideoCache, downloads: HeldDownloads, one: str, two: str
):
    """By hash, and short."""
    downloads.go.set()
    first, second = await videos.video(one, URL), await videos.video(two, URL)

    assert first.name.lower() != second.name.lower()


async def test_removed_video_is_gone_and_may_be_removed_again(videos: VideoCache, downloads: HeldDownloads):
    """Two channels may end at the same time."""
    downloads.go.set()
    path = await videos.video("t1", URL)
    await videos.remove("t1")
    await videos.remove("t1")

    assert not path.exists()


async def test_sweep_keeps_what_is_owed_and_removes_the_rest(
    videos: VideoCache, downloads: HeldDownloads, tmp_path: Path
):
    """Partial files, and videos of ended deliveries."""
    downloads.go.set()
    kept = await videos.video("t1", URL)
    await videos.video("t2", URL)
    (tmp_path / "half.part").write_bytes(b"")
    (tmp_path / "folder").mkdir()

    assert await videos.sweep(["t1", "t9"]) == 2
    left = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
    assert left == {kept.name, "folder"}


async def test_smaller_video_is_kept_and_removed_with_the_whole_one(
    videos: VideoCache, downloads: HeldDownloads, tmp_path: Path
):
    downloads.go.set()
    await videos.video("t1", URL)
    smaller = await videos.fitted("t1", 10)
    assert await videos.sweep(["t1"]) == 0
    assert smaller.exists()

    await videos.remove("t1")

    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_tidy_keeps_running_downloads(videos: VideoCache, downloads: HeldDownloads, tmp_path: Path):
    """It runs every hour, also during downloads."""
    downloads.go.set()
    await videos.video("t1", URL)
    part = tmp_path / "half.mp4.0123.part"
    part.write_bytes(b"")

    assert await videos.tidy([]) == 1
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [part]


async def test_partial_file_that_is_no_longer_written_is_removed(videos: VideoCache, tmp_path: Path):
    """A dead process left it in a folder that others share: they never sweep it."""
    part = tmp_path / "half.mp4.0123.part"
    part.write_bytes(b"")
    yesterday = time.time() - DAY / SECOND
    os.utime(part, (yesterday, yesterday))

    assert await videos.tidy([]) == 1
    assert not part.exists()


class Vanishing(HeldDownloads):
    """Another process posts and removes the file as soon as it is there."""

    async def fetch(self, url: str, destination: Path) -> None:
        await super().fetch(url, destination)
        await asyncio.to_thread(destination.unlink)


async def test_file_that_another_process_removed_is_downloaded_again_later(tmp_path: Path):
    """It had posted the result: a delivery that still needs the file tries again."""
    downloads = Vanishing()
    downloads.go.set()

    with pytest.raises(DownloadInterrupted, match="removed meanwhile"):
        await cache_in(tmp_path, downloads).video("t1", URL)


async def test_file_that_has_gone_is_not_called_unfit(tmp_path: Path, downloads: HeldDownloads):
    """The channel would get a link for a video that fits."""

    class Unable(OneByteFitter):
        async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
            raise CannotFit("no such file")

    videos = cache_in(tmp_path, downloads, Unable())
    with pytest.raises(DownloadInterrupted, match="removed meanwhile"):
        await videos.fitted("t1", 10)

    downloads.go.set()
    await videos.video("t1", URL)
    with pytest.raises(CannotFit):
        await videos.fitted("t1", 10)


async def test_sweep_makes_a_missing_folder(tmp_path: Path, downloads: HeldDownloads):
    """The first start."""
    folder = tmp_path / "data" / "videos"

    assert await cache_in(folder, downloads).sweep([]) == 0
    assert folder.is_dir()


async def test_sweep_of_no_folder_at_all_is_unavailable_storage(tmp_path: Path, downloads: HeldDownloads):
    """A file stands where the folder should be."""
    (tmp_path / "videos").write_bytes(b"")

    with pytest.raises(StorageUnavailable, match="cannot be tidied"):
        await cache_in(tmp_path / "videos", downloads).sweep([])


async def test_lock_lets_one_download_in_per_task_in_order(tmp_path: Path):
    """And another task's at the same time."""
    order: list[str] = []
    other_task_begun = asyncio.Event()

    class Failing(HeldDownloads):
        """A failure makes the next in line download as well."""

        async def fetch(self, url: str, destination: Path) -> None:
            order.append(f"{url} in")
            if url == "3":
                other_task_begun.set()
            await other_task_begun.wait()
            await asyncio.sleep(0.01)
            order.append(f"{url} out")
            raise DownloadInterrupted("cut")

    videos = cache_in(tmp_path, Failing())
    jobs = [videos.video(task_id, url) for task_id, url in (("k", "1"), ("k", "2"), ("j", "3"))]
    await asyncio.gather(*jobs, return_exceptions=True)

    assert [step for step in order if step[0] != "3"] == ["1 in", "1 out", "2 in", "2 out"]
    assert order.index("3 in") < order.index("1 out")


async def test_cache_holds_no_locks_for_tasks_without_a_download(
    videos: VideoCache, downloads: HeldDownloads
):
    """There are many ids."""
    downloads.error = DownloadInterrupted("cut")
    jobs = [asyncio.create_task(videos.video(f"t{number % 3}", URL)) for number in range(9)]
    await eventually(lambda: len(downloads.begun) == 3)
    assert len(videos._locks) == 3
    jobs[-1].cancel()
    downloads.go.set()
    await asyncio.gather(*jobs, return_exceptions=True)
    # The cancelled job's traceback holds its lock, and the event loop holds the job until its next round.
    jobs.clear()
    await asyncio.sleep(0)

    assert len(videos._locks) == 0
