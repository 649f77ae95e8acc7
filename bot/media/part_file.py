"""A download on the disk: written beside its destination, checked, renamed when it is whole.

The part of an interrupted download stays, so that the next try can resume it, also in another process.
Everything that touches the disk runs in a thread, and is waited for even when the caller is cancelled.
Otherwise a file would be closed or removed during a write, which fails or leaves the file behind.
"""

import asyncio
import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeVar

from filelock import lock_descriptor

from bot.aio import finish
from bot.core.errors import StorageUnavailable
from bot.media.disk_space import DiskSpace
from bot.media.mp4 import Mp4, inspect_mp4

# Bytes that are written by one call in a thread: few enough for memory, many enough for speed.
_PIECE: Final = 1 << 20
# Bytes that are written between two checks of the free space.
_CHECK_EVERY: Final = 4 << 20
# Windows cannot rename or remove an open file; elsewhere it stays open, because closing it ends its lock.
_CLOSED_FIRST: Final = os.name == "nt"
# Errors of a file system without locks. Each download there uses a private part.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Representation:
    """The video that a part file holds the beginning of (RFC 9110, 3.2).

    `link` is a digest of the link. `validator` is what If-Range may carry (None: the part cannot be resumed).
    `length` is in bytes, None when the host did not state it.
    """

    link: str
    validator: str | None
    length: int | None

    @property
    def has_etag(self) -> bool:
        """Whether the validator is a strong ETag, which is quoted, and not a date."""
        return self.validator is not None and self.validator.startswith('"')

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Read the file beside a part; None when it is damaged."""
        try:
            data = json.loads(text)
            link, validator, length = data["link"], data["validator"], data["length"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        known = isinstance(link, str) and isinstance(validator, str | None)
        return cls(link, validator, length) if known and isinstance(length, int | None) else None


class PartFile:
    """The part file of one download, used with `async with`, which locks it against other processes.

    While another download has the lock, this one uses a private part, which never stays. At the end the part
    stays when it can be resumed. Nothing stays after `discard`, a full disk or `keep`. Raises
    StorageUnavailable.
    """

    def __init__(self, destination: Path, disk: DiskSpace) -> None:
        self._destination = destination
        self._path, self._sidecar = part_paths(destination)
        self._disk = disk
        self._file: BinaryIO | None = None
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._representation: Representation | None = None
        self._size = 0
        self._began_at = 0
        self._checked_to = 0
        self._discarded = False
        self._renamed = False
        self._is_private = False

    @property
    def size(self) -> int:
        """How many bytes of the video are here, those in memory included."""
        return self._size

    @property
    def received(self) -> int:
        """How many bytes this download brought."""
        return self._size - self._began_at

    @property
    def representation(self) -> Representation | None:
        """The video that the part is the beginning of; None when it is unknown or nothing is here."""
        return self._representation

    async def __aenter__(self) -> Self:
        try:
            await _on_disk(self._open)
        except BaseException:
            await _on_disk(self._close)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._discarded |= isinstance(error, StorageUnavailable)
        await _on_disk(self._close)

    async def begin(self, representation: Representation, at: int) -> None:
        """Keep the first `at` bytes; the next writes are bytes of `representation` from there on."""
        await _on_disk(lambda: self._begin(representation, at))

    async def write(self, chunk: bytes) -> None:
        """Add bytes. They go to the disk in pieces, so at most one piece and one chunk are in memory."""
        self._pending.append(chunk)
        self._pending_size += len(chunk)
        self._size += len(chunk)
        if self._pending_size >= _PIECE:
            await _on_disk(self._flush)

    async def keep(self) -> Mp4:
        """Check the file, and rename it to the destination once its bytes are safe on the disk.

        Raises NotAnMp4, and Mp4CutShort if bytes are missing of a file of unknown length.
        """
        return await _on_disk(self._finish)

    def discard(self) -> None:
        """Leave nothing behind, because these bytes are of no use."""
        self._discarded = True
        self._began_at = self._size

    def _open(self) -> None:
        self._file = _open_locked(self._path)
        if self._file is None:
            # This download uses a private part, because the lock's process may be frozen.
            self._path, self._sidecar = _private_paths(self._destination)
            self._is_private = True
            self._file = self._path.open("xb")
        size = self._file.seek(0, os.SEEK_END)
        self._representation = self._read_sidecar() if size else None
        if self._representation is not None:
            self._size = self._began_at = size

    def _read_sidecar(self) -> Representation | None:
        try:
            return Representation.from_text(self._sidecar.read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _begin(self, representation: Representation, at: int) -> None:
        """Cut the file, then write the sidecar. In this order a crash in between leaves no wrong pair."""
        self._opened.truncate(at)
        self._size = self._began_at = self._checked_to = at
        self._promise(0 if representation.length is None else representation.length - at)
        self._sidecar.write_text(json.dumps(asdict(representation)), encoding="utf-8")
        self._representation = representation

    def _promise(self, size: int) -> None:
        self._disk.promise(self, self._path.parent, size)

    def _flush(self) -> None:
        """Write the pending bytes. Every few MiB check first whether the disk has space for the rest."""
        piece, self._pending = self._pending, []
        size, self._pending_size = self._pending_size, 0
        if not piece:
            return
        start = self._size - size
        if start + size > self._checked_to:
            length = self._representation.length if self._representation else None
            self._promise(size + _CHECK_EVERY if length is None else max(length - start, size))
            self._checked_to = start + size + _CHECK_EVERY
        self._opened.writelines(piece)
        self._opened.flush()
        self._disk.written(self, size)

    def _finish(self) -> Mp4:
        self._flush()
        os.fsync(self._opened.fileno())
        known = self._representation is not None and self._representation.length is not None
        found = inspect_mp4(self._path, length_known=known)
        if _CLOSED_FIRST:
            self._opened.close()
        # Before the rename, because afterwards both names may belong to another download.
        self._sidecar.unlink(missing_ok=True)
        self._path.replace(self._destination)
        self._renamed = True
        return found

    def _close(self) -> None:
        """Close or remove the files.

        Errors are ignored, because a full disk fails again when the buffer is closed.
        """
        if self._file is None:
            return
        stays = not self._renamed and self._can_stay()
        with contextlib.suppress(OSError):
            if _CLOSED_FIRST:
                self._file.close()
            if not stays and not self._renamed:
                self._sidecar.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._file.close()
        self._disk.release(self)

    def _can_stay(self) -> bool:
        """Whether all bytes are on the disk, and can be resumed."""
        known = self._representation is not None and self._representation.validator is not None
        if self._discarded or self._is_private or not known or not self._size:
            return False
        try:
            self._flush()
        except (OSError, StorageUnavailable):
            return False
        return True

    @property
    def _opened(self) -> BinaryIO:
        assert self._file is not None  # noqa: S101 - used only inside `async with`
        return self._file


def _open_locked(path: Path) -> BinaryIO | None:
    """Open for appending, and lock; None when another download has the lock, or locks do not work.

    Tries again when the previous owner of the lock has renamed or removed the file meanwhile.
    """
    while True:
        file = path.open("a+b")
        try:
            if not lock_descriptor(file.fileno(), blocking=False):
                file.close()
                return None
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass  # removed after it was opened: open the path again
        except BaseException as error:
            file.close()
            if isinstance(error, OSError) and error.errno in _NO_LOCKS:
                return None
            raise
        file.close()


async def _on_disk(work: Callable[[], _Result]) -> _Result:
    try:
        return await finish(asyncio.to_thread(work))
    except OSError as error:
        raise StorageUnavailable(f"The video could not be written ({error.strerror}).") from error


def part_paths(destination: Path) -> tuple[Path, Path]:
    """Return the part file of `destination`, and the small file (sidecar) that describes it."""
    part = destination.with_name(f"{destination.name}.part")
    return part, part.with_name(f"{part.name}.json")


def _private_paths(destination: Path) -> tuple[Path, Path]:
    part = temporary_path(destination)
    return part, part.with_name(f"{part.name}.json")


def temporary_path(destination: Path) -> Path:
    """Return a new name beside `destination`.

    After a crash the file is removed because of its ending `.part`.
    """
    return destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.part")
