"""Finds an ffmpeg that can encode, and runs it as a child process: bounded, without network and secrets."""

import asyncio
import contextlib
import importlib
import os
import re
import shutil
import signal
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bot.aio import finish, wait_until_done
from bot.core.errors import CannotFit

# Bytes of ffmpeg's output that are kept.
_MAX_OUTPUT = 4096
_NICENESS = 10
# Seconds for printing the list of encoders.
_MAX_LOOK = 20.0
# Seconds in which the shell ends what it started.
_MAX_END = 5.0
# Not the bot's environment, because it holds its token and the API's key.
_ENVIRONMENT = {"PATH": os.defpath}
# A shell sets the limits before ffmpeg starts, because a function run between fork and exec is not safe with
# threads, and a limit set from outside comes too late. A limit that the system lacks is skipped (idle disk
# priority, the memory limit and setpriv exist on Linux only): the shell's error messages are dropped, and
# ffmpeg gets the pipe back. Memory is counted in KiB, files in blocks of 512 bytes, CPU time in seconds. No
# core file is written.
_SET_LIMITS = """
exec 3>&2 2>/dev/null
ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; ulimit -t "$3"; ionice -c 3 -p $$
shift 3
if setpriv --pdeathsig TERM true; then set -- setpriv --pdeathsig TERM "$@"; fi
exec "$@"
"""
# Linux sends SIGTERM to this second shell when the thread that started it ends, also by SIGKILL of the bot
# (PR_SET_PDEATHSIG); that is the event loop's thread. Only one process gets the signal. So the shell stays as
# ffmpeg's parent and kills the process group, which contains the children of a wrapper script, too. It waits
# for ffmpeg first, because no other process does where the bot is process 1 of a container. The parent's id
# shows whether the bot ended before setpriv. On other systems the CPU limit ends ffmpeg.
_START = """
trap 'kill -KILL $!; wait $!; kill -KILL 0' TERM
[ "$PPID" = "$1" ] || exit 1
niceness=$2; shift 2
nice -n "$niceness" "$@" 2>&3 3>&- &
exec 3>&-
wait $!
"""


@dataclass(frozen=True, slots=True)
class FoundFfmpeg:
    """An ffmpeg that can encode H.264. `description` tells the operator which one it is, and why."""

    path: Path
    description: str


def find_ffmpeg() -> FoundFfmpeg | None:
    """Find the system's ffmpeg, or the one in the wheel of imageio-ffmpeg, that can encode H.264;

    None without.

    Blocking: call it off the event loop. A found program is kept; otherwise the next call searches again.
    """
    try:
        return _search_ffmpeg()
    except FileNotFoundError:
        return None


@cache
def _search_ffmpeg() -> FoundFfmpeg:
    """Find ffmpeg, or raise FileNotFoundError, because `cache` keeps only what is returned."""
    system = shutil.which("ffmpeg")
    if system is not None and _can_encode(Path(system)):
        return FoundFfmpeg(Path(system), system)
    wheel = _ffmpeg_of_wheel()
    if wheel is None or not _can_encode(wheel):
        raise FileNotFoundError("no ffmpeg that can encode H.264")
    reason = "the system has none" if system is None else "the system's cannot encode H.264"
    return FoundFfmpeg(wheel, f"the one of imageio-ffmpeg, because {reason}")


def _ffmpeg_of_wheel() -> Path | None:
    try:
        wheel = importlib.import_module("imageio_ffmpeg")
        return Path(wheel.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # no wheel, or none with a program for this machine
        return None


def _can_encode(program: Path) -> bool:
    """Whether it lists x264 among its encoders. Distributions leave it out for its licence or its patents."""
    try:
        listed = subprocess.run(  # noqa: S603 - found on the operator's PATH, or installed by the operator
            (program, "-nostdin", "-hide_banner", "-encoders"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=_ENVIRONMENT,
            timeout=_MAX_LOOK,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(rb"^ V\S* libx264 ", listed.stdout, re.MULTILINE) is not None


class Ffmpeg:
    """Runs one ffmpeg. `memory_limit` (bytes) and `cpu_limit` (seconds over all cores) hold for each run.

    The caller limits the time: a cancellation ends a run. The end of the bot also ends it: on Linux within
    moments, elsewhere by the CPU limit.
    """

    def __init__(self, program: Path, *, memory_limit: int, cpu_limit: int) -> None:
        self._program = program
        self._memory_limit = memory_limit
        self._cpu_limit = cpu_limit

    async def run(self, *arguments: str, max_written: int = 0) -> tuple[int, str]:
        """Run ffmpeg; returns the exit code and the end of the output.

        ffmpeg writes no file of more than `max_written` bytes. Raises CannotFit when it does not start. A
        cancelled caller leaves no child process behind.
        """
        # A cancellation during the start would leave an unknown child process.
        starting = asyncio.ensure_future(self._start_child(arguments, max_written))
        try:
            child = await asyncio.shield(starting)
            output, _ = await asyncio.gather(_last_output(child), child.wait())
        finally:
            await wait_until_done(starting)
            if starting.exception() is None:
                await finish(_end_child(starting.result()))
        return child.returncode or 0, output.decode(errors="replace")

    async def _start_child(self, arguments: Sequence[str], max_written: int) -> Process:
        limits = (self._memory_limit // 1024, max_written // 512, self._cpu_limit)
        try:
            return await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _SET_LIMITS, "sh", *map(str, limits)),
                *("/bin/sh", "-c", _START, "sh", str(os.getpid()), str(_NICENESS)),
                *(os.fspath(self._program), "-nostdin", "-hide_banner", *arguments),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotFit(f"ffmpeg cannot be started ({error.strerror})") from error


async def _last_output(child: Process) -> bytes:
    assert child.stderr is not None  # noqa: S101 - a pipe was requested
    output = b""
    while piece := await child.stderr.read(_MAX_OUTPUT):
        output = (output + piece)[-_MAX_OUTPUT:]
    return output


async def _end_child(child: Process) -> None:
    """End the shell with all processes that it started."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), _MAX_END)
    except TimeoutError:  # suspended, or waiting for a disk
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
