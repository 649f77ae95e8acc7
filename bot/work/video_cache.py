"""The videos on our disk: downloaded once per task, kept until no channel needs them."""

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

from bot.aio import cancel_all
from bot.core.errors import CannotFit, DownloadInterrupted, StorageUnavailable
from bot.core.results import Video
from bot.media.mp4 import Mp4, NotAnMp4, inspect_mp4
from bot.metrics import Metrics
from bot.work.download_slots import DownloadSlots

logger = logging.getLogger(__name__)

# Seconds. While a partial file grows, it is written to every few seconds.
_PARTIAL_FILES_STAY = 6 * 3600.0


class Downloader(Protocol):
    """Downloads a checked MP4, whole or not at all. An interrupted download is resumed."""

    async def fetch(
        self, url: str, destination: Path, *, timeout: float, on_progress: Callable[[int], None]
    ) -> Mp4:
        """Download `url` to `destination`. `timeout` in seconds; `on_progress` gets the bytes that are here.

        Raises DownloadInterrupted, LinkRefused, VideoUnusable, StorageUnavailable.
        """
        ...


class Fitter(Protocol):
    """Makes an MP4 smaller."""

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        """Write a whole version of at most `limit` bytes to `destination`.

        Raises CannotFit, StorageUnavailable.
        """
        ...


