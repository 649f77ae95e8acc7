"""The real bot as a process of its own, with its public settings only: it does not know of any sandbox."""

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

# What any process needs, and what measures the coverage of one that a test started.
_KEPT = ("PATH", "HOME", "LANG", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
# Longer than it gives an upload to end.
_STOPS_WITHIN = 45
ROOT = Path(__file__).parent.parent


class BotProcess:
    """`python -m bot` with exactly these settings; what it logs goes to `log`."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self._settings = dict(settings)
        self.log = log
        self._process: Process | None = None

    async def start(self, *arguments: str) -> None:
        """In an empty folder, so that no .env of the project reaches it."""
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
        """None while it runs."""
        return None if self._process is None else self._process.returncode

    def output(self) -> str:
        """All that it has said so far, over every start."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def kill(self) -> None:
        """SIGKILL: no farewell, no clean-up."""
        self._running.kill()
        await self._running.wait()

    def freeze(self) -> None:
        """As a machine that stalls: its connections stay, and nothing comes over them."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        self._running.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Its exit code, once it has one."""
        return await self._running.wait()

    async def stop(self) -> int:
        """SIGTERM, if it still runs; returns the exit code. Raises RuntimeError when that does not end it."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self.ask_to_stop()
            # A frozen one would never hear it.
            self.thaw()
        try:
            async with asyncio.timeout(_STOPS_WITHIN):
                return await self.ended()
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"the bot did not stop within {_STOPS_WITHIN} s") from None


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **settings}
