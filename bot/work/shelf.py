"""The videos on our disk: fetched once per task, kept until no channel is owed them any more."""

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bot.core.errors import StorageUnavailable
from bot.work.locks import KeyedLock

logger = logging.getLogger(__name__)


class Downloader(Protocol):
    """Writes a checked MP4, whole or not at all."""

    async def fetch(self, url: str, destination: Path) -> object:
        """Raises DownloadInterrupted, LinkRefused, VideoUnusable, StorageUnavailable."""
        ...


class Shelf:
    """A file under its final name is complete and checked; that is all there is to remember."""

    def __init__(self, folder: Path, downloader: Downloader) -> None:
        self._folder = folder
        self._downloader = downloader
        self._fetching = KeyedLock()

    async def video(self, task_id: str, url: str) -> Path:
        """The task's MP4, downloaded if it is not here yet. Several channels wait for one download."""
        path = self._path(task_id)
        async with self._fetching.hold(task_id):
            if not await asyncio.to_thread(path.exists):
                await self._downloader.fetch(url, path)
        return path

    async def remove(self, task_id: str) -> None:
        """Nobody is owed it any more."""
        await asyncio.to_thread(self._path(task_id).unlink, missing_ok=True)

    async def sweep(self, keep: Iterable[str]) -> int:
        """Remove what a crash left: half files, and videos that nobody is owed. Returns how many."""
        names = {self._path(task_id).name for task_id in keep}
        try:
            return await asyncio.to_thread(self._sweep, names)
        except OSError as error:
            raise StorageUnavailable(f"the video folder cannot be tidied: {error.strerror}") from error

    def _sweep(self, names: set[str]) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        stale = [path for path in self._folder.iterdir() if path.is_file() and path.name not in names]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, task_id: str) -> Path:
        """By hash: an id may hold what a file system does not tell apart, or does not take."""
        return self._folder / f"{hashlib.sha256(task_id.encode()).hexdigest()[:32]}.mp4"
