"""One run of a schedule: the bot's real parts over the models, processes that come and go, people who ask."""

import asyncio
import contextlib
import errno
import logging
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from bot import app
from bot.chat.gateway.membership import Membership
from bot.core.clock import SECOND
from bot.core.errors import StorageUnavailable
from tests.explore.api_model import Api
from tests.explore.bot_process import LEASE, Bot
from tests.explore.database import Driver, Engines, copy
from tests.explore.discord_model import NONCE_WINDOW, Discord, Lost
from tests.explore.invariants import Observer
from tests.explore.loop import PROCESS, Process, Stuck, VirtualLoop
from tests.explore.people import GUILD, Command
from tests.explore.schedule import STOPS, UNDO, Fault, Kind, Schedule, Step

if TYPE_CHECKING:
    from tests.explore.scenarios import Scenario

EPOCH = 1_800_000_000_000
_FREEZE = 1.7 * LEASE / SECOND
_LONG = 2 * NONCE_WINDOW / SECOND
_HELD = 2.0  # seconds that a step is held while something else happens
_MAX_STEPS = 1_200
_MAX_SECONDS = 5 * 86_400.0
TEMPLATES = Path("..")
# What goes wrong at a step, in the process of a branch; None: nothing, here. At a commit it is asked twice,
# because only a branch from before it can undo it: with True, then with False.
Branch = Callable[[Step, bool | None], Fault | None]
# The functions of the video cache that remove files, and the steps that they are.
_DISK_STEPS = {"_remove_files": "remove", "_remove_stale": "sweep"}


class Killed(BaseException):
    """Ends the job that was at the step; every other one of its process is never run again."""


