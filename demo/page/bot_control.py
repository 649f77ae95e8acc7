"""The bot's process as the page shows it: its state, and the buttons that kill it and start it again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sandbox.bot_environment import BotEnvironment
    from sandbox.holds import Hold

Json = dict[str, object]
Moment = Literal["now", "received", "accepted"]
_SIGKILL = -9
_UPLOAD = "POST /channels/*/messages"
_LAST_WORDS = 12
_A_DAY = 86_400.0


class BotControl:
    def __init__(self, env: BotEnvironment, tell: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._env = env
        self._tell = tell
        self._changed = changed
        self._jobs: set[asyncio.Task[None]] = set()
        self._trap: tuple[Moment, Hold] | None = None
        self._was_started = False
        self.problem: str | None = None

    def state(self) -> Json:
        return {
            "state": self._state(),
            "exitCode": self._env.bot.exit_code,
            "pollInterval": float(self._env.settings()["POLL_INTERVAL"]),
            "trap": self._trap[0] if self._trap else None,
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
        """Returns at once; the state tells how it goes."""
        if self._state() in ("running", "starting"):
            raise ValueError("the bot is running already")
        self._was_started = True
        self._do(self._start())

    async def _start(self) -> None:
        self.problem = None
        self._tell("the bot's process is started")
        try:
            await self._env.start_bot()
        except (RuntimeError, TimeoutError):
            self.problem = "\n".join(self._env.bot.output().splitlines()[-_LAST_WORDS:])
        else:
            self._tell("the bot is on line")
            self._do(self._watch())
        self._changed()

    async def _watch(self) -> None:
        code = await self._env.bot.ended()
        self._tell("the bot was killed (SIGKILL)" if code == _SIGKILL else f"the bot ended with {code}")
        self._changed()

    async def kill(self, moment: Moment) -> None:
        """Now, or as soon as Discord has `received` (`accepted`) its next message."""
        if self._state() not in ("running", "starting"):
            raise ValueError("the bot is not running")
        self.disarm()
        if moment == "now":
            await self._kill()
            return
        hold = self._env.discord.hold(_UPLOAD, moment)
        self._trap = (moment, hold)
        self._do(self._spring(hold))
        self._changed()

    async def _spring(self, hold: Hold) -> None:
        await hold.reached(within=_A_DAY)
        if self._trap is not None and self._trap[1] is hold:
            self._trap = None
            await self._kill()
            hold.drop()

    async def _kill(self) -> None:
        """Returns when Discord has noticed, too: a bot started again is not taken for this one."""
        await self._env.bot.kill()
        await self._env.discord.until(lambda: not self._env.discord.connected)

    def disarm(self) -> None:
        if self._trap is not None:
            self._trap[1].release()
            self._trap = None
            self._changed()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """The process itself belongs to the env."""
        self.disarm()
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
