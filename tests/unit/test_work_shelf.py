"""The videos on our disk, and the lock per key that keeps a download single."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from bot.core.clock import DAY, SECOND
from bot.core.errors import CannotFit, DownloadInterrupted, StorageUnavailable
from bot.work.locks import KeyedLock
from bot.work.shelf import Shelf
from tests.factories import URL
from tests.timing import eventually


class HeldDownloads:
    """Begins each download and ends it when told."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.error: Exception | None = None

    async def fetch(self, url: str, destination: Path) -> object:
        self.begun.append(url)
        await self.go.wait()
        if self.error:
            raise self.error
        return await asyncio.to_thread(destination.write_bytes, b"video")


class OneByteFitter:
    """Makes everything one byte."""

    async def fit(self, source: Path, destination: Path, *, limit: int) -> object:
        return await asyncio.to_thread(destination.write_bytes, b"v")


@pytest.fixture
def downloads() -> HeldDownloads:
    return HeldDownloads()


@pytest.fixture
def shelf(tmp_path: Path, downloads: HeldDownloads) -> Shelf:
    return Shelf(tmp_path, downloads, OneByteFitter())


async def test_several_who_want_one_video_wait_for_one_download(shelf: Shelf, downloads: HeldDownloads):
    """Single flight."""
    jobs = [asyncio.create_task(shelf.video("t1", URL)) for _ in range(5)]
    await eventually(lambda: downloads.begun)
    downloads.go.set()
    paths = await asyncio.gather(*jobs)

    assert len(downloads.begun) == 1
    assert {path.read_bytes() for path in paths} == {b"video"}


async def test_other_videos_are_fetched_meanwhile(shelf: Shelf, downloads: HeldDownloads):
    """A slow host holds up nobody else."""
    jobs = [asyncio.create_task(shelf.video(task_id, URL)) for task_id in ("t1", "t2")]
    await eventually(lambda: len(downloads.begun) == 2)
    downloads.go.set()
    first, second = await asyncio.gather(*jobs)

    assert first != second


async def test_failed_download_is_tried_again_by_the_next(shelf: Shelf, downloads: HeldDownloads):
    """The one who waited for it makes an attempt of their own."""
    downloads.error = DownloadInterrupted("cut")
    downloads.go.set()
    with pytest.raises(DownloadInterrupted):
        await shelf.video("t1", URL)
    downloads.error = None

    assert (await shelf.video("t1", URL)).exists()
    assert len(downloads.begun) == 2


async def test_cancelled_download_frees_its_place(shelf: Shelf, downloads: HeldDownloads):
    """A stop leaves nothing locked."""
    job = asyncio.create_task(shelf.video("t1", URL))
    await eventually(lambda: downloads.begun)
    job.cancel()
    await asyncio.wait({job})
    downloads.go.set()

    assert (await shelf.video("t1", URL)).exists()


@pytest.mark.parametrize(("one", "two"), [("a:b", "a_b"), ("ABC", "abc"), ("x" * 128, "x" * 127)])
async def test_ids_that_a_file_system_confuses_have_files_of_their_own(
    shelf: Shelf, downloads: HeldDownloads, one: str, two: str
):
    """By hash, and short."""
    downloads.go.set()
    first, second = await shelf.video(one, URL), await shelf.video(two, URL)

    assert first.name.lower() != second.name.lower()


async def test_removed_video_is_gone_and_may_be_removed_again(shelf: Shelf, downloads: HeldDownloads):
    """Two channels may end at the same time."""
    downloads.go.set()
    path = await shelf.video("t1", URL)
    await shelf.remove("t1")
    await shelf.remove("t1")

    assert not path.exists()


async def test_sweep_keeps_what_is_owed_and_removes_the_rest(
    shelf: Shelf, downloads: HeldDownloads, tmp_path: Path
):
    """Half files, and videos of ended deliveries."""
    downloads.go.set()
    kept = await shelf.video("t1", URL)
    await shelf.video("t2", URL)
    (tmp_path / "half.part").write_bytes(b"")
    (tmp_path / "folder").mkdir()

    assert await shelf.sweep(["t1", "t9"]) == 2
    left = await asyncio.to_thread(lambda: {path.name for path in tmp_path.iterdir()})
    assert left == {kept.name, "folder"}


