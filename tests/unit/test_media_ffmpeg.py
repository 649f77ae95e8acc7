"""Running ffmpeg as a restricted child process, tested with scripts in its place."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media import ffmpeg
from bot.media.ffmpeg import Ffmpeg, FoundFfmpeg, find_ffmpeg
from bot.media.fit import Fitter
from sandbox.video_api import CLIP, Clip
from tests.processes import is_gone, needs_ffmpeg, needs_setpriv
from tests.timing import eventually


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


SILENT = """\
  Duration: 00:00:01.00, start: 0.000000, bitrate: 99 kb/s
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p, 640x360, 90 kb/s, 24 fps, 24 tbr
"""
AUDIO = (
    "  Stream #0:1[0x2](und): Audio: {} (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, {} kb/s (default)\n"
)


def script(path: Path, encoding: str, *, description: str = SILENT) -> Path:
    """A program that prints `description` if no output is given, else runs `encoding` to write $part."""
    words = f"cat >&2 <<'END'\n{description}END\n"
    last = "for last; do :; done; part=${last#file:}"
    path.write_text(f"#!/bin/sh\n{last}\ncase $part in *.part) {encoding}\n;; *) {words};; esac\n")
    path.chmod(0o755)
    return path


def hanging(folder: Path) -> Path:
    """A program that writes its pid and that of its child to the file `pids`, and never ends."""
    pids, whole = folder / "pids", folder / "pids.whole"
    return script(folder / "hangs", f"touch $part; sleep 1000 & echo $$ $! > {pids}; mv {pids} {whole}; wait")


def pids_in(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids.whole").read_text().split()]


async def test_child_beyond_its_time_is_killed_with_its_children(tmp_path: Path):
    with pytest.raises(CannotFit, match="longer than"):
        await Fitter(ffmpeg=hanging(tmp_path), time_limit=2).fit(
            tmp_path / "in", tmp_path / "out", limit=1_000_000
        )

    assert len(pids_in(tmp_path)) == 2
    await eventually(lambda: all(map(is_gone, pids_in(tmp_path))))
    assert left_in(tmp_path) == {"hangs", "pids.whole"}


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_caller_leaves_no_child_and_no_file(times: int, tmp_path: Path):
    """Also when the caller is cancelled more than once."""
    fitting_it = Fitter(ffmpeg=hanging(tmp_path)).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)
    job = asyncio.create_task(fitting_it)
    await eventually((tmp_path / "pids.whole").exists)

    for _ in range(times):
        job.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await job

    child, its_own = pids_in(tmp_path)
    assert not psutil.pid_exists(child)  # its exit code was collected
    await eventually(lambda: is_gone(its_own))
    assert left_in(tmp_path) == {"hangs", "pids.whole"}


async def test_child_gets_no_secret_and_a_low_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its environment is only PATH; the shell adds a few variables."""
    for name in ("DISCORD_TOKEN", "VEO_API_KEY"):
        monkeypatch.setenv(name, "a-secret-token")
    variables, arguments = tmp_path / "variables", tmp_path / "arguments"
    nosy = script(
        tmp_path / "nosy", f'echo "$@" > {arguments}; env > {variables}; nice >> {variables}; exit 1'
    )

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=nosy).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    *environment, niceness = variables.read_text().splitlines()
    names = {line.partition("=")[0] for line in environment}
    assert f"PATH={os.defpath}" in environment
    assert names <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "a-secret-token" not in variables.read_text() + arguments.read_text()
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
async def test_sound_is_copied_when_it_is_small_enough(sound: str, expected: str, tmp_path: Path):
    arguments = tmp_path / "arguments"
    program = script(tmp_path / "program", f'echo "$@" > {arguments}; exit 1', description=SILENT + sound)

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=program).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert f" {expected} -movflags +faststart " in arguments.read_text()


async def test_title_that_looks_like_a_stream_description_is_ignored(tmp_path: Path):
    """The author of the video chooses its title."""
    title = "    title           : Duration: 99:00:00.00 Stream #0:0: Video: h264, 64x64, 1 fps\n"
    arguments = tmp_path / "arguments"
    program = script(tmp_path / "program", f'echo "$@" > {arguments}; exit 1', description=title + SILENT)

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=program).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert "640,360)" in arguments.read_text()


async def test_output_above_the_limit_is_encoded_again_with_a_lower_rate(tmp_path: Path):
    """A script copies two clips in the place of encoding: the first too large, the second not."""
    limit = len(CLIP.content) + 1000
    (tmp_path / "large").write_bytes(b"".join(Clip.padded(limit + 4096).chunks()))
    (tmp_path / "small").write_bytes(CLIP.content)
    arguments = tmp_path / "arguments"
    take = f'echo "$@" >> {arguments}; mv {tmp_path}/large $part || mv {tmp_path}/small $part'

    await Fitter(ffmpeg=script(tmp_path / "program", take)).fit(
        tmp_path / "in", tmp_path / "out", limit=limit
    )

    first, second = (int(rate) for rate in re.findall(r"-maxrate (\d+)", arguments.read_text()))
    assert first > second
    assert (tmp_path / "out").read_bytes() == CLIP.content
    assert left_in(tmp_path) == {"program", "arguments", "out"}


