"""Whether the disk has room for a video, asked before one is written."""

import shutil
from pathlib import Path

from bot.core.errors import StorageUnavailable

# Left free for the database and the logs, which must go on when a video does not fit.
RESERVE = 64 << 20


def check_room(folder: Path, size: int) -> None:
    """Blocking. Raises StorageUnavailable when `size` bytes more would leave too little."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageUnavailable(f"The disk cannot be looked at ({error.strerror}).") from error
    if free < size + RESERVE:
        raise StorageUnavailable("There is not enough room on the disk for the video.")
