"""The videos on our disk: downloaded once per task, kept until no channel is owed them."""

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

from bot.core.errors import CannotFit, DownloadInterrupted, StorageUnavailable
from bot.metrics import Metrics

logger = logging.getLogger(__name__)

# Seconds. A partial file is written to every few seconds while it grows.
_PARTIAL_FILES_STAY = 6 * 3600.0


class Downloader(Protocol):
    """Downloads a checked MP4, whole or not at all."""

    async def fetch(self, url: str, destination: Path) -> None:
        """Raises DownloadInterrupted, LinkRefused, VideoUnusable, StorageUnavailable."""
        ...


class Fitter(Protocol):
    """Makes an MP4 smaller."""

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        """`destination` is whole and at most `limit` bytes. Raises CannotFit, StorageUnavailable."""
        ...


class VideoCache:
    """The video folder. A file under its final name is complete and checked, so nothing else is stored."""

    def __init__(self, folder: Path, downloader: Downloader, fitter: Fitter, metrics: Metrics) -> None:
        self._folder = folder
        self._downloader = downloader
        self._fitter = fitter
        self._metrics = metrics
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def video(self, task_id: str, url: str) -> Path:
        """The task's MP4, downloaded if it is not here yet. Several channels wait for one download."""
        path = self._path(task_id)
        async with self._lock(task_id):
            if not await asyncio.to_thread(path.exists):
                await self._fetch(task_id, url, path)
        return path

    def _lock(self, task_id: str) -> asyncio.Lock:
        """The task's lock, which is dropped when its last user leaves."""
        return self._locks.setdefault(task_id, asyncio.Lock())

    async def _fetch(self, task_id: str, url: str, path: Path) -> None:
        began = time.monotonic()
        await self._downloader.fetch(url, path)
        seconds, size = time.monotonic() - began, await self.size(path)
        self._metrics.downloaded(size, seconds)
        logger.info("%s: %d bytes downloaded in %.1f s", task_id, size, seconds)

    async def size(self, path: Path) -> int:
        """The size in bytes. Raises DownloadInterrupted when the file has gone.

        The delivery of another channel, perhaps in another process, removed it when it ended.
        """
        try:
            return (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError as error:
            raise DownloadInterrupted("the video's file was removed meanwhile") from error

    async def has(self, task_id: str) -> bool:
        """Whether the video is here, so that it can be posted after its link has ended."""
        return await asyncio.to_thread(self._path(task_id).exists)

    async def fitted(self, task_id: str, limit: int) -> Path:
        """A version of `video` of at most `limit` bytes, made if it is not here yet.

        Raises CannotFit, DownloadInterrupted.
        """
        whole = self._path(task_id)
        smaller = whole.with_name(f"{whole.stem}.{limit}.mp4")
        async with self._lock(task_id):
            if not await asyncio.to_thread(smaller.exists):
                await self._fit(whole, smaller, limit)
        return smaller

    async def _fit(self, whole: Path, smaller: Path, limit: int) -> None:
        try:
            await self._fitter.fit(whole, smaller, limit=limit)
        except CannotFit:
            await self.size(whole)  # raises DownloadInterrupted if the file has gone
            raise

    async def remove(self, task_id: str) -> None:
        """Remove the files of a task that no channel is owed."""
        await asyncio.to_thread(self._remove, self._path(task_id).stem)

    def _remove(self, stem: str) -> None:
        for path in self._folder.glob(f"{stem}*.mp4"):
            path.unlink(missing_ok=True)

    async def sweep(self, keep: Iterable[str]) -> int:
        """Remove partial files, and videos of tasks not in `keep`; returns how many. Only at start."""
        return await self._remove_all_but(keep, partial_before=math.inf)

    async def tidy(self, keep: Iterable[str]) -> int:
        """Like `sweep`, but safe while downloads run, also in other processes.

        A partial file is removed only if it has not been written to for six hours.
        """
        return await self._remove_all_but(keep, partial_before=time.time() - _PARTIAL_FILES_STAY)

    async def _remove_all_but(self, keep: Iterable[str], *, partial_before: float) -> int:
        stems = {self._path(task_id).stem for task_id in keep}
        try:
            return await asyncio.to_thread(self._sweep, stems, partial_before)
        except OSError as error:
            raise StorageUnavailable(f"the video folder cannot be tidied: {error.strerror}") from error

    def _sweep(self, stems: set[str], partial_before: float) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        files = [path for path in self._folder.glob("*") if path.is_file()]
        stale = [path for path in files if _is_stale(path, stems, partial_before)]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, task_id: str) -> Path:
        """The file by hash, because an id may hold characters that a file system refuses or confuses."""
        return self._folder / f"{hashlib.sha256(task_id.encode()).hexdigest()[:32]}.mp4"


def _is_stale(path: Path, stems: set[str], partial_before: float) -> bool:
    """Whether a file is a video that no channel is owed, or a partial file that is no longer written."""
    if path.suffix == ".mp4":
        return path.name.partition(".")[0] not in stems
    try:
        return path.stat().st_mtime < partial_before
    except FileNotFoundError:
        return False  # whole or discarded since
