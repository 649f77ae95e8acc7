"""The smallest MP4 with a picture: one sample, so that thousands of results fit into memory."""

import struct

from sandbox.video_api import Clip

_SAMPLE = b"frames"
_UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_AVC1, _HIGH_PROFILE = b"avc1", 100


def small_clip() -> Clip:
    """ftyp, mdat and moov (ISO/IEC 14496-12), with the sample in the mdat right after ftyp."""
    ftyp = _box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
    mvhd = _full_box(b"mvhd", bytes(8), _numbers(1000, 8000), bytes(16), _UPRIGHT, bytes(28))
    moov = _box(b"moov", mvhd, _track(_samples(at=len(ftyp) + 8)))
    return Clip(ftyp + _box(b"mdat", _SAMPLE) + moov)


def _track(tables: bytes) -> bytes:
    tkhd = _full_box(b"tkhd", bytes(8), _numbers(1), bytes(24), _UPRIGHT, bytes(8))
    hdlr = _full_box(b"hdlr", bytes(4), b"vide", bytes(12))
    return _box(b"trak", tkhd, _box(b"mdia", hdlr, _box(b"minf", _box(b"stbl", tables))))


def _samples(at: int) -> bytes:
    """The description of the one sample, and where it is."""
    codec = _box(b"avcC", bytes([1, _HIGH_PROFILE, 0, 31]))
    entry = _box(_AVC1, bytes(24), struct.pack(">HH", 640, 360), bytes(50), codec)
    return b"".join(
        [
            _full_box(b"stsd", _numbers(1), entry),
            _full_box(b"stco", _numbers(1, at)),
            _full_box(b"stsc", _numbers(1, 1, 1, 1)),
            _full_box(b"stsz", _numbers(0, 1, len(_SAMPLE))),
        ]
    )


def _box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return (len(inside) + 8).to_bytes(4) + kind + inside


def _full_box(kind: bytes, *content: bytes) -> bytes:
    return _box(kind, bytes(4), *content)


def _numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)
