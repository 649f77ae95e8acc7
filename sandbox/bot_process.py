"""The real bot as a separate process, configured only by its public settings."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Passed on to every bot process; COVERAGE_* measures the coverage of a process that a test started.
_INHERITED = ("PATH", "HOME", "LANG", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
# Seconds. Longer than the time that the bot gives an upload to finish.
_STOP_TIMEOUT = 45
ROOT = Path(__file__).parent.parent


class BotProcess:
    """`python -m bot` with exactly these settings; its output is appended to `log`."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self._settings = dict(settings)
        self.log = log
        self._process: Process | None = None

    async def start(self, *arguments: str) -> None:
        """Start it in an empty folder, so that it reads no .env of the project."""
        folder = self.log.parent / "empty"
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot",
                *arguments,
                cwd=folder,
                env=_environment(self._settings),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the bot has not been started")
        return self._process

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs and before the first start."""
        return None if self._process is None else self._process.returncode

    def output(self) -> str:
        """The output of all starts so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def kill(self) -> None:
        """Send SIGKILL, and wait until the process has ended."""
        self._running.kill()
        await self._running.wait()

    def freeze(self) -> None:
        """Send SIGSTOP. Connections stay open and nothing is sent over them, as on a machine that stalls."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT: undo `freeze`."""
        self._running.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and return at once."""
        self._running.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until it ends, and return its exit code."""
        return await self._running.wait()

    async def stop(self) -> int:
        """Send SIGTERM if it still runs, and return the exit code (0 if it was never started).

        Raises RuntimeError when it does not end within 45 seconds; it is killed then.
        """
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self.ask_to_stop()
            # A frozen process receives SIGTERM only after SIGCONT.
            self.thaw()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                return await self.ended()
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"the bot did not stop within {_STOP_TIMEOUT} s") from None


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    ours = {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        # No stand-in uses TLS, and reading the system's certificates takes a tenth of a start.
        "SSL_CERT_FILE": os.devnull,
    }
    return inherited | ours | dict(settings)
