"""Running ffmpeg as a child that can do no harm, with a stand-in that does what a test needs to see."""

import asyncio
import contextlib
import os
import re
import shutil
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
from tests.timing import eventually

needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
needs_setpriv = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("setpriv") is None, reason="only Linux tells of a parent's end"
)


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
async def test_sound_is_copied_when_it_is_small_already(sound: str, expected: str, tmp_path: Path):
    arguments = tmp_path / "arguments"
    program = script(tmp_path / "program", f'echo "$@" > {arguments}; exit 1', description=SILENT + sound)

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=program).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert f" {expected} -movflags +faststart " in arguments.read_text()


async def test_title_that_looks_like_a_description_is_not_believed(tmp_path: Path):
    """Whoever made the video chose its title."""
    title = "    title           : Duration: 99:00:00.00 Stream #0:0: Video: h264, 64x64, 1 fps\n"
    arguments = tmp_path / "arguments"
    program = script(tmp_path / "program", f'echo "$@" > {arguments}; exit 1', description=title + SILENT)

    with pytest.raises(CannotFit, match="could not convert"):
        await Fitter(ffmpeg=program).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert "640,360)" in arguments.read_text()


async def test_what_comes_out_too_large_is_tried_once_more_with_a_lower_rate(tmp_path: Path):
    """With two clips instead of an encoder: the first beyond the limit, the second below."""
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
def forgetful() -> Iterator[None]:
    """What was found before is looked for again, before and after the test."""
    ffmpeg._look_for_ffmpeg.cache_clear()
    yield
    ffmpeg._look_for_ffmpeg.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_system_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = system_with(tmp_path, monkeypatch, encoders=X264)

    assert find_ffmpeg() == FoundFfmpeg(program, str(program))


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    ("encoders", "why"), [(NO_X264, "the system's cannot encode H.264"), (None, "the system has none")]
)
def test_wheel_helps_a_system_that_cannot_encode(
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


@pytest.mark.usefixtures("forgetful")
def test_none_that_can_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And one that is installed later is found."""
    program = system_with(tmp_path, monkeypatch, encoders=NO_X264)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))

    assert find_ffmpeg() is None
    system_with(tmp_path, monkeypatch, encoders=X264)
    assert find_ffmpeg() == FoundFfmpeg(program, str(program))


@pytest.mark.usefixtures("forgetful")
async def test_look_is_taken_once_and_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A slow disk, when the first video must be made smaller."""
    looks, go = tmp_path / "looks", tmp_path / "go"
    ending = f"echo look >> {looks}; while [ ! -e {go} ]; do /bin/sleep 0.01; done"
    system_with(tmp_path, monkeypatch, encoders=X264, ending=ending)
    fitter = Fitter()
    assert not looks.exists()

    fits = [fitter.fit(tmp_path / "in", tmp_path / name, limit=1_000_000) for name in ("a", "b")]
    both = asyncio.gather(*fits, return_exceptions=True)
    # It ends when this loop, which goes on, says so.
    await eventually(looks.exists)
    go.touch()

    assert [type(error) for error in await both] == [CannotFit, CannotFit]
    # Each fit runs it once more, to read the film, and may write no file then.
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
    """Starts a process that runs an endless ffmpeg; ends all at the end of the test."""
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
    """What the bot started, once ffmpeg itself is among it."""
    children = bot.children(recursive=True)
    # One may end meanwhile: what starts ffmpeg does.
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
    """SIGKILL lets the bot do nothing any more."""
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
    """Where nothing tells ffmpeg that the bot was killed."""
    found = find_ffmpeg()
    assert found is not None
    program = Ffmpeg(found.path, memory_limit=1 << 30, cpu_limit=1)
    as_fast_as_it_can = (argument for argument in ENDLESS if argument != "-re")

    code, _ = await program.run(*as_fast_as_it_can)

    assert code != 0


async def test_limits_of_a_fit_are_in_its_arguments(tmp_path: Path):
    """The CPU time: what all cores have in the time of a fit."""
    limits = tmp_path / "limits"
    program = script(tmp_path / "program", f"ulimit -t > {limits}; exit 1")

    with pytest.raises(CannotFit):
        await Fitter(ffmpeg=program, time_limit=30).fit(tmp_path / "in", tmp_path / "out", limit=1_000_000)

    assert int(limits.read_text()) == 30 * (os.cpu_count() or 1)


def test_nothing_starts_when_the_bot_is_gone_already(tmp_path: Path):
    """Killed before the child asked to be told of it."""
    no_parent = os.getpid() + 1
    command = ("/bin/sh", "-c", ffmpeg._START, "sh", str(no_parent), "0", "touch", str(tmp_path / "started"))

    assert subprocess.run(command, check=False).returncode == 1
    assert left_in(tmp_path) == set()


@needs_ffmpeg
async def test_stopped_child_is_ended(monkeypatch: pytest.MonkeyPatch):
    """It cannot end what it started while it is stopped, so the whole group is killed."""
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