async def test_smaller_video_stays_and_goes_with_the_whole_one(
    shelf: Shelf, downloads: HeldDownloads, tmp_path: Path
):
    downloads.go.set()
    await shelf.video("t1", URL)
    smaller = await shelf.fitted("t1", 10)
    assert await shelf.sweep(["t1"]) == 0
    assert smaller.exists()

    await shelf.remove("t1")

    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_tidying_leaves_downloads_alone(shelf: Shelf, downloads: HeldDownloads, tmp_path: Path):
    """It runs every hour, while others are on their way."""
    downloads.go.set()
    await shelf.video("t1", URL)
    part = tmp_path / "half.mp4.0123.part"
    part.write_bytes(b"")

    assert await shelf.tidy([]) == 1
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [part]


async def test_half_file_that_nobody_writes_any_more_goes(shelf: Shelf, tmp_path: Path):
    """What a dead process left in a folder that others share: they never sweep it."""
    part = tmp_path / "half.mp4.0123.part"
    part.write_bytes(b"")
    yesterday = time.time() - DAY / SECOND
    os.utime(part, (yesterday, yesterday))

    assert await shelf.tidy([]) == 1
    assert not part.exists()


class Vanishing(HeldDownloads):
    """Another process posts and removes the file as soon as it is there."""

    async def fetch(self, url: str, destination: Path) -> object:
        await super().fetch(url, destination)
        return await asyncio.to_thread(destination.unlink)


async def test_file_that_another_process_removed_is_fetched_again_later(tmp_path: Path):
    """It had posted the result: whoever still needs the file tries again, if anybody does."""
    downloads = Vanishing()
    downloads.go.set()

    with pytest.raises(DownloadInterrupted, match="removed meanwhile"):
        await Shelf(tmp_path, downloads, OneByteFitter()).video("t1", URL)


async def test_file_that_has_gone_is_not_called_unfit(tmp_path: Path, downloads: HeldDownloads):
    """The channel would get a link for a video that fits."""

    class Unable(OneByteFitter):
        async def fit(self, source: Path, destination: Path, *, limit: int) -> object:
            raise CannotFit("no such file")

    shelf = Shelf(tmp_path, downloads, Unable())
    with pytest.raises(DownloadInterrupted, match="removed meanwhile"):
        await shelf.fitted("t1", 10)

    downloads.go.set()
    await shelf.video("t1", URL)
    with pytest.raises(CannotFit):
        await shelf.fitted("t1", 10)


async def test_sweep_makes_a_missing_folder(tmp_path: Path, downloads: HeldDownloads):
    """The first start."""
    folder = tmp_path / "data" / "videos"

    assert await Shelf(folder, downloads, OneByteFitter()).sweep([]) == 0
    assert folder.is_dir()


async def test_sweep_of_no_folder_at_all_is_unavailable_storage(tmp_path: Path, downloads: HeldDownloads):
    """A file stands where the folder should be."""
    (tmp_path / "videos").write_bytes(b"")

    with pytest.raises(StorageUnavailable, match="cannot be tidied"):
        await Shelf(tmp_path / "videos", downloads, OneByteFitter()).sweep([])


async def test_lock_lets_one_in_per_key_in_order():
    """And others by another key at the same time."""
    lock = KeyedLock()
    order: list[str] = []

    async def visit(key: str, name: str) -> None:
        async with lock.hold(key):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(visit("k", "1"), visit("k", "2"), visit("j", "3"))

    assert [step for step in order if step[0] != "3"] == ["1 in", "1 out", "2 in", "2 out"]
    assert order.index("3 in") < order.index("1 out")


async def test_lock_holds_nothing_for_keys_that_nobody_waits_for():
    """Ids are many."""
    lock = KeyedLock()

    async def fail(key: int) -> None:
        async with lock.hold(key):
            await asyncio.sleep(0)
            raise LookupError

    jobs = [asyncio.create_task(fail(number % 3)) for number in range(9)]
    await asyncio.sleep(0)
    jobs[-1].cancel()
    await asyncio.gather(*jobs, return_exceptions=True)

    assert lock._locks == {}
