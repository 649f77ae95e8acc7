"""inspect_mp4 with arbitrary bytes and with damaged headers of the real clip."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.media.mp4 import Mp4, NotAnMp4, inspect_mp4
from sandbox.video_api import CLIP
from tests.boxes import FTYP, MDAT, MVHD, box, stco, stsc, stsz, trak

HEAD = CLIP.content[:2048]


def verdict(folder: Path, content: bytes, *, length_known: bool = True) -> Mp4 | None:
    path = folder / "video.mp4"
    path.write_bytes(content)
    try:
        return inspect_mp4(path, length_known=length_known)
    except NotAnMp4:
        return None


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_are_an_mp4_or_refused(tmp_path: Path, content: bytes):
    """No other error than NotAnMp4."""
    found = verdict(tmp_path, content)
    assert found is None or found.size == len(content)


@given(
    changes=st.lists(st.tuples(st.integers(0, len(HEAD) - 1), st.integers(0, 255)), max_size=6),
    length=st.integers(0, len(HEAD)),
    tail=st.binary(max_size=40),
)
def test_damaged_headers_are_an_mp4_or_refused(
    tmp_path: Path, changes: list[tuple[int, int]], length: int, tail: bytes
):
    """Sizes, kinds and fields of a real file, changed, cut and continued with other bytes."""
    damaged = bytearray(HEAD)
    for position, value in changes:
        damaged[position] = value
    found = verdict(tmp_path, bytes(damaged[:length]) + tail)
    assert found is None or found.seconds is None or found.seconds > 0


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12), data=st.data())
def test_boxes_of_any_size_are_an_mp4_or_refused(tmp_path: Path, sizes: list[int], data: st.DataObject):
    """Valid kinds with wrong sizes, which random bytes rarely give."""
    kinds = st.sampled_from([b"ftyp", b"moov", b"mvhd", b"mdat", b"free"])
    boxes = (size.to_bytes(4) + data.draw(kinds) + bytes(max(size - 8, 0)) for size in sizes)
    content = CLIP.content[:32] + b"".join(boxes)
    found = verdict(tmp_path, content)
    assert found is None or found.size == len(content)


FIELDS = st.integers(0, (1 << 32) - 1) | st.integers(0, 200)


@given(
    offsets=st.lists(FIELDS, max_size=4),
    runs=st.lists(st.tuples(FIELDS, FIELDS), max_size=4),
    sizes=st.lists(FIELDS, max_size=6),
    same=st.just(0) | FIELDS,
    length_known=st.booleans(),
)
def test_tables_of_any_numbers_are_an_mp4_or_refused(
    tmp_path: Path,
    offsets: list[int],
    runs: list[tuple[int, int]],
    sizes: list[int],
    same: int,
    length_known: bool,
):
    tables = stco(*offsets) + stsc(*runs) + stsz(*sizes, same=same)
    content = FTYP + MDAT + box(b"moov", MVHD, trak(tables))
    found = verdict(tmp_path, content, length_known=length_known)
    assert found is None or (found.width, found.height) == (640, 360)


@pytest.mark.parametrize("size", [len(CLIP.content) + 16, len(CLIP.content) + 300_001])
def test_padding_keeps_the_clip_an_mp4(tmp_path: Path, size: int):
    """The stand-in serves padded clips, and the bot must accept them."""
    found = verdict(tmp_path, b"".join(type(CLIP).padded(size).chunks()), length_known=False)
    assert found is not None
    assert (found.size, found.seconds) == (size, 8.0)