class _Bugs(logging.Handler):
    """Keeps what the bot logs as errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


BUGS = _Bugs()
logging.getLogger("bot").addHandler(BUGS)


class World:
    """Runs one schedule in today's folder. Afterwards `steps`, `violations` and `counts` say what came of it.

    `branch` is asked at every step whether the run goes on in another process, too.
    """

    def __init__(self, scenario: "Scenario", schedule: Schedule, engines: Engines, branch: Branch) -> None:
        self.scenario, self.schedule = scenario, schedule
        self._branch = branch
        random.seed(schedule.seed)
        self.chance = random.Random(schedule.seed)
        self.loop = VirtualLoop(self.chance if schedule.seed else None, self._on_idle)
        self.loop.disk = self._disk
        self._engines = engines
        self.counts: Counter[str] = Counter()
        self.database, self.videos = Path("bot.db"), Path("videos")
        self.discord: Discord = Discord(
            self.now, lambda: self.count("a nonce answered with the first message")
        )
        self.steps: list[Step] = []
        self.violations: list[str] = []
        self.bots: list[Bot] = []
        self.commands: list[Command] = []
        self.locks: dict[Path, Process | None] = {}  # of partial files
        self.down_for = 0.0
        self.rested_at = 0.0
        self._outside = copy_context()  # of no process
        self._agenda: dict[asyncio.TimerHandle, None] = {}
        self._copy: Path | None = None
        self._has_rested = False
        engines.path, engines.commit = self.database, self._commit
        shutil.rmtree(self.videos, ignore_errors=True)
        copy(TEMPLATES / scenario.template, self.database)
        self.observer = Observer(self)
        scenario.prepare(self)
        self.api = Api(self, scenario.tasks(), self.observer.is_wanted)
        self.films = scenario.films()

    def now(self) -> int:
        return EPOCH + round(self.loop.time() * SECOND)

    @property
    def bugs(self) -> list[str]:
        """What the bot has logged as errors."""
        return BUGS.lines

    def told_at(self) -> float:
        """When the last result or direct message came, in seconds of the loop."""
        told = [*self.discord.messages("result"), *self.discord.messages("direct")]
        return (max((m.at for m in told), default=EPOCH) - EPOCH) / SECOND

    def count(self, what: str) -> None:
        """Something that must happen now and then."""
        self.counts[what] += 1

    def run(self) -> list[str]:
        """The violations of the invariants."""
        BUGS.lines = []
        asyncio.events.set_event_loop(self.loop)
        self.start_bot(recover=True)
        for _ in range(self.scenario.workers - 1):
            self.later(0.5, lambda: self.start_bot(recover=False))
        for at, event in self.scenario.agenda(self):
            self.later(at, event)
        try:
            self.loop.run_forever()
        except Stuck:
            self.violations.append("at rest: the loop stood still")
        finally:
            if not self.violations:
                self.violations += self.observer.at_the_end()
            for bot in self.bots:
                bot.process.kill()
            self.observer.close()
            self._engines.release()
            self.loop.abandon()
            asyncio.events.set_event_loop(None)
        return self.violations

    # -- time ------------------------------------------------------------------------------------

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Something that the world does, at its time."""

        def happen() -> None:
            del self._agenda[handle]
            act()

        handle = self.loop.call_later(seconds, happen, context=self._outside)
        self._agenda[handle] = None

    def _on_idle(self) -> float | None:
        """Where the clock may move at once, because nothing is in flight and nothing is due before."""
        if self.loop.time() > _MAX_SECONDS:
            self.end("at rest: it never comes to rest")
        if any(bot.is_busy for bot in self.bots):
            return None
        times = [handle.when() for handle in self._agenda]
        if (due := self.observer.next_due()) is not None:
            times.append((due - EPOCH) / SECOND)
        if times:
            return min(times)
        return self._rest()

    def _rest(self) -> float | None:
        """Nothing is due: the copy is put back, housekeeping runs once more, and that was all."""
        if self._copy is not None:
            self._put_back(self._copy)
            self._copy = None
        elif not self._has_rested:
            self._has_rested = True
            self.rested_at = self.loop.time()
            for violation in self.observer.at_first_rest():
                self.end(violation)
            return self.loop.time() + app.HOUSEKEEPING_INTERVAL
        else:
            self.loop.stop()
            self.loop.call_soon(lambda: None)
        return None

    def end(self, violation: str) -> None:
        """A promise is broken: what comes after it does not matter."""
        if violation not in self.violations:
            self.violations.append(violation)
        self.loop.stop()

    # -- steps -----------------------------------------------------------------------------------

    async def effect(
        self, what: str, act: Callable[[], Any], *, about: object = None, lasts: float = 0.0
    ) -> Any:
        """Do something outside of the process: a numbered step, after a moment on the way.

        Raises what `act` raises, or Lost. `about` is the row that is worked on.
        """
        process = PROCESS.get()
        assert process is not None
        process.in_flight += 1
        try:
            with self.observer.working(process, about):
                await self._travel(lasts)
                kind = self._fault(self._next_step(what, process))
                return await self._act(what, kind, act, process)
        finally:
            process.in_flight -= 1

    async def _travel(self, lasts: float = 0.0) -> None:
        await asyncio.sleep(lasts + (self.chance.uniform(0.01, 1.5) if self.schedule.seed else 0.05))

    def _next_step(self, what: str, process: Process) -> Step:
        self.steps.append(Step(len(self.steps) + 1, what, self.loop.time(), process.number))
        if len(self.steps) > _MAX_STEPS:
            self.end("at rest: the steps have no end")
        return self.steps[-1]

    def _fault(self, step: Step, *, undo: bool | None = None) -> str | None:
        """What goes wrong at this step. `undo`: only what undoes a commit, or only the rest."""
        kind = self.schedule.kind_at(step.number)
        if kind is None and (fault := self._branch(step, undo)) is not None:
            self.schedule = replace(self.schedule, faults=(*self.schedule.faults, fault))
            kind = fault.kind
        return kind if undo is None or (kind in UNDO) is undo else None

    def reopen(self) -> None:
        """Go on in a branch, with the files of its folder, which are copies."""
        asyncio._set_running_loop(self.loop)  # a forked process has none
        self._engines.reopen()
        self.observer.reopen()

    async def _act(self, what: str, kind: str | None, act: Callable[[], Any], process: Process) -> Any:
        match kind:
            case None:
                pass
            case Kind.STOP_BEFORE | Kind.STOP_BEFORE_LONG:
                self._stop(process, kind)
            case Kind.IN_FLIGHT:
                self.later(3.0, lambda: _tried(act))
                self._stop(process, kind)
            case Kind.FREEZE_BEFORE:
                await self._freeze(process, kind)
            case Kind.PUT_BACK:
                self._make_copy()
            case Kind.END:
                self._bot(process).stop.set()
            case Kind.FAIL:
                await self._travel()
                raise OSError(errno.EROFS, "read-only") if what.startswith("disk") else Lost
            case event if event in self.scenario.events:
                self.scenario.events[event](self)
                await asyncio.sleep(_HELD)
        answer = _tried(act)
        match kind:
            case Kind.STOP_AFTER | Kind.STOP_AFTER_LONG:
                self._stop(process, kind)
            case Kind.FREEZE_AFTER | Kind.FREEZE_LONG:
                await self._freeze(process, kind)
            case Kind.LOST:
                await self._travel()
                raise Lost
            case str() if kind.removesuffix("-after") in self.scenario.events and kind.endswith("-after"):
                self.scenario.events[kind.removesuffix("-after")](self)
                await asyncio.sleep(_HELD)
        await self._travel()
        return answer()

    async def _commit(self, what: str, driver: Driver) -> None:
        """The commit of a transaction that has changed something."""
        process = PROCESS.get()
        assert process is not None
        step = self._next_step(f"commit {what}", process)
        if (kind := self._fault(step, undo=True)) is not None:
            driver.rollback()
            if kind == Kind.FAIL:
                raise sqlite3.OperationalError("disk I/O error")
            self._stop(process, kind)
        driver.commit()
        self.observer.committed()
        kind = self._fault(step, undo=False)
        if kind in STOPS:
            self._stop(process, str(kind))
        elif kind in (Kind.FREEZE_AFTER, Kind.FREEZE_LONG):
            await self._freeze(process, str(kind))
        elif kind == Kind.PUT_BACK:
            self._make_copy()
        elif kind == Kind.END:
            self._bot(process).stop.set()
        elif kind in self.scenario.events:
            self.scenario.events[str(kind)](self)

    def _disk(self, func: Callable[..., Any], arguments: tuple[Any, ...]) -> asyncio.Future[Any] | None:
        """What removes files is a step; what reads them is none."""
        call = getattr(func, "args", (func,))[0] if hasattr(func, "args") else func
        bound = getattr(call, "func", call)
        name = getattr(bound, "__name__", "")
        step = _DISK_STEPS.get(name)
        if PROCESS.get() is None or step is None:
            return None
        return asyncio.ensure_future(self.effect(f"disk: {step}", lambda: func(*arguments)))

    # -- what goes wrong -------------------------------------------------------------------------

    def _bot(self, process: Process) -> Bot:
        return next(bot for bot in self.bots if bot.process is process)

    def _stop(self, process: Process, kind: str) -> NoReturn:
        long = kind in (Kind.STOP_BEFORE_LONG, Kind.STOP_AFTER_LONG)
        self.kill(process, _LONG if long else 1.0)
        raise Killed

    def kill(self, process: Process, down_for: float) -> None:
        bot = self._bot(process)
        process.kill()
        self._engines.opened[process.number - 1].kill()
        self.down_for += down_for
        self.scenario.while_down(self)
        for command in bot.commands:
            if command.answered_at is None:
                self.later(down_for + 5, lambda command=command: self.ask(command))  # type: ignore[misc]
        self.later(down_for, lambda: self.start_bot(recover=not self._lives()))

    def _lives(self) -> bool:
        return any(not bot.process.is_dead for bot in self.bots)

    async def _freeze(self, process: Process, kind: str) -> None:
        """Another worker starts, as one of several processes does; this one goes on later."""
        process.freeze()
        lasts = _LONG if kind == Kind.FREEZE_LONG else _FREEZE
        self.later(0.0, lambda: self.start_bot(recover=False))
        self.later(lasts, process.thaw)
        await asyncio.sleep(0)

    def _make_copy(self) -> None:
        self._copy = Path("copy.db")
        copy(self.database, self._copy)
        self.observer.copied()

    def _put_back(self, made: Path) -> None:
        for bot in self.bots:
            if not bot.process.is_dead:
                bot.process.kill()
                self._engines.opened[bot.process.number - 1].kill()
        self.observer.put_back(made, self.database)
        self.count("a database put back")
        self._has_rested = False
        self.down_for += _LONG
        self.later(_LONG, lambda: self.start_bot(recover=True))

    # -- processes -------------------------------------------------------------------------------

    def start_bot(self, *, recover: bool) -> None:
        process = Process(self.loop, len(self.bots) + 1)
        context = copy_context()
        context.run(PROCESS.set, process)
        bot = Bot(process, asyncio.Event())
        self.bots.append(bot)
        running = self.loop.create_task(bot.run(self, recover=recover), context=context)
        running.add_done_callback(lambda _: self._ended(bot, running))

    def _ended(self, bot: Bot, running: "asyncio.Task[None]") -> None:
        """It left, because it was asked to or could not start: the supervisor starts another one."""
        error = None if running.cancelled() else running.exception()
        if not isinstance(error, StorageUnavailable | None):
            self.end(f"bug: the process ends with {error!r}")
        self.kill(bot.process, 1.0)

    @property
    def guild(self) -> Any:
        """The server, as the gateway's cache has it."""
        return SimpleNamespace(id=GUILD, world=self)

    # -- people ----------------------------------------------------------------------------------

    def ask(self, command: Command) -> None:
        """A person uses a command; once more in a while, when no process takes it."""
        if command not in self.commands:
            self.commands.append(command)
        bot = next((bot for bot in reversed(self.bots) if bot.is_ready), None)
        if bot is None:
            self.later(5.0, lambda: self.ask(command))
            return
        bot.commands.append(command)
        self.within(bot, lambda: command.run(self, bot))

    def rights(self, channel_id: int, rights: int) -> None:
        """Somebody changes them, and the gateway tells every process that is connected."""
        self.discord.channel(channel_id).rights = rights
        for bot in self.bots:
            if bot.is_ready and bot.membership is not None:
                self.within(bot, partial(_unless_down, bot.membership, self.guild))

    def within(self, bot: Bot, act: Callable[[], Awaitable[None]]) -> None:
        """Begin something in a process."""

        async def run() -> None:
            bot.process.in_flight += 1
            try:
                await act()
            finally:
                bot.process.in_flight -= 1

        context = copy_context()
        context.run(PROCESS.set, bot.process)
        self.loop.create_task(run(), context=context)


async def _unless_down(membership: Membership, guild: Any) -> None:
    """The client logs what the database does not take, and the next event or check tries again."""
    with contextlib.suppress(StorageUnavailable):
        await membership.changed(guild)


def _tried(act: Callable[[], Any]) -> Callable[[], Any]:
    """What `act` gave or raised, for whom its answer reaches."""
    try:
        result = act()
    except Exception as error:
        caught = error

        def fail() -> Any:
            raise caught

        return fail
    return lambda: result
