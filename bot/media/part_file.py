"""A file that gets its name only when it is whole: written beside it, checked, renamed.

Everything that touches the disk runs in a thread and is waited for even when the caller is
cancelled: closing or removing a file under a running write would fail, or leave the file behind.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from bot.aio import finish
from bot.core.errors import StorageUnavailable
from bot.media.mp4 import inspect_mp4

# One thread hop per MiB: often enough to bound memory, seldom enough to cost nothing.
_PIECE = 1 << 20
# Left free for the database and the logs, which must go on when a video does not fit.
RESERVE = 64 << 20

_Result = TypeVar("_Result")


class PartFile:
    """Use as `async with`. Unless `keep` succeeded, nothing is left behind. `expected_size` in bytes."""

    def __init__(self, destination: Path, *, expected_size: int) -> None:
        self._destination = destination
        self._path = temporary_path(destination)
        self._expected_size = expected_size
        self._file: BinaryIO | None = None
        self._pending = bytearray()

    async def __aenter__(self) -> Self:
        try:
            await _on_disk(self._open)
        except BaseException:
            await _on_disk(self._discard)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await _on_disk(self._discard)

    async def write(self, chunk: bytes) -> None:
        """Goes to the disk in pieces; at most one piece and one chunk are in memory."""
        self._pending += chunk
        if len(self._pending) >= _PIECE:
            await self._flush()

    async def keep(self) -> None:
        """Raises NotAnMp4; the destination appears only after the bytes are safe and checked."""
        await self._flush()
        await _on_disk(self._finish)

    async def _flush(self) -> None:
        piece, self._pending = self._pending, bytearray()
        await _on_disk(lambda: self._write(piece))

    def _open(self) -> None:
        check_disk_space(self._path.parent, self._expected_size)
        self._file = self._path.open("xb")

    def _write(self, piece: bytearray) -> None:
        assert self._file is not None  # noqa: S101 - written only inside `async with`
        self._file.write(piece)

    def _finish(self) -> None:
        assert self._file is not None  # noqa: S101
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        inspect_mp4(self._path)
        self._path.replace(self._destination)

    def _discard(self) -> None:
        """Best effort: a full disk fails again when the buffer is closed."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


async def _on_disk(work: Callable[[], _Result]) -> _Result:
    try:
        return await finish(asyncio.to_thread(work))
    except OSError as error:
        raise StorageUnavailable(f"The video could not be written ({error.strerror}).") from error


def temporary_path(destination: Path) -> Path:
    """A new name beside `destination`. What a crash leaves there is removed by its ending, `.part`."""
    return destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.part")


def check_disk_space(folder: Path, size: int) -> None:
    """Raises StorageUnavailable when `size` bytes more would leave too little space. Blocking."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageUnavailable(f"The disk cannot be looked at ({error.strerror}).") from error
    if free < size + RESERVE:
        raise StorageUnavailable("There is not enough room on the disk for the video.")
