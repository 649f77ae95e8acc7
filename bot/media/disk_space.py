"""The free space of the disk, and the part of it that running downloads have reserved."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from bot.core.errors import StorageUnavailable

# Left free for the database and the logs, which must go on when a video does not fit.
RESERVE = 64 << 20


class DiskSpace:
    """The free space of a disk, less what all downloads of this process are still going to write.

    Used from threads. `free` returns how many bytes the disk of a folder has left.
    """

    def __init__(self, *, reserve: int = RESERVE, free: Callable[[Path], int] | None = None) -> None:
        self._reserve = reserve
        self._free = free or free_bytes
        self._promised: dict[object, int] = {}
        self._lock = threading.Lock()

    def promise(self, download: object, folder: Path, size: int) -> None:
        """Reserve `size` bytes for `download`. Raises StorageUnavailable when too little would be left."""
        with self._lock:
            others = sum(self._promised.values()) - self._promised.get(download, 0)
            if self._free(folder) < others + size + self._reserve:
                raise StorageUnavailable("There is not enough space on the disk for the video.")
            self._promised[download] = size

    def written(self, download: object, size: int) -> None:
        """Count `size` promised bytes as written to the disk."""
        with self._lock:
            self._promised[download] = max(self._promised.get(download, 0) - size, 0)

    def release(self, download: object) -> None:
        """Drop the promise of a download that writes nothing more."""
        with self._lock:
            self._promised.pop(download, None)


def free_bytes(folder: Path) -> int:
    """Return how many bytes may be written to the disk of `folder`. Blocking. Raises StorageUnavailable."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageUnavailable(f"The disk's free space cannot be read ({error.strerror}).") from error


def check_disk_space(folder: Path, size: int) -> None:
    """Raise StorageUnavailable when `size` bytes more would leave too little space. Blocking."""
    if free_bytes(folder) < size + RESERVE:
        raise StorageUnavailable("There is not enough space on the disk for the video.")
