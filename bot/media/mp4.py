"""Is a file an MP4, and how long is the film? Read from the box headers (ISO/IEC 14496-12).

The bytes come from a stranger, so every size is checked and the work is bounded: only headers are read, and
only up to a number of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# A fragmented file has two boxes per fragment; 8 seconds need a few dozen.
_MAX_BOXES = 4096
_MAX_BOXES_IN_MOOV = 256
_MAX_FTYP = 4096
_MAX_SECONDS = 86_400.0


class NotAnMp4(ValueError):
    """The bytes are something else."""


class Mp4CutShort(NotAnMp4):
    """It begins as an MP4 and ends inside a box: more was to come."""


@dataclass(frozen=True, slots=True)
class Mp4:
    """`seconds` is None when the file does not say it, or says nonsense."""

    size: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    content: int
    end: int


def inspect_mp4(path: Path) -> Mp4:
    """Blocking: call it off the event loop. Raises NotAnMp4, or OSError when the disk fails."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        moov = _find_moov(file, size)
        return Mp4(size=size, seconds=_seconds(file, moov))


def _find_moov(file: BinaryIO, size: int) -> _Box:
    """Walks the whole top level: the boxes must fill the file exactly, or bytes are missing."""
    moov = None
    for box in _boxes(file, 0, size, _MAX_BOXES):
        if box.kind == b"moov" and moov is None:
            moov = box
    if moov is None:
        raise NotAnMp4("no moov box")
    return moov


def _check_ftyp(box: _Box) -> None:
    if box.kind != b"ftyp" or not 8 <= box.end - box.content <= _MAX_FTYP:
        raise NotAnMp4("no ftyp box at the start")


def _boxes(file: BinaryIO, start: int, end: int, max_boxes: int) -> Iterator[_Box]:
    count = 0
    while start < end:
        count += 1
        if count > max_boxes:
            raise NotAnMp4("too many boxes")
        box = _box_at(file, start, end)
        if start == 0:  # before the length, because a file that is no MP4 was not cut short
            _check_ftyp(box)
        if box.end > end:
            raise Mp4CutShort("a box is longer than what is left")
        yield box
        start = box.end


def _box_at(file: BinaryIO, start: int, end: int) -> _Box:
    """Size 1: the real size follows in 64 bits. Size 0: up to the end."""
    header = _read(file, start, 8)
    size, content = int.from_bytes(header[:4]), start + 8
    if size == 1:
        size, content = int.from_bytes(_read(file, content, 8)), start + 16
    elif size == 0:
        size = end - start
    if start + size < content:
        raise NotAnMp4("a box is smaller than its own header")
    return _Box(kind=header[4:], content=content, end=start + size)


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    data = file.read(length)
    if len(data) < length:
        raise Mp4CutShort("the file ends inside a header") if start else NotAnMp4("no header")
    return data


def _seconds(file: BinaryIO, moov: _Box) -> float | None:
    """The length, or None: damage inside moov does not matter, because players tolerate it."""
    try:
        inside = _boxes(file, moov.content, moov.end, _MAX_BOXES_IN_MOOV)
        mvhd = next((box for box in inside if box.kind == b"mvhd"), None)
        return None if mvhd is None else _movie_length(file, mvhd)
    except NotAnMp4:
        return None


def _movie_length(file: BinaryIO, mvhd: _Box) -> float | None:
    """Version 1 has 64-bit times. A duration of all ones means "not known"."""
    width = 8 if _read(file, mvhd.content, 1) == b"\x01" else 4
    fields = _read(file, mvhd.content + 4 + 2 * width, 4 + width)
    timescale, duration = int.from_bytes(fields[:4]), int.from_bytes(fields[4:])
    if timescale == 0 or duration == (1 << 8 * width) - 1:
        return None
    seconds = duration / timescale
    return seconds if 0 < seconds <= _MAX_SECONDS else None
