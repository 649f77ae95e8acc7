"""Runs ffmpeg as a child process that can harm nobody: bounded in memory, disk, network and secrets."""

import asyncio
import contextlib
import importlib
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from bot.core.errors import CannotFit
from bot.media.waiting import wait_out

# All that anybody reads of what ffmpeg says about a broken file.
_MOST_WORDS = 4096
_NICENESS = 10
# Restrained before it begins, by the shell: a function run between fork and exec is not safe beside threads,
# and a limit set from outside comes late. What a system lacks (idle disk priority and the limit of memory are
# Linux's) it goes on without, and the shell's complaints go nowhere; ffmpeg gets the pipe back. Memory is
# counted in KiB, files in blocks of 512 bytes; no core is left beside the videos.
_RESTRAINED = """
exec 3>&2 2>/dev/null
ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; ionice -c 3 -p $$
niceness=$3; shift 3
exec 2>&3 3>&-
exec nice -n "$niceness" "$@"
"""


def find_ffmpeg() -> Path | None:
    """The system's, or the one in the wheel of imageio-ffmpeg; None when there is neither."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return Path(found)
    try:
        wheel = importlib.import_module("imageio_ffmpeg")
        return Path(wheel.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # no wheel, or none with a program for this machine
        return None


class Ffmpeg:
    """`memory_limit` in bytes, for one run. The time is the caller's to bound: cancelling a run ends it."""

    def __init__(self, program: Path, *, memory_limit: int) -> None:
        self._program = program
        self._memory_limit = memory_limit

    async def run(self, *arguments: str, most_written: int = 0) -> tuple[int, str]:
        """Exit code and the end of what it said. It writes no file of more than `most_written` bytes.

        Raises CannotFit when it does not start. A cancelled caller leaves no child behind.
        """
        # A cancel in the middle of the start would leave a child that nobody knows of.
        starting = asyncio.ensure_future(self._start(arguments, most_written))
        try:
            child = await asyncio.shield(starting)
            said, _ = await asyncio.gather(_end_of(child), child.wait())
        finally:
            await wait_out(starting)
            if starting.exception() is None:
                await _end(starting.result())
        return child.returncode or 0, said.decode(errors="replace")

    async def _start(self, arguments: Sequence[str], most_written: int) -> Process:
        limits = (self._memory_limit // 1024, most_written // 512, _NICENESS)
        try:
            return await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _RESTRAINED, "sh", *map(str, limits)),
                *(os.fspath(self._program), "-nostdin", "-hide_banner", *arguments),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                # Nothing of ours: the environment holds the bot's token and the API's key.
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        except OSError as error:
            raise CannotFit(f"ffmpeg cannot be started ({error.strerror})") from error


async def _end_of(child: Process) -> bytes:
    assert child.stderr is not None  # noqa: S101 - a pipe was asked for
    said = b""
    while piece := await child.stderr.read(_MOST_WORDS):
        said = (said + piece)[-_MOST_WORDS:]
    return said


async def _end(child: Process) -> None:
    """With everything that it started."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await wait_out(asyncio.ensure_future(child.wait()))
