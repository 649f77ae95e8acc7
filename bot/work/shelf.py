"""The videos on our disk: fetched once per task, kept until no channel is owed them any more."""

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bot.core.errors import CannotFit, DownloadInterrupted, StorageUnavailable
from bot.core.meter import UNMETERED, Meter
from bot.work.locks import KeyedLock

logger = logging.getLogger(__name__)

# A part is written to every few seconds while it grows.
_HALF_FILES_REST = 6 * 3600.0


class Downloader(Protocol):
    """Writes a checked MP4, whole or not at all."""

    async def fetch(self, url: str, destination: Path) -> object:
        """Raises DownloadInterrupted, LinkRefused, VideoUnusable, StorageUnavailable."""
        ...


class Fitter(Protocol):
    """Makes an MP4 smaller."""

    async def fit(self, source: Path, destination: Path, *, limit: int) -> object:
        """`destination` is whole and at most `limit` bytes. Raises CannotFit, StorageUnavailable."""
        ...


class Shelf:
    """A file under its final name is complete and checked; that is all there is to remember."""

    def __init__(
        self, folder: Path, downloader: Downloader, fitter: Fitter, meter: Meter = UNMETERED
    ) -> None:
        self._folder = folder
        self._downloader = downloader
        self._fitter = fitter
        self._meter = meter
        self._fetching = KeyedLock()

    async def video(self, task_id: str, url: str) -> Path:
        """The task's MP4, downloaded if it is not here yet. Several channels wait for one download."""
        path = self._path(task_id)
        async with self._fetching.hold(task_id):
            if not await asyncio.to_thread(path.exists):
                await self._fetch(task_id, url, path)
        return path

    async def _fetch(self, task_id: str, url: str, path: Path) -> None:
        began = time.monotonic()
        await self._downloader.fetch(url, path)
        seconds, size = time.monotonic() - began, await self.size(path)
        self._meter.downloaded(size, seconds)
        logger.info("%s: %d bytes downloaded in %.1f s", task_id, size, seconds)

    async def size(self, path: Path) -> int:
        """In bytes. Raises DownloadInterrupted when the file has gone.

        Another channel's delivery, maybe another process's, ended and tidied up since we looked for it.
        """
        try:
            return (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError as error:
            raise DownloadInterrupted("the video's file was removed meanwhile") from error

    async def has(self, task_id: str) -> bool:
        """Whether it can be posted though its link is dead."""
        return await asyncio.to_thread(self._path(task_id).exists)

    async def fitted(self, task_id: str, limit: int) -> Path:
        """A version of `video` of at most `limit` bytes, made if it is not here yet.

        Raises CannotFit, DownloadInterrupted.
        """
        whole = self._path(task_id)
        smaller = whole.with_name(f"{whole.stem}.{limit}.mp4")
        async with self._fetching.hold(task_id):
            if not await asyncio.to_thread(smaller.exists):
                await self._fit(whole, smaller, limit)
        return smaller

    async def _fit(self, whole: Path, smaller: Path, limit: int) -> None:
        try:
            await self._fitter.fit(whole, smaller, limit=limit)
        except CannotFit:
            await self.size(whole)  # what has gone cannot be made to fit
            raise

    async def remove(self, task_id: str) -> None:
        """Nobody is owed it any more."""
        await asyncio.to_thread(self._remove, self._path(task_id).stem)

    def _remove(self, stem: str) -> None:
        for path in self._folder.glob(f"{stem}*.mp4"):
            path.unlink(missing_ok=True)

    async def sweep(self, keep: Iterable[str]) -> int:
        """Remove what a crash left: half files, and videos that nobody is owed. Returns how many."""
        return await self._remove_all_but(keep, half_before=math.inf)

    async def tidy(self, keep: Iterable[str]) -> int:
        """The same while others are on their way here, by this process or one that shares the folder.

        A half file that nobody has written to for hours is on nobody's way.
        """
        return await self._remove_all_but(keep, half_before=time.time() - _HALF_FILES_REST)

    async def _remove_all_but(self, keep: Iterable[str], *, half_before: float) -> int:
        stems = {self._path(task_id).stem for task_id in keep}
        try:
            return await asyncio.to_thread(self._sweep, stems, half_before)
        except OSError as error:
            raise StorageUnavailable(f"the video folder cannot be tidied: {error.strerror}") from error

    def _sweep(self, stems: set[str], half_before: float) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        files = [path for path in self._folder.glob("*") if path.is_file()]
        stale = [path for path in files if _is_stale(path, stems, half_before)]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, task_id: str) -> Path:
        """By hash: an id may hold what a file system does not tell apart, or does not take."""
        return self._folder / f"{hashlib.sha256(task_id.encode()).hexdigest()[:32]}.mp4"


def _is_stale(path: Path, stems: set[str], half_before: float) -> bool:
    """A video, whole or made to fit, that nobody is owed; a part of either that nobody writes any more."""
    if path.suffix == ".mp4":
        return path.name.partition(".")[0] not in stems
    try:
        return path.stat().st_mtime < half_before
    except FileNotFoundError:
        return False  # whole or discarded since
