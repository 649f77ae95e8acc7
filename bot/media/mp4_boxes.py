"""Reads the boxes of an MP4 (ISO/IEC 14496-12, section 4.2). The work is bounded: the file is not trusted."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# Headers read per file. A film of two hours in fragments of a second has some 80,000.
_MAX_BOXES = 1 << 17
# Table entries read per file: some eight bytes each, read in pieces.
_MAX_ENTRIES = 1 << 22
_ENTRIES_PER_READ = 1 << 14
_HEADER = 8
_LARGE_HEADER = 16


class NotAnMp4(ValueError):
    """The file is something else, or an MP4 without a whole film."""


class Mp4CutShort(NotAnMp4):
    """The file begins as an MP4, and its end is missing."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box. `start`, `content` and `end` are offsets in the file;

    `end` may lie behind the end of the file.
    """

    kind: bytes
    start: int
    content: int
    end: int


class BoxReader:
    """Reads one file. Raises NotAnMp4 when it has too many boxes or entries. `size` is in bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._boxes_left = _MAX_BOXES
        self._entries_left = _MAX_ENTRIES
        self.size = file.seek(0, os.SEEK_END)

    def box_at(self, start: int, end: int) -> Box | None:
        """Return the box that begins at `start`; None when zeros or fewer than 8 bytes are there."""
        if end - start < _HEADER:
            return None
        self._count_box()
        header = self._read_bytes(start, min(_LARGE_HEADER, end - start))
        size, kind, length = int.from_bytes(header[:4]), header[4:8], _HEADER
        if size == 1:  # the size follows, in 64 bits
            length = _LARGE_HEADER
            size = int.from_bytes(header[8:]) if len(header) == length else length
        elif size == 0 and kind != bytes(4):  # it extends to the end
            size = end - start
        return Box(kind, start, start + length, start + size) if size >= length else None

    def children(self, parent: Box, *, skip: int = 0) -> Iterator[Box]:
        """Yield the boxes inside `parent`, after `skip` bytes of fields.

        They end at the first damaged one, because players ignore what follows it.
        """
        start, end = parent.content + skip, min(parent.end, self.size)
        while (box := self.box_at(start, end)) is not None and box.end <= end:
            yield box
            start = box.end

    def find(self, parent: Box, *kinds: bytes) -> Box | None:
        """Return the first box of `kinds[0]` in `parent`, in it the first of `kinds[1]`, and so on;

        None without.
        """
        found: Box | None = parent
        for kind in kinds:
            if found is None:
                break
            found = next((box for box in self.children(found) if box.kind == kind), None)
        return found

    def field(self, box: Box, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset` in the content of `box`. Raises NotAnMp4 when it is shorter."""
        start = box.content + offset
        if start + length > min(box.end, self.size):
            raise NotAnMp4(f"the {box.kind!r} box is shorter than its fields")
        return self._read_bytes(start, length)

    def number(self, box: Box, offset: int, length: int = 4) -> int:
        """Return the unsigned number of `length` bytes at `offset` in the content of `box`.

        Raises NotAnMp4.
        """
        return int.from_bytes(self.field(box, offset, length))

    def table(self, box: Box, offset: int, layout: str, count: int) -> Iterator[tuple[int, ...]]:
        """Yield `count` entries from `offset` in the content of `box`; `layout` is one of `struct`.

        Raises NotAnMp4 when they are not all inside the box, or when all tables together are too long.
        """
        width, start = struct.calcsize(layout), box.content + offset
        self._entries_left -= count
        if self._entries_left < 0:
            raise NotAnMp4("the tables are too long")
        if start + count * width > min(box.end, self.size):
            raise NotAnMp4(f"the table of the {box.kind!r} box is longer than the box")
        for first in range(0, count, _ENTRIES_PER_READ):
            entries = min(_ENTRIES_PER_READ, count - first)
            yield from struct.iter_unpack(layout, self._read_bytes(start + first * width, entries * width))

    def _count_box(self) -> None:
        self._boxes_left -= 1
        if self._boxes_left < 0:
            raise NotAnMp4("too many boxes")

    def _read_bytes(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(length)
        if len(data) < length:  # the file is shortened while it is read
            raise NotAnMp4("the file became shorter")
        return data
