"""A real MP4 cut at every byte is whole exactly when every sample is there."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.media.ffmpeg import find_ffmpeg
from bot.media.mp4 import Mp4CutShort, NotAnMp4, inspect_mp4
from tests.films import packet_bytes, tiny_film

pytestmark = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")

ORDERS = {
    "index first": "+faststart",
    "index last": "0",
    "a fragment for each frame": "+frag_every_frame+empty_moov+default_base_moof",
    "the first samples in moov": "+frag_keyframe",
    "offsets from the fragment before": "+frag_keyframe+empty_moov+omit_tfhd_offset",
    "index of each segment": "+dash",
    "index of all segments": "+frag_keyframe+empty_moov+default_base_moof+global_sidx",
}


VIDEO = 1  # the track id


@dataclass(frozen=True)
class Part:
    """A top-level box, and the tracks that have samples in it if it is a fragment."""

    kind: bytes
    start: int
    end: int
    tracks: frozenset[int]


def parts(content: bytes) -> list[Part]:
    found, at = [], 0
    while at < len(content):
        end = at + int.from_bytes(content[at : at + 4])
        tracks = re.findall(rb"tfhd.{4}(.{4})", content[at:end], re.DOTALL)
        found.append(Part(content[at + 4 : at + 8], at, end, frozenset(map(int.from_bytes, tracks))))
        at = end
    return found


def has_every_sample(film: list[Part], length: int) -> bool:
    """Whether every sample that the boxes describe is there, and one of them is a picture.

    ffmpeg fills each mdat box with samples (checked below), and a fragment's mdat follows its moof.
    """
    begun = [part for part in film if part.start + 8 <= length and part.kind in (b"moov", b"moof", b"mdat")]
    if any(part.end > length for part in begun):
        return False
    kinds = [part.kind for part in begun]
    has_picture = b"moof" not in kinds[:2] or any(VIDEO in part.tracks for part in begun)
    return {b"moov", b"mdat"} <= set(kinds) and kinds[-1] != b"moof" and has_picture


def ends_between_boxes(film: list[Part], length: int) -> bool:
    return not any(part.start + 8 <= length < part.end for part in film)


def verdict(path: Path, *, length_known: bool) -> str:
    try:
        inspect_mp4(path, length_known=length_known)
    except Mp4CutShort:
        return "cut short"
    except NotAnMp4:
        return "no MP4"
    return "whole"


@pytest.mark.parametrize("movflags", ORDERS.values(), ids=ORDERS)
def test_video_cut_at_any_byte_is_whole_only_with_every_sample(movflags: str, tmp_path: Path):
    path = tiny_film(tmp_path / "film.mp4", movflags)
    film = parts(path.read_bytes())
    samples = sum(part.end - part.start - 8 for part in film if part.kind == b"mdat")
    assert samples == packet_bytes(path)

    for length in reversed(range(path.stat().st_size + 1)):
        os.truncate(path, length)
        whole = has_every_sample(film, length)
        known, unknown = (verdict(path, length_known=known) for known in (True, False))
        assert known == ("whole" if whole else "no MP4"), length
        if unknown == "whole":
            assert whole, length
            assert ends_between_boxes(film, length), length
        else:
            assert unknown == ("cut short" if length >= 8 else "no MP4"), length


@pytest.mark.parametrize("order", ["index first", "index last", "a fragment for each frame"])
def test_whole_video_is_whole_without_a_length(order: str, tmp_path: Path):
    assert verdict(tiny_film(tmp_path / "film.mp4", ORDERS[order]), length_known=False) == "whole"


def test_index_names_missing_fragments(tmp_path: Path):
    """The file is cut exactly between two fragments."""
    path = tiny_film(tmp_path / "film.mp4", ORDERS["index of all segments"])
    *_, last, _mfra = (part for part in parts(path.read_bytes()) if part.kind in (b"moof", b"mfra"))
    os.truncate(path, last.start)

    assert verdict(path, length_known=False) == "cut short"
