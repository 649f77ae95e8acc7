"""Runs ffmpeg as a child process that can harm nobody: bounded in time, memory, network and secrets."""

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

# All that anybody reads of what ffmpeg says about a broken file.
_MOST_WORDS = 4096
_NICENESS = 10
# Restrained before it begins, by the shell: a function run between fork and exec is not safe beside threads.
# A system that knows no limit for memory goes on without.
_RESTRAINED = 'ulimit -v "$1" 2>/dev/null; niceness=$2; shift 2; exec nice -n "$niceness" "$@"'


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
    """`time_limit` in seconds and `memory_limit` (of addresses) in bytes are for one run."""

    def __init__(self, program: Path, *, time_limit: float, memory_limit: int) -> None:
        self._program = program
        self._time_limit = time_limit
        self._memory_limit = memory_limit

    async def run(self, *arguments: str | Path) -> tuple[int, str]:
        """Exit code and the end of what it said. Raises CannotFit when it took too long or did not start.

        A cancelled caller leaves no child behind.
        """
        child = await self._start(arguments)
        try:
            async with asyncio.timeout(self._time_limit):
                said, _ = await asyncio.gather(_end_of(child), child.wait())
        except TimeoutError as error:
            raise CannotFit(f"making it smaller took longer than {self._time_limit:g} s") from error
        finally:
            await _end(child)
        return child.returncode or 0, said.decode(errors="replace")

    async def _start(self, arguments: Sequence[str | Path]) -> Process:
        memory = str(self._memory_limit // 1024)
        try:
            return await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _RESTRAINED, "sh", memory, str(_NICENESS), self._program),
                *("-nostdin", "-hide_banner", *arguments),
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
    """With everything that it started; waited for even when the caller is cancelled once more."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    await asyncio.shield(child.wait())
