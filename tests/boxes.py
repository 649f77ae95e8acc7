"""Writes MP4 files box by box, so that a test can make any field wrong (ISO/IEC 14496-12)."""

import struct

FTYP_CONTENT = b"isom\x00\x00\x02\x00isomiso2avc1mp41"
SAMPLE = b"frames"
# Matrices: upright, and turned by 90 degrees.
UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
TURNED = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)


def box(kind: bytes, *content: bytes, size: int | None = None) -> bytes:
    inside = b"".join(content)
    return (len(inside) + 8 if size is None else size).to_bytes(4) + kind + inside


def large_box(kind: bytes, content: bytes, *, size: int | None = None) -> bytes:
    real = len(content) + 16 if size is None else size
    return (1).to_bytes(4) + kind + real.to_bytes(8) + content


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def full_box(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, bytes([version]), flags.to_bytes(3), *content)


def mvhd(
    timescale: int, duration: int, *, version: int = 0, matrix: tuple[int, ...] | None = UPRIGHT
) -> bytes:
    width = 8 if version else 4
    times = bytes(2 * width) + timescale.to_bytes(4) + duration.to_bytes(width)
    rest = b"" if matrix is None else bytes(16) + struct.pack(">9i", *matrix) + bytes(28)
    return full_box(b"mvhd", times, rest, version=version)


def tkhd(track: int, *, version: int = 0, matrix: tuple[int, ...] = UPRIGHT) -> bytes:
    width = 8 if version else 4
    before = bytes(2 * width) + track.to_bytes(4) + bytes(4 + width + 16)
    return full_box(b"tkhd", before, struct.pack(">9i", *matrix), bytes(8), version=version)


def entry(
    *inside: bytes, kind: bytes = b"avc1", size: tuple[int, int] = (640, 360), profile: int | None = 100
) -> bytes:
    """A VisualSampleEntry. `profile` is the H.264 profile; None leaves avcC out."""
    avcc = b"" if profile is None else box(b"avcC", bytes([1, profile, 0, 31]))
    return box(kind, bytes(24), struct.pack(">HH", *size), bytes(50), avcc, *inside)


def stco(*offsets: int) -> bytes:
    return full_box(b"stco", numbers(len(offsets), *offsets))


def stsc(*runs: tuple[int, int]) -> bytes:
    """First chunk and samples per chunk of each run."""
    return full_box(b"stsc", numbers(len(runs), *(number for run in runs for number in (*run, 1))))


def stsz(*sizes: int, same: int = 0, count: int | None = None) -> bytes:
    return full_box(b"stsz", numbers(same, len(sizes) if count is None else count, *sizes))


def trak(
    *tables: bytes,
    track: int = 1,
    handler: bytes = b"vide",
    header: bytes = b"",
    entries: bytes | None = None,
) -> bytes:
    """`tables` are the boxes of stbl besides stsd."""
    described = entry() if entries is None else entries
    stbl = box(b"stbl", full_box(b"stsd", numbers(1), described), *tables)
    hdlr = full_box(b"hdlr", bytes(4), handler, bytes(12))
    return box(b"trak", header or tkhd(track), box(b"mdia", hdlr, box(b"minf", stbl)))


FTYP = box(b"ftyp", FTYP_CONTENT)
MVHD = mvhd(1000, 8000)
MDAT = box(b"mdat", SAMPLE)
# One sample, in the mdat box directly after ftyp.
AT_ONCE = len(FTYP) + 8
TABLES = stco(AT_ONCE) + stsc((1, 1)) + stsz(len(SAMPLE))
MOOV = box(b"moov", MVHD, trak(TABLES))
FILM = FTYP + MDAT + MOOV
