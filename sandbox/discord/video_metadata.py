"""Reads an MP4's size and length from its boxes (ISO/IEC 14496-12), as Discord does for an upload."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sandbox.discord.message_parts import VideoMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRACTION_BITS = 16


def read(content: bytes) -> VideoMetadata | None:
    """The size and length of a video; None when its boxes do not tell them."""
    try:
        return _metadata(content)
    except struct.error:
        return None


def _metadata(content: bytes) -> VideoMetadata | None:
    moov = next(_boxes(content, b"moov"), b"")
    sizes = [_track_size(tkhd) for trak in _boxes(moov, b"trak") for tkhd in _boxes(trak, b"tkhd")]
    header = next(_boxes(moov, b"mvhd"), None)
    shown = [size for size in sizes if all(size)]
    if header is None or not shown:
        return None
    return VideoMetadata(*shown[0], seconds=_seconds(header))


def _boxes(content: bytes, kind: bytes) -> Iterator[bytes]:
    """The contents of the boxes of this kind, without those inside other boxes."""
    at = 0
    while at + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", content, at + 8)[0], 16
        elif size == 0:
            size = len(content) - at
        if size < head:
            return
        if name == kind:
            yield content[at + head : at + size]
        at += size


def _track_size(tkhd: bytes) -> tuple[int, int]:
    """Width and height, which are the last two numbers of a track header; a sound track has zeros."""
    width, height = struct.unpack_from(">II", tkhd, len(tkhd) - 8)
    return width >> _FRACTION_BITS, height >> _FRACTION_BITS


def _seconds(mvhd: bytes) -> float:
    scale, duration = struct.unpack_from(">IQ", mvhd, 20) if mvhd[:1] == b"\x01" else _short(mvhd)
    return round(duration / scale, 3) if scale else 0.0


def _short(mvhd: bytes) -> tuple[int, int]:
    scale, duration = struct.unpack_from(">II", mvhd, 12)
    return scale, duration
