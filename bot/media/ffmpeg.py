"""Runs ffmpeg as a child process with bounded memory, disk and time, without network and secrets."""

import asyncio
import contextlib
import importlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from bot.aio import finish, wait_until_done
from bot.core.errors import CannotFit

# Bytes kept of ffmpeg's output about a broken file.
_MAX_OUTPUT = 4096
_NICENESS = 10
# The shell sets the limits before ffmpeg starts, because a function run between fork and exec is not safe
# beside threads, and a limit set from outside comes too late. A limit that the system lacks is skipped (idle
# disk priority and the memory limit exist on Linux only): the shell's complaints are dropped, and ffmpeg gets
# the pipe back. Memory is counted in KiB, files in blocks of 512 bytes; no core file is left beside the
# videos.
_WITH_LIMITS = """
exec 3>&2 2>/dev/null
ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; ionice -c 3 -p $$
niceness=$3; shift 3
exec 2>&3 3>&-
exec nice -n "$niceness" "$@"
"""


def find_ffmpeg() -> Path | None:
    """The system's ffmpeg, or the one in the wheel of imageio-ffmpeg; None when there is neither."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return Path(found)
    try:
        wheel = importlib.import_module("imageio_ffmpeg")
        return Path(wheel.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # no wheel, or none with a program for this machine
        return None


class Ffmpeg:
    """Runs one program. `memory_limit` in bytes per run. The caller bounds the time: a cancel ends a run."""

    def __init__(self, program: Path, *, memory_limit: int) -> None:
        self._program = program
        self._memory_limit = memory_limit

    async def run(self, *arguments: str, max_written: int = 0) -> tuple[int, str]:
        """Exit code and the end of the output. ffmpeg writes no file of more than `max_written` bytes.

        Raises CannotFit when it does not start. A cancelled caller leaves no child behind.
        """
        # A cancel in the middle of the start would leave a child that we do not know of.
        starting = asyncio.ensure_future(self._start(arguments, max_written))
        try:
            child = await asyncio.shield(starting)
            output, _ = await asyncio.gather(_last_output(child), child.wait())
        finally:
            await wait_until_done(starting)
            if starting.exception() is None:
                await _kill(starting.result())
        return child.returncode or 0, output.decode(errors="replace")

    async def _start(self, arguments: Sequence[str], max_written: int) -> Process:
        limits = (self._memory_limit // 1024, max_written // 512, _NICENESS)
        try:
            return await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _WITH_LIMITS, "sh", *map(str, limits)),
                *(os.fspath(self._program), "-nostdin", "-hide_banner", *arguments),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                # Not our environment, because it holds the bot's token and the API's key.
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        except OSError as error:
            raise CannotFit(f"ffmpeg cannot be started ({error.strerror})") from error


async def _last_output(child: Process) -> bytes:
    assert child.stderr is not None  # noqa: S101 - a pipe was asked for
    output = b""
    while piece := await child.stderr.read(_MAX_OUTPUT):
        output = (output + piece)[-_MAX_OUTPUT:]
    return output


async def _kill(child: Process) -> None:
    """Kill the child with all processes that it started."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await finish(child.wait())
