"""Making a video smaller with the real ffmpeg: it fits, it plays, and its process can do no harm."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media import fit as fitting
from bot.media.ffmpeg import find_ffmpeg
from bot.media.fit import Fitter
from sandbox.video_api import CLIP, Clip
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


def copied(path: Path, destination: Path, *flags: str) -> Path:
    """The same film in another order of boxes."""
    subprocess.run(
        [str(FFMPEG), "-v", "error", "-i", str(path), "-c", "copy", *flags, str(destination)], check=True
    )
    return destination


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
        ("1920x1080", 2_000_000, (1920, 1080)),
        ("3840x2160", 2_000_000, (1920, 1080)),
        ("2160x3840", 2_000_000, (1080, 1920)),
        ("1920x1080", 125_000, (1280, 720)),
        ("1080x1920", 60_000, (480, 852)),
        ("406x720", 1_000_000, (406, 720)),
    ],
    ids=["1080p stays", "4K", "portrait", "few bits, fewer pixels", "very few bits", "odd shape"],
)
async def test_as_many_pixels_as_the_bits_are_enough_for(
    size: str, limit: int, expected: tuple[int, int], tmp_path: Path
):
    source = make_clip(tmp_path / "in.mp4", size=size, seconds=0.125)

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
    monkeypatch.setattr(fitting, "_RESERVE", 1 << 60)

    with pytest.raises(StorageUnavailable, match="not enough room"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "b", limit=1)


async def test_folder_that_is_gone_is_trouble_with_the_disk(tmp_path: Path):
    with pytest.raises(StorageUnavailable, match="cannot be looked at"):
        await Fitter(ffmpeg=tmp_path / "never").fit(tmp_path / "a", tmp_path / "gone" / "b", limit=1)


async def test_program_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CannotFit, match="no video"):
        await Fitter(ffmpeg=tmp_path / "nowhere").fit(tmp_path / "a", tmp_path / "b", limit=1)


# --- with a stand-in for ffmpeg, which does what a test needs to see

SILENT = """\
  Duration: 00:00:01.00, start: 0.000000, bitrate: 99 kb/s
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p, 640x360, 90 kb/s, 24 fps, 24 tbr
"""
AUDIO = (
    "  Stream #0:1[0x2](und): Audio: {} (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, {} kb/s (default)\n"
)


def script(path: Path, encoding: str, *, description: str = SILENT) -> Path:
    """Says `description` when there is no output; does `encoding`, into $part, when there is one."""
    words = f"cat >&2 <<'END'\n{description}END\n"
    last = "for last; do :; done; part=${last#file:}"
    path.write_text(f"#!/bin/sh\n{last}\ncase $part in *.part) {encoding}\n;; *) {words};; esac\n")
    path.chmod(0o755)
    return path


def is_gone(pid: int) -> bool:
    """Also when nobody has taken its exit code yet: it runs no more."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def hanging(folder: Path) -> Path:
    """Names itself and a child of its own in the file `pids`, and never ends."""
    pids, whole = folder / "pids", folder / "pids.whole"
    return script(folder / "hangs", f"touch $part; sleep 1000 & echo $$ $! > {pids}; mv {pids} {whole}; wait")


def pids_in(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids.whole").read_text().split()]


async def test_child_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path):
    with pytest.raises(CannotFit, match="longer than"):
        await Fitter(ffmpeg=hanging(tmp_path), time_limit=2).fit(
            tmp_path / "in", tmp_path / "out", limit=1_000_000
        )

    assert len(pids_in(tmp_path)) == 2
    await eventually(lambda: all(map(is_gone, pids_in(tmp_path))))
    assert left_in(tmp_path) == {"hangs", "pids.whole"}


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_caller_leaves_no_child_and_no_file(times: int, tmp_path: Path):
    """The bot is told to stop in the middle of it, and once more by somebody impatient."""
    fitting_it = Fitter(ffmpeg=hanging(tmp_path)).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)
    job = asyncio.create_task(fitting_it)
    await eventually((tmp_path / "pids.whole").exists)

    for _ in range(times):
        job.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await job

    child, its_own = pids_in(tmp_path)
    assert not psutil.pid_exists(child)  # waited for
    await eventually(lambda: is_gone(its_own))
    assert left_in(tmp_path) == {"hangs", "pids.whole"}