async def test_output_above_the_limit_twice_is_given_up(tmp_path: Path):
    limit = len(CLIP.content) + 1000
    (tmp_path / "large").write_bytes(b"".join(Clip.padded(limit + 4096).chunks()))
    stubborn = script(tmp_path / "program", f"cp {tmp_path}/large $part")

    with pytest.raises(CannotFit, match="small enough"):
        await Fitter(ffmpeg=stubborn).fit(tmp_path / "in", tmp_path / "out", limit=limit)

    assert left_in(tmp_path) == {"large", "program"}


async def test_file_that_grows_without_end_is_stopped(tmp_path: Path):
    """A video may be longer than its header says, and the disk is limited."""
    growing = script(tmp_path / "growing", f"cat /dev/zero > $part; wc -c < $part > {tmp_path}/grown; exit 1")

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=growing).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert 1_000_000 < int((tmp_path / "grown").read_text()) <= 2_000_000
    assert left_in(tmp_path) == {"growing", "grown"}


async def test_disk_that_fills_up_is_reported_as_a_full_disk(tmp_path: Path):
    full = script(tmp_path / "full", "echo 'Error writing trailer: No space left on device' >&2; exit 1")

    with pytest.raises(StorageUnavailable, match="disk was full"):
        await Fitter(ffmpeg=full).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert left_in(tmp_path) == {"full"}


async def test_output_that_is_no_video_is_refused(tmp_path: Path):
    with pytest.raises(CannotFit, match="did not write a video"):
        await Fitter(ffmpeg=script(tmp_path / "odd", "echo web page > $part")).fit(
            tmp_path / "in", tmp_path / "out", limit=1_000_000
        )

    assert left_in(tmp_path) == {"odd"}


async def test_videos_are_encoded_one_at_a_time(tmp_path: Path):
    """One encoding uses every core."""
    log = tmp_path / "log"
    busy = script(tmp_path / "busy", f"echo begin >> {log}; sleep 0.1; echo end >> {log}; exit 1")
    fitter = Fitter(ffmpeg=busy)

    both = [fitter.fit(tmp_path / "in", tmp_path / name, limit=1_000_000) for name in ("a", "b")]
    await asyncio.gather(*both, return_exceptions=True)

    assert log.read_text().split() == ["begin", "end", "begin", "end"]


async def test_endless_error_output_is_read_and_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A pipe that is not read would block the child; keeping all output would fill the memory."""
    loud = script(tmp_path / "loud", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 1")

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=loud).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    [message] = [record.getMessage() for record in caplog.records if "ffmpeg ended with 1" in record.message]
    assert message.endswith("xlast'")
    assert len(message) < 400


X264 = "Encoders:\n V....D libx264              libx264 H.264 / AVC (codec h264)"
NO_X264 = (
    "Encoders:\n V....D libopenh264          OpenH264 (codec h264)\n V....D h264_nvenc (libx264 is not here)"
)


def system_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, encoders: str, ending: str = "exit 0"
) -> Path:
    """A PATH whose ffmpeg lists `encoders`."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{encoders}\nEND\n{ending}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return program


@pytest.fixture
def no_cached_search() -> Iterator[None]:
    """Clears the cached search for ffmpeg before and after the test."""
    ffmpeg._search_ffmpeg.cache_clear()
    yield
    ffmpeg._search_ffmpeg.cache_clear()


@pytest.mark.usefixtures("no_cached_search")
def test_ffmpeg_of_the_system_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = system_with(tmp_path, monkeypatch, encoders=X264)

    assert find_ffmpeg() == FoundFfmpeg(program, str(program))


