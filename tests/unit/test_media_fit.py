"""Making a video smaller with the real ffmpeg: it fits, it plays, and its process can do no harm."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media import fit as fitting
from bot.media.ffmpeg import find_ffmpeg
from bot.media.fit import Fitter
from tests.timing import eventually

FFMPEG = find_ffmpeg()
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg on this machine")


def make_clip(path: Path, *, size: str = "640x360", seconds: float = 1, sound: bool = True) -> Path:
    """Noise, which no encoder makes small."""
    picture = f"testsrc2=s={size}:r=24:d={seconds},noise=alls=40:allf=t"
    tone = ("-f", "lavfi", "-i", f"sine=440:d={seconds}", "-c:a", "aac") if sound else ()
    command = [str(FFMPEG), "-v", "error", "-f", "lavfi", "-i", picture, *tone]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "12", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)
    return path


def described(path: Path) -> str:
    """What ffmpeg says of it."""
    return subprocess.run([str(FFMPEG), "-i", str(path)], capture_output=True, check=False).stderr.decode()


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

    fitted = await Fitter().fit(clip, tmp_path / "out.mp4", limit=limit)

    said = described(tmp_path / "out.mp4")
    assert fitted.size == (tmp_path / "out.mp4").stat().st_size <= limit
    assert "Video: h264 (High)" in said
    assert "Audio: aac" in said
    assert boxes(tmp_path / "out.mp4").index(b"moov") < boxes(tmp_path / "out.mp4").index(b"mdat")
    assert left_in(tmp_path) == {"out.mp4"}


@needs_ffmpeg
@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ("1920x1080", 6_000_000, (1920, 1080)),
        ("3840x2160", 6_000_000, (1920, 1080)),
        ("1080x1920", 6_000_000, (1080, 1920)),
        ("1920x1080", 250_000, (1280, 720)),
        ("406x720", 1_000_000, (406, 720)),
    ],
    ids=["1080p stays", "4K becomes 1080p", "portrait stays", "few bits, fewer pixels", "odd shape"],
)
async def test_as_many_pixels_as_the_bits_are_enough_for(
    size: str, limit: int, expected: tuple[int, int], tmp_path: Path
):
    source = make_clip(tmp_path / "in.mp4", size=size, seconds=0.5)

    fitted = await Fitter().fit(source, tmp_path / "out.mp4", limit=limit)

    assert (fitted.width, fitted.height) == expected
    assert f"{expected[0]}x{expected[1]}" in described(tmp_path / "out.mp4")


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
async def test_video_cut_short_is_made_smaller_or_refused(clip: Path, tmp_path: Path):
    """Never half a file under the final name."""
    half(clip, tmp_path / "in.mp4")

    with pytest.raises(CannotFit):
        await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=size_of(clip) // 3)

    assert left_in(tmp_path) == {"in.mp4"}


@needs_ffmpeg
async def test_memory_beyond_the_limit_ends_ffmpeg_and_not_the_bot(clip: Path, tmp_path: Path):
    with pytest.raises(CannotFit):
        await Fitter(memory_limit=30 << 20).fit(clip, tmp_path / "out.mp4", limit=size_of(clip) // 2)

    assert left_in(tmp_path) == set()


async def test_without_ffmpeg_nothing_can_be_made_to_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fitting, "find_ffmpeg", lambda: None)

    with pytest.raises(CannotFit, match="no ffmpeg"):
        await Fitter().fit(tmp_path / "in.mp4", tmp_path / "out.mp4", limit=1000)


async def test_full_disk_is_noticed_before_ffmpeg_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fitting, "_RESERVE", 1 << 60)

    with pytest.raises(StorageUnavailable, match="not enough room"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "b", limit=1)


async def test_program_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CannotFit, match="no video"):
        await Fitter(ffmpeg=tmp_path / "nowhere").fit(tmp_path / "a", tmp_path / "b", limit=1)


# --- with a stand-in for ffmpeg, which does what a test needs to see

_SEES_A_VIDEO = "echo '  Duration: 00:00:01.00, x' >&2; echo '  Video: h264, 640x360, 24 fps' >&2"


def script(path: Path, encoding: str) -> Path:
    """Describes a video when there is no output; does `encoding` when there is one."""
    path.write_text(f'#!/bin/sh\ncase "$*" in *.part) {encoding} ;; *) {_SEES_A_VIDEO} ;; esac\n')
    path.chmod(0o755)
    return path


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.fixture
def no_child_left() -> Iterator[None]:
    yield
    assert [child for child in children() if child.is_running()] == []


async def test_child_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, no_child_left: None
):
    hangs = script(tmp_path / "hangs", "sleep 1000 & wait")

    with pytest.raises(CannotFit, match="longer than"):
        await Fitter(ffmpeg=hangs, time_limit=0.5).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert left_in(tmp_path) == {"hangs"}


async def test_cancelled_caller_leaves_no_child_and_no_file(tmp_path: Path, no_child_left: None):
    """The bot is told to stop in the middle of it."""
    hangs = script(tmp_path / "hangs", f"touch {tmp_path}/begun; sleep 1000 & wait")
    job = asyncio.create_task(Fitter(ffmpeg=hangs).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000))
    await eventually((tmp_path / "begun").exists)

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert left_in(tmp_path) == {"hangs", "begun"}


async def test_child_knows_no_secret_and_is_in_no_hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its environment is its PATH, and other work goes first."""
    monkeypatch.setenv("DISCORD_TOKEN", "a-secret-token")
    told = tmp_path / "told"
    nosy = script(tmp_path / "nosy", f"env > {told}; nice >> {told}; exit 1")

    with pytest.raises(CannotFit, match="ffmpeg failed"):
        await Fitter(ffmpeg=nosy).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    text = told.read_text()
    assert "a-secret-token" not in text
    assert f"PATH={os.defpath}" in text
    assert text.splitlines()[-1] == "10"


async def test_one_at_a_time(tmp_path: Path):
    """It takes every core there is."""
    log = tmp_path / "log"
    busy = script(tmp_path / "busy", f"echo begin >> {log}; sleep 0.1; echo end >> {log}; exit 1")
    fitter = Fitter(ffmpeg=busy)

    both = [fitter.fit(tmp_path / "in", tmp_path / name, limit=1_000_000) for name in ("a", "b")]
    await asyncio.gather(*both, return_exceptions=True)

    assert log.read_text().split() == ["begin", "end", "begin", "end"]


async def test_endless_complaints_are_read_and_forgotten(tmp_path: Path):
    """A pipe that nobody reads would stop the child; all of it would fill the memory."""
    loud = script(tmp_path / "loud", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 1")

    with pytest.raises(CannotFit, match="last") as raised:
        await Fitter(ffmpeg=loud).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert len(str(raised.value)) < 300


def test_ffmpeg_of_the_wheel_is_found_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", "/nowhere")

    found = find_ffmpeg()

    assert found is not None
    assert found.is_file()