class VideoCache:
    """The video folder. A file under its final name is complete and checked, so nothing else is stored."""

    def __init__(
        self,
        folder: Path,
        downloader: Downloader,
        fitter: Fitter,
        metrics: Metrics,
        slots: DownloadSlots | None = None,
    ) -> None:
        self._folder = folder
        self._downloader = downloader
        self._fitter = fitter
        self._metrics = metrics
        self._slots = slots or DownloadSlots()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._downloads: dict[str, _SharedDownload] = {}

    async def find(self, task_id: str) -> Video | None:
        """Return the task's MP4, if it is here. A damaged file is removed."""
        path = self._path(task_id)
        try:
            return _video(path, await asyncio.to_thread(inspect_mp4, path))
        except FileNotFoundError:
            return None
        except NotAnMp4:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            return None

    async def download(self, task_id: str, url: str, person_id: int, timeout: float) -> Video:
        """Return the task's MP4, downloaded if it is not here. Several channels wait for one download.

        `timeout` in seconds, including the wait for a slot. Raises TimeoutError, DownloadInterrupted,
        LinkRefused, VideoUnusable, StorageUnavailable.
        """
        if found := await self.find(task_id):
            return found
        shared = self._downloads.get(task_id)
        if shared is None:
            job = asyncio.create_task(self._fetch_video(task_id, url, person_id, timeout), name="download")
            shared = self._downloads[task_id] = _SharedDownload(job)
        shared.users += 1
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(shared.job)
        finally:
            await self._leave_download(task_id, shared)

    async def _leave_download(self, task_id: str, shared: "_SharedDownload") -> None:
        """Leave a download. The last one who waits for it ends it."""
        shared.users -= 1
        if shared.users == 0 or shared.job.done():
            if self._downloads.get(task_id) is shared:
                del self._downloads[task_id]
            await cancel_all(shared.job)

    def _task_lock(self, task_id: str) -> asyncio.Lock:
        """Return the task's lock, which is dropped when its last user leaves."""
        return self._locks.setdefault(task_id, asyncio.Lock())

    async def _fetch_video(self, task_id: str, url: str, person_id: int, timeout: float) -> Video:
        path, began = self._path(task_id), time.monotonic()
        mp4 = await self._slots.run(
            person_id,
            lambda on_progress: self._downloader.fetch(url, path, timeout=timeout, on_progress=on_progress),
        )
        seconds = time.monotonic() - began
        self._metrics.downloaded(mp4.size, seconds)
        logger.info("%s: %d bytes downloaded in %.1f s", task_id, mp4.size, seconds)
        return _video(path, mp4)

    async def fitted(self, task_id: str, limit: int) -> Video:
        """Return a version of the video of at most `limit` bytes, made if it is not here yet.

        Raises CannotFit, StorageUnavailable, and DownloadInterrupted when the video was removed meanwhile.
        """
        whole = self._path(task_id)
        smaller = whole.with_name(f"{whole.stem}.{limit}.mp4")
        async with self._task_lock(task_id):
            if not await asyncio.to_thread(smaller.exists):
                await self._fit_video(whole, smaller, limit)
            try:
                return _video(smaller, await asyncio.to_thread(inspect_mp4, smaller))
            except FileNotFoundError as error:
                raise DownloadInterrupted("the video's file was removed meanwhile") from error

    async def _fit_video(self, whole: Path, smaller: Path, limit: int) -> None:
        try:
            await self._fitter.fit(whole, smaller, limit=limit)
        except CannotFit as error:
            if not await asyncio.to_thread(whole.exists):
                # Another channel's delivery, perhaps in another process, removed the file when it ended.
                raise DownloadInterrupted("the video's file was removed meanwhile") from error
            raise

    async def remove(self, task_id: str) -> None:
        """Remove the files of a task that no channel is owed. Raises StorageUnavailable."""
        try:
            await asyncio.to_thread(self._remove_files, self._path(task_id).stem)
        except OSError as error:
            raise StorageUnavailable(f"a video cannot be removed: {error.strerror}") from error

    def _remove_files(self, stem: str) -> None:
        for path in self._folder.glob(f"{stem}*"):
            path.unlink(missing_ok=True)

    async def sweep(self, keep: Iterable[str]) -> int:
        """Remove files of tasks not in `keep`, and unfinished conversions; returns how many.

        Only at the start.
        """
        return await self._remove_all_but(keep, partial_before=math.inf)

    async def tidy(self, keep: Iterable[str]) -> int:
        """Do the same as `sweep`, but safely while downloads run, also in other processes.

        A partial file is removed only if it has not been written to for six hours.
        """
        return await self._remove_all_but(keep, partial_before=time.time() - _PARTIAL_FILES_STAY)

    async def _remove_all_but(self, keep: Iterable[str], *, partial_before: float) -> int:
        stems = {self._path(task_id).stem for task_id in keep}
        try:
            return await asyncio.to_thread(self._remove_stale, stems, partial_before)
        except OSError as error:
            raise StorageUnavailable(f"the video folder cannot be tidied: {error.strerror}") from error

    def _remove_stale(self, stems: set[str], partial_before: float) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        files = [path for path in self._folder.glob("*") if path.is_file()]
        stale = [path for path in files if _is_stale(path, stems, partial_before)]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, task_id: str) -> Path:
        """Return the file's path.

        Its name is a hash, because an id may hold characters that a file system refuses.
        """
        return self._folder / f"{hashlib.sha256(task_id.encode()).hexdigest()[:32]}.mp4"


@dataclass(slots=True)
class _SharedDownload:
    """One download, and how many deliveries wait for it."""

    job: asyncio.Task[Video]
    users: int = 0


def _video(path: Path, mp4: Mp4) -> Video:
    return Video(
        path,
        mp4.size,
        mp4.width,
        mp4.height,
        seconds=mp4.seconds,
        codec=mp4.codec,
        plays_in_discord=mp4.plays_in_discord,
    )


def _is_stale(path: Path, stems: set[str], partial_before: float) -> bool:
    """Whether a file is of no use: no channel needs it, and no process writes or resumes it."""
    stem, _, ending = path.name.partition(".")
    if stem in stems and (path.suffix == ".mp4" or ending.startswith("mp4.part")):
        return False  # a video, or a download that can be resumed
    if path.suffix == ".mp4":
        return True
    try:
        return path.stat().st_mtime < partial_before
    except FileNotFoundError:
        return False  # renamed or removed meanwhile
