"""Making a video smaller with the real ffmpeg: it fits and plays, and a hostile file does no harm."""

from pathlib import Path

import pytest

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media import disk_space
from bot.media import fit as fitting
from bot.media.fit import Fitter
from bot.media.mp4 import inspect_mp4
from tests.films import described, ffmpeg
from tests.processes import needs_ffmpeg


def make_clip(path: Path, *, size: str = "640x360", seconds: float = 1, sound: bool = True) -> Path:
    """Noise, because no encoder makes it small."""
    picture = f"testsrc2=s={size}:r=24:d={seconds},noise=alls=40:allf=t"
    tone = ("-f", "lavfi", "-i", f"sine=440:d={seconds}", "-c:a", "aac") if sound else ()
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "12", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", picture, *tone, *encoder, path)
    return path


def copied(path: Path, destination: Path, *flags: str) -> Path:
    """The same video with its boxes in another order."""
    ffmpeg("-i", path, "-c", "copy", *flags, destination)
    return destination


def boxes(path: Path) -> list[bytes]:
    """The kinds of the top-level boxes, in order."""
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
    """H.264 and AAC with the index in front, like the API's own files."""
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
async def test_picture_size_follows_from_the_bit_rate(
    size: str, limit: int, expected: tuple[int, int], tmp_path: Path
):
    source = make_clip(tmp_path / "in.mp4", size=size, seconds=0.125)

    await Fitter().fit(source, tmp_path / "out.mp4", limit=limit)

    made = inspect_mp4(tmp_path / "out.mp4")
    assert (made.width, made.height) == expected


@needs_ffmpeg
async def test_video_without_sound_stays_without_sound(tmp_path: Path):
    source = make_clip(tmp_path / "in.mp4", sound=False)

    await Fitter().fit(source, tmp_path / "out.mp4", limit=size_of(source) // 2)

    assert "Audio:" not in described(tmp_path / "out.mp4")


@needs_ffmpeg
async def test_limit_that_is_too_low_is_refused_and_leaves_no_file(clip: Path, tmp_path: Path):
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
async def test_input_that_is_no_video_is_refused_and_no_other_file_is_read(content: bytes, tmp_path: Path):
    """The bytes come from outside and may name other files."""
    (tmp_path / "in.mp4").write_bytes(content)

    with pytest.raises(CannotFit, match="no video"):
        await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=10_000_000)

    assert left_in(tmp_path) == {"in.mp4"}


@needs_ffmpeg
@pytest.mark.parametrize("index", ["first", "last"])
async def test_video_cut_short_is_refused(index: str, clip: Path, tmp_path: Path):
    """ffmpeg would encode the part that is there."""
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
    monkeypatch.setattr(disk_space, "RESERVE", 1 << 60)

    with pytest.raises(StorageUnavailable, match="not enough space"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "b", limit=1)


async def test_missing_folder_is_reported_as_a_disk_error(tmp_path: Path):
    with pytest.raises(StorageUnavailable, match="free space cannot be read"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "gone" / "b", limit=1)


async def test_missing_program_is_refused(tmp_path: Path):
    with pytest.raises(CannotFit, match="no video"):
        await Fitter(ffmpeg=tmp_path / "nowhere").fit(tmp_path / "a", tmp_path / "b", limit=1)
