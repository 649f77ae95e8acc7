"""The bot's process for the page: its state, and the actions that kill and start it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sandbox.bot_environment import BotEnvironment
    from sandbox.holds import Hold

Json = dict[str, object]
KillMoment = Literal["now", "received", "accepted"]
_SIGKILL = -9
_UPLOAD = "POST /channels/*/messages"
_SHOWN_LOG_LINES = 12
_DAY = 86_400.0  # seconds


class BotControl:
    """Starts and kills the bot. `note` gets each event as text; `changed` is called for a new state."""

    def __init__(self, env: BotEnvironment, note: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._env = env
        self._note = note
        self._changed = changed
        self._jobs: set[asyncio.Task[None]] = set()
        self._pending_kill: tuple[KillMoment, Hold] | None = None
        self._was_started = False
        self.problem: str | None = None

    def state(self) -> Json:
        return {
            "state": self._state(),
            "exitCode": self._env.bot.exit_code,
            "pollInterval": float(self._env.settings()["POLL_INTERVAL"]),
            "trap": self._pending_kill[0] if self._pending_kill else None,
            "problem": self.problem,
        }

    def _state(self) -> str:
        bot, discord = self._env.bot, self._env.discord
        if bot.exit_code is not None:
            return "killed" if bot.exit_code == _SIGKILL else "ended"
        if not self._was_started:
            return "stopped"
        return "running" if discord.connected and discord.commands else "starting"

    def start(self) -> None:
        """Start the bot in the background. Raises ValueError when it runs already."""
        if self._state() in ("running", "starting"):
            raise ValueError("the bot is running already")
        self._was_started = True
        self._run_in_background(self._start())

    async def _start(self) -> None:
        self.problem = None
        self._note("the bot's process is started")
        try:
            await self._env.start_bot()
        except (RuntimeError, TimeoutError):
            self.problem = "\n".join(self._env.bot.output().splitlines()[-_SHOWN_LOG_LINES:])
        else:
            self._note("the bot is on line")
            self._run_in_background(self._note_end())
        self._changed()

    async def _note_end(self) -> None:
        code = await self._env.bot.ended()
        self._note("the bot was killed (SIGKILL)" if code == _SIGKILL else f"the bot ended with {code}")
        self._changed()

    async def kill(self, moment: KillMoment) -> None:
        """Kill it now, or as soon as Discord has `received` (or `accepted`) its next message.

        Raises ValueError when it does not run.
        """
        if self._state() not in ("running", "starting"):
            raise ValueError("the bot is not running")
        self.disarm()
        if moment == "now":
            await self._kill()
            return
        hold = self._env.discord.hold(_UPLOAD, moment)
        self._pending_kill = (moment, hold)
        self._run_in_background(self._kill_when_reached(hold))
        self._changed()

    async def _kill_when_reached(self, hold: Hold) -> None:
        await hold.reached(within=_DAY)
        if self._pending_kill is not None and self._pending_kill[1] is hold:
            self._pending_kill = None
            await self._kill()
            hold.drop()

    async def _kill(self) -> None:
        """Kill it, and wait until Discord has noticed, so that the next bot is not taken for this one."""
        await self._env.bot.kill()
        await self._env.discord.until(lambda: not self._env.discord.connected)

    def disarm(self) -> None:
        """Cancel a kill that waits for its moment."""
        if self._pending_kill is not None:
            self._pending_kill[1].release()
            self._pending_kill = None
            self._changed()

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """Stop watching the bot; the environment stops the process."""
        self.disarm()
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