@pytest.mark.usefixtures("no_cached_search")
@pytest.mark.parametrize(
    ("encoders", "why"), [(NO_X264, "the system's cannot encode H.264"), (None, "the system has none")]
)
def test_ffmpeg_of_the_wheel_is_used_if_the_system_cannot_encode(
    encoders: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", "/nowhere")
    if encoders is not None:
        system_with(tmp_path, monkeypatch, encoders=encoders)

    found = find_ffmpeg()

    assert found is not None
    assert found.path.parent != tmp_path
    assert found.description == f"the one of imageio-ffmpeg, because {why}"


@pytest.mark.usefixtures("no_cached_search")
def test_no_ffmpeg_that_can_encode_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An ffmpeg that is installed later is found."""
    program = system_with(tmp_path, monkeypatch, encoders=NO_X264)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))

    assert find_ffmpeg() is None
    system_with(tmp_path, monkeypatch, encoders=X264)
    assert find_ffmpeg() == FoundFfmpeg(program, str(program))


@pytest.mark.usefixtures("no_cached_search")
async def test_search_for_ffmpeg_runs_once_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The first search may be slow, because the disk is."""
    looks, go = tmp_path / "looks", tmp_path / "go"
    ending = f"echo look >> {looks}; while [ ! -e {go} ]; do /bin/sleep 0.01; done"
    system_with(tmp_path, monkeypatch, encoders=X264, ending=ending)
    fitter = Fitter()
    assert not looks.exists()

    fits = [fitter.fit(tmp_path / "in", tmp_path / name, limit=1_000_000) for name in ("a", "b")]
    both = asyncio.gather(*fits, return_exceptions=True)
    # The script waits for this file, so the event loop must not be blocked by it.
    await eventually(looks.exists)
    go.touch()

    assert [type(error) for error in await both] == [CannotFit, CannotFit]
    # Each fit also runs the script to describe the video, but that run may write no file.
    assert looks.read_text().split() == ["look"]


ENDLESS = ("-f", "lavfi", "-re", "-i", "testsrc2=s=64x36", "-f", "null", "-")
BOT = """
import asyncio, sys
from pathlib import Path
from bot.media.ffmpeg import Ffmpeg
program = Ffmpeg(Path(sys.argv[1]), memory_limit=1 << 30, cpu_limit=600)
asyncio.run(program.run(*sys.argv[2:]))
"""


@pytest.fixture
def bot_with() -> Iterator[Callable[[Path], psutil.Process]]:
    """Starts processes that run an endless ffmpeg; kills them all at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []
    seen: set[psutil.Process] = set()

    def start(program: Path) -> psutil.Process:
        command = (sys.executable, "-c", BOT, program, *ENDLESS)
        started.append(subprocess.Popen(command, cwd=Path(__file__).parents[2]))
        return psutil.Process(started[-1].pid)

    yield start
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            seen.update(psutil.Process(process.pid).children(recursive=True))
        process.kill()
        process.wait()
    for each in seen:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def encoding(bot: psutil.Process) -> list[psutil.Process]:
    """The children of the bot, once ffmpeg is among them."""
    children = bot.children(recursive=True)
    # A child may end in between: the shell that starts ffmpeg does.
    with contextlib.suppress(psutil.NoSuchProcess):
        return children if any(child.name().startswith("ffmpeg") for child in children) else []
    return []


async def until_encoding(bot: psutil.Process) -> list[psutil.Process]:
    found: list[psutil.Process] = []

    def look() -> list[psutil.Process]:
        found[:] = encoding(bot)
        return found

    await eventually(look)
    return found


@needs_ffmpeg
@needs_setpriv
@pytest.mark.parametrize("wrapped", [False, True], ids=["ffmpeg", "a script that starts it"])
async def test_ffmpeg_ends_when_the_bot_is_killed(
    wrapped: bool, bot_with: Callable[[Path], psutil.Process], tmp_path: Path
):
    """After SIGKILL the bot itself can end nothing."""
    found = find_ffmpeg()
    assert found is not None
    program = found.path
    if wrapped:
        program = tmp_path / "wrapper"
        program.write_text(f'#!/bin/sh\n"{found.path}" "$@"\necho ended\n')
        program.chmod(0o755)
    bot = bot_with(program)
    children = await until_encoding(bot)

    bot.kill()

    try:
        await eventually(lambda: all(is_gone(child.pid) for child in children))
    finally:
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@needs_ffmpeg
async def test_cpu_time_is_limited():
    """For systems on which ffmpeg does not learn that the bot was killed."""
    found = find_ffmpeg()
    assert found is not None
    program = Ffmpeg(found.path, memory_limit=1 << 30, cpu_limit=1)
    as_fast_as_it_can = (argument for argument in ENDLESS if argument != "-re")

    code, _ = await program.run(*as_fast_as_it_can)

    assert code != 0


async def test_cpu_limit_of_a_fit_is_its_time_limit_times_all_cores(tmp_path: Path):
    limits = tmp_path / "limits"
    program = script(tmp_path / "program", f"ulimit -t > {limits}; exit 1")

    with pytest.raises(CannotFit):
        await Fitter(ffmpeg=program, time_limit=30).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert int(limits.read_text()) == 30 * (os.cpu_count() or 1)


def test_ffmpeg_does_not_start_when_the_bot_has_already_ended(tmp_path: Path):
    """The bot was killed before the child asked for the signal about it."""
    no_parent = os.getpid() + 1
    command = ("/bin/sh", "-c", ffmpeg._START, "sh", str(no_parent), "0", "touch", str(tmp_path / "started"))

    assert subprocess.run(command, check=False).returncode == 1
    assert left_in(tmp_path) == set()


@needs_ffmpeg
async def test_stopped_child_is_killed_with_its_group(monkeypatch: pytest.MonkeyPatch):
    """While it is stopped, it cannot end its own children."""
    monkeypatch.setattr(ffmpeg, "_MAX_END", 0.2)
    found = find_ffmpeg()
    assert found is not None
    job = asyncio.create_task(Ffmpeg(found.path, memory_limit=1 << 30, cpu_limit=60).run(*ENDLESS))
    me = psutil.Process()
    children = await until_encoding(me)
    os.killpg(children[0].pid, signal.SIGSTOP)

    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    await eventually(lambda: all(is_gone(child.pid) for child in children))
