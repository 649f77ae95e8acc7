"""Box by box: which files are MP4s, how long their films are, and how little is read."""

from pathlib import Path

import pytest

from bot.media.mp4 import Mp4, Mp4CutShort, NotAnMp4, inspect_mp4
from sandbox.video_api import CLIP

FTYP_CONTENT = b"isom\x00\x00\x02\x00isomiso2avc1mp41"


def box(kind: bytes, content: bytes = b"", *, size: int | None = None) -> bytes:
    return (len(content) + 8 if size is None else size).to_bytes(4) + kind + content


def large_box(kind: bytes, content: bytes, *, size: int | None = None) -> bytes:
    real = len(content) + 16 if size is None else size
    return (1).to_bytes(4) + kind + real.to_bytes(8) + content


def mvhd(timescale: int, duration: int, *, version: int = 0) -> bytes:
    width = 8 if version else 4
    times = bytes(2 * width)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + timescale.to_bytes(4) + duration.to_bytes(width))


FTYP = box(b"ftyp", FTYP_CONTENT)
MOOV = box(b"moov", mvhd(1000, 8000))
MDAT = box(b"mdat", b"frames")


@pytest.fixture
def inspect(tmp_path: Path):
    def of(content: bytes) -> Mp4:
        path = tmp_path / "video.mp4"
        path.write_bytes(content)
        return inspect_mp4(path)

    return of


def test_real_clip_is_eight_seconds_long(inspect):
    """The clip that ffmpeg made: H.264, AAC, moov first."""
    assert inspect(CLIP.content) == Mp4(size=len(CLIP.content), seconds=8.0)


@pytest.mark.parametrize(
    "content",
    [
        FTYP + MOOV + MDAT,
        FTYP + MDAT + MOOV,
        FTYP + box(b"free") + MOOV + MDAT,
        FTYP + large_box(b"free", b"xx") + MOOV + MDAT,
        FTYP + MOOV + box(b"mdat", b"to the end", size=0),
        large_box(b"ftyp", FTYP_CONTENT) + MOOV,
        FTYP + MOOV + (box(b"moof") + box(b"mdat")) * 2000,
        FTYP + large_box(b"moov", mvhd(1000, 8000)),
        FTYP + box(b"moov", box(b"udta", b"x") + mvhd(1000, 8000)),
        FTYP + box(b"moov", mvhd(1000, 8000), size=0),
    ],
)
def test_boxes_that_fill_the_file_are_an_mp4(inspect, content: bytes):
    """32-bit, 64-bit and to-the-end sizes, in any order after ftyp."""
    assert inspect(content) == Mp4(size=len(content), seconds=8.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"<html><body>This link has expired</body></html>",
        b'{"error":"expired"}',
        b"\x1f\x8b" + bytes(100),
        b"\x1aE\xdf\xa3" + bytes(100),
        MOOV + FTYP,
        box(b"ftyp") + MOOV,
        box(b"ftyp", bytes(5000)) + MOOV,
        box(b"ftyp", FTYP_CONTENT, size=1 << 31) + MOOV,
        FTYP,
        FTYP + MDAT,
        FTYP + MOOV + box(b"mdat", size=7),
        FTYP + MOOV + large_box(b"mdat", b"", size=15),
        FTYP + MOOV + box(b"free") * 5000,
    ],
)
def test_everything_else_is_not_an_mp4(inspect, content: bytes):
    """Web pages, other containers, missing or impossible boxes, and endless lists of boxes."""
    with pytest.raises(NotAnMp4) as caught:
        inspect(content)
    assert type(caught.value) is NotAnMp4


@pytest.mark.parametrize(
    "content",
    [
        FTYP[:20],
        FTYP + MOOV[:12],
        FTYP + MOOV + MDAT[:-1],
        FTYP + MOOV + MDAT + bytes(7),
        FTYP + MOOV + large_box(b"mdat", b"")[:12],
        FTYP + MOOV + large_box(b"mdat", b"", size=(1 << 64) - 1),
        CLIP.content[:-1],
        CLIP.content[:100_000],
    ],
)
def test_file_that_ends_inside_a_box_was_cut_short(inspect, content: bytes):
    """It may be whole next time, so this is told apart from what is no MP4 at all."""
    with pytest.raises(Mp4CutShort):
        inspect(content)


@pytest.mark.parametrize(
    ("inside", "seconds"),
    [
        (mvhd(600, 4800), 8.0),
        (mvhd(600, 4800, version=1), 8.0),
        (mvhd(0, 4800), None),
        (mvhd(600, 0), None),
        (mvhd(600, 0xFFFFFFFF), None),
        (mvhd(600, 0xFFFFFFFFFFFFFFFF, version=1), None),
        (mvhd(1, 200_000), None),
        (box(b"mvhd"), None),
        (box(b"mvhd", b"\x01"), None),
        (box(b"trak"), None),
        (box(b"trak", size=9999), None),
        (box(b"free") * 300 + mvhd(600, 4800), None),
        (b"", None),
    ],
)
def test_length_is_known_when_it_is_sane(inspect, inside: bytes, seconds: float | None):
    """Zero timescale, "not known", absurd or missing: None, and still an MP4."""
    content = FTYP + box(b"moov", inside)
    assert inspect(content) == Mp4(size=len(content), seconds=seconds)


def test_missing_file_is_an_error_of_the_disk(tmp_path: Path):
    """Only what the bytes say becomes NotAnMp4."""
    with pytest.raises(FileNotFoundError):
        inspect_mp4(tmp_path / "nothing.mp4")
