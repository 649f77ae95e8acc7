"""Making a video smaller with the real ffmpeg: it fits, it plays, and a stranger's bytes can do no harm."""

from pathlib import Path

import pytest

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media import fit as fitting
from bot.media import part_file
from bot.media.ffmpeg import find_ffmpeg
from bot.media.fit import Fitter
from bot.media.mp4 import inspect_mp4
from tests.films import described, ffmpeg

needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")


def make_clip(path: Path, *, size: str = "640x360", seconds: float = 1, sound: bool = True) -> Path:
    """Noise, which no encoder makes small."""
    picture = f"testsrc2=s={size}:r=24:d={seconds},noise=alls=40:allf=t"
    tone = ("-f", "lavfi", "-i", f"sine=440:d={seconds}", "-c:a", "aac") if sound else ()
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "12", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", picture, *tone, *encoder, path)
    return path


def copied(path: Path, destination: Path, *flags: str) -> Path:
    """The same film in another order of boxes."""
    ffmpeg("-i", path, "-c", "copy", *flags, destination)
    return destination


def boxes(path: Path) -> list[bytes]:
    """The kinds of the boxes at the top level, in their order."""
    data, kinds, at = path.read_bytes(), [], 0
    while at < len(data):
        kinds.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4])
    return kinds


def size_of(path: Path) -> int:
    return path.stat().st_size


def half(path: Path, destination: Path) -> None:
    destination.write_bytes(path.read_bytes()[: size_of(path) // 2])


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "in.mp4")


@needs_ffmpeg
async def test_smaller_video_fits_and_plays_everywhere(clip: Path, tmp_path: Path):
    """H.264 and AAC with the index in front, as the API's own."""
    limit = size_of(clip) // 3

    await Fitter().fit(clip, tmp_path / "out.mp4", limit=limit)

    said = described(tmp_path / "out.mp4")
    assert size_of(tmp_path / "out.mp4") <= limit
    assert "Video: h264 (High)" in said
    assert "Audio: aac" in said
    assert boxes(tmp_path / "out.mp4").index(b"moov") < boxes(tmp_path / "out.mp4").index(b"mdat")
    assert left_in(tmp_path) == {"out.mp4"}


@needs_ffmpeg
@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ("1920x1080", 2_000_000, (1920, 1080)),
        ("3840x2160", 2_000_000, (1920, 1080)),
        ("2160x3840", 2_000_000, (1080, 1920)),
        ("1920x1080", 125_000, (1280, 720)),
        ("1080x1920", 60_000, (480, 854)),
        ("406x720", 1_000_000, (406, 720)),
        ("8000x180", 1_000_000, (4096, 92)),
    ],
    ids=["1080p stays", "4K", "portrait", "few bits, fewer pixels", "very few bits", "odd shape", "panorama"],
)
async def test_as_many_pixels_as_the_bits_are_enough_for(
    size: str, limit: int, expected: tuple[int, int], tmp_path: Path
):
    source = make_clip(tmp_path / "in.mp4", size=size, seconds=0.125)

    await Fitter().fit(source, tmp_path / "out.mp4", limit=limit)

    made = inspect_mp4(tmp_path / "out.mp4")
    assert (made.width, made.height) == expected


@needs_ffmpeg
async def test_silent_video_stays_silent(tmp_path: Path):
    source = make_clip(tmp_path / "in.mp4", sound=False)

    await Fitter().fit(source, tmp_path / "out.mp4", limit=size_of(source) // 2)

    assert "Audio:" not in described(tmp_path / "out.mp4")


@needs_ffmpeg
async def test_limit_that_nothing_fits_is_refused_and_leaves_nothing(clip: Path, tmp_path: Path):
    with pytest.raises(CannotFit, match="too long"):
        await Fitter().fit(clip, tmp_path / "out.mp4", limit=1000)

    assert left_in(tmp_path) == set()


@needs_ffmpeg
@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(1000),
        b"",
    ],
    ids=["a playlist", "a list of files", "a broken MP4", "nothing"],
)
async def test_what_is_no_video_is_refused_and_reads_no_other_file(content: bytes, tmp_path: Path):
    """The bytes are a stranger's."""
    (tmp_path / "in.mp4").write_bytes(content)

    with pytest.raises(CannotFit, match="no video"):
        await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=10_000_000)

    assert left_in(tmp_path) == {"in.mp4"}


@needs_ffmpeg
@pytest.mark.parametrize("index", ["first", "last"])
async def test_video_cut_short_is_refused(index: str, clip: Path, tmp_path: Path):
    """Never half a film under the final name, though ffmpeg makes one of what it has."""
    whole = copied(clip, tmp_path / "whole.mp4", *(("-movflags", "+faststart") if index == "first" else ()))
    half(whole, tmp_path / "in.mp4")

    with pytest.raises(CannotFit, match="a part of it" if index == "first" else "no video"):
        await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=size_of(clip) // 3)

    assert left_in(tmp_path) == {"in.mp4", "whole.mp4"}


@needs_ffmpeg
async def test_memory_beyond_the_limit_ends_ffmpeg_and_not_the_bot(clip: Path, tmp_path: Path):
    with pytest.raises(CannotFit, match=r"could not convert|no video"):
        await Fitter(memory_limit=48 << 20).fit(clip, tmp_path / "out.mp4", limit=size_of(clip) // 2)

    assert left_in(tmp_path) == set()


async def test_without_ffmpeg_nothing_can_be_made_to_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fitting, "find_ffmpeg", lambda: None)

    with pytest.raises(CannotFit, match="no ffmpeg"):
        await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=1000)


async def test_full_disk_is_noticed_before_ffmpeg_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(part_file, "RESERVE", 1 << 60)

    with pytest.raises(StorageUnavailable, match="not enough room"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "b", limit=1)


async def test_folder_that_is_gone_is_the_disks_failure(tmp_path: Path):
    with pytest.raises(StorageUnavailable, match="cannot be looked at"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "gone" / "b", limit=1)


async def test_program_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CannotFit, match="no video"):
        await Fitter(ffmpeg=tmp_path / "nowhere").fit(tmp_path / "a", tmp_path / "b", limit=1)