async def test_child_knows_no_secret_and_is_in_no_hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its environment is its PATH (the shell adds some of its own), and other work goes first."""
    for name in ("DISCORD_TOKEN", "VEO_API_KEY"):
        monkeypatch.setenv(name, "a-secret-token")
    told, asked = tmp_path / "told", tmp_path / "asked"
    nosy = script(tmp_path / "nosy", f'echo "$@" > {asked}; env > {told}; nice >> {told}; exit 1')

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=nosy).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    *environment, niceness = told.read_text().splitlines()
    names = {line.partition("=")[0] for line in environment}
    assert f"PATH={os.defpath}" in environment
    assert names <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "a-secret-token" not in told.read_text() + asked.read_text()
    assert int(niceness) >= 10


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        ("", "-an"),
        (AUDIO.format("aac", 128), "-c:a copy"),
        (AUDIO.format("aac", 320), "-c:a aac -b:a 128000"),
        (AUDIO.format("opus", 64), "-c:a aac -b:a 128000"),
    ],
    ids=["silent", "small already", "large", "another kind"],
)
async def test_sound_is_left_alone_when_it_is_small_already(sound: str, expected: str, tmp_path: Path):
    asked = tmp_path / "asked"
    program = script(tmp_path / "program", f'echo "$@" > {asked}; exit 1', description=SILENT + sound)

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=program).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert f" {expected} -movflags +faststart " in asked.read_text()


async def test_title_that_looks_like_a_description_is_not_believed(tmp_path: Path):
    """Whoever made the video chose its title."""
    title = "    title           : Duration: 99:00:00.00 Stream #0:0: Video: h264, 64x64, 1 fps\n"
    asked = tmp_path / "asked"
    program = script(tmp_path / "program", f'echo "$@" > {asked}; exit 1', description=title + SILENT)

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=program).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert "scale=640:360:" in asked.read_text()


async def test_what_comes_out_too_large_is_tried_once_more_with_a_lower_rate(tmp_path: Path):
    """With two clips instead of an encoder: the first beyond the limit, the second below."""
    limit = len(CLIP.content) + 1000
    (tmp_path / "large").write_bytes(b"".join(Clip.padded(limit + 4096).chunks()))
    (tmp_path / "small").write_bytes(CLIP.content)
    asked = tmp_path / "asked"
    take = f'echo "$@" >> {asked}; mv {tmp_path}/large $part || mv {tmp_path}/small $part'

    fitted = await Fitter(ffmpeg=script(tmp_path / "program", take)).fit(
        tmp_path / "in", tmp_path / "out", limit=limit
    )

    first, second = (int(rate) for rate in re.findall(r"-maxrate (\d+)", asked.read_text()))
    assert first > second
    assert fitted.size == len(CLIP.content)
    assert (tmp_path / "out").read_bytes() == CLIP.content
    assert left_in(tmp_path) == {"program", "asked", "out"}


async def test_what_comes_out_too_large_twice_is_given_up(tmp_path: Path):
    limit = len(CLIP.content) + 1000
    (tmp_path / "large").write_bytes(b"".join(Clip.padded(limit + 4096).chunks()))
    stubborn = script(tmp_path / "program", f"cp {tmp_path}/large $part")

    with pytest.raises(CannotFit, match="small enough"):
        await Fitter(ffmpeg=stubborn).fit(tmp_path / "in", tmp_path / "out", limit=limit)

    assert left_in(tmp_path) == {"large", "program"}


async def test_file_that_grows_without_end_is_stopped(tmp_path: Path):
    """A film may be longer than it says; the disk is not."""
    growing = script(tmp_path / "growing", f"cat /dev/zero > $part; wc -c < $part > {tmp_path}/grown; exit 1")

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=growing).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert 1_000_000 < int((tmp_path / "grown").read_text()) <= 2_000_000
    assert left_in(tmp_path) == {"growing", "grown"}


async def test_disk_that_fills_up_meanwhile_is_no_fault_of_the_video(tmp_path: Path):
    full = script(tmp_path / "full", "echo 'Error writing trailer: No space left on device' >&2; exit 1")

    with pytest.raises(StorageUnavailable, match="disk was full"):
        await Fitter(ffmpeg=full).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert left_in(tmp_path) == {"full"}


async def test_no_video_out_of_a_program_that_is_content(tmp_path: Path):
    with pytest.raises(CannotFit, match="did not write a video"):
        await Fitter(ffmpeg=script(tmp_path / "odd", "echo web page > $part")).fit(
            tmp_path / "in", tmp_path / "out", limit=1_000_000
        )

    assert left_in(tmp_path) == {"odd"}


async def test_one_at_a_time(tmp_path: Path):
    """It takes every core there is."""
    log = tmp_path / "log"
    busy = script(tmp_path / "busy", f"echo begin >> {log}; sleep 0.1; echo end >> {log}; exit 1")
    fitter = Fitter(ffmpeg=busy)

    both = [fitter.fit(tmp_path / "in", tmp_path / name, limit=1_000_000) for name in ("a", "b")]
    await asyncio.gather(*both, return_exceptions=True)

    assert log.read_text().split() == ["begin", "end", "begin", "end"]


async def test_endless_complaints_are_read_and_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A pipe that nobody reads would stop the child; all of it would fill the memory."""
    loud = script(tmp_path / "loud", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 1")

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=loud).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    [message] = [record.getMessage() for record in caplog.records if "ffmpeg ended with 1" in record.message]
    assert message.endswith("xlast'")
    assert len(message) < 400


def test_ffmpeg_of_the_wheel_is_found_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", "/nowhere")

    found = find_ffmpeg()

    assert found is not None
    assert found.is_file()
