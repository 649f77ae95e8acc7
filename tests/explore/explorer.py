"""Counts the steps of a scenario, then runs it with something going wrong at each of them, and at pairs."""

import asyncio
import gc
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from bot.chat.gateway import membership
from bot.core import results
from bot.core.tasks import Claim
from bot.storage import queue, sqlite, store
from bot.storage.card_queue import CardQueue
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.queue import LeaseQueue
from bot.storage.task_queue import TaskQueue
from bot.work import poller, posting, telling, video_cache
from tests.explore.database import Engines
from tests.explore.discord_model import SEND, VIEW
from tests.explore.invariants import Observer
from tests.explore.scenarios import ALL_SCENARIOS, make_templates
from tests.explore.schedule import Fault, Kind, Schedule, Step
from tests.explore.world import World

_LATE = 45.0  # seconds that a restart may cost, below a lease
_PROMPT = frozenset({Kind.STOP_BEFORE, Kind.STOP_AFTER, Kind.IN_FLIGHT, Kind.END})
_COLLECTED_EVERY = 50
FIRST = "one-task"
# Of all explorers in this process: their statements are compiled once.
_ENGINES = Engines()


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one schedule."""

    schedule: Schedule
    steps: tuple[Step, ...]
    violations: tuple[str, ...]
    counts: Counter[str]
    rested_at: float
    down_for: float

    def report(self) -> str:
        """What a failure prints: the schedule, what it breaks, and the steps that went wrong."""
        at = {fault.step: fault.kind for fault in self.schedule.faults}
        steps = [f"{step}  <- {at[step.number]}" for step in self.steps if step.number in at]
        return "\n".join([f"--replay '{self.schedule}'", *self.violations, *steps])


@dataclass(slots=True)
class Found:
    """What an exploration has come to."""

    schedules: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Run] = field(default_factory=list)


class Explorer:
    """Open it with `explorer()`: for as long as it is open, clocks and chance of the bot are the world's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines = _ENGINES
        self._base: dict[tuple[str, int], Run] = {}
        self._runs = 0
        self.found = Found()
        self.world: World | None = None

    def run(self, schedule: Schedule) -> Run:
        """Run one schedule; the same one gives the same steps."""
        self._runs += 1
        if self._runs % _COLLECTED_EVERY == 0:
            gc.collect()
        place = self._folder / "run"
        place.mkdir(exist_ok=True)
        world = self.world = World(ALL_SCENARIOS[schedule.scenario], schedule, self._engines, place)
        violations = world.run()
        ran = Run(
            schedule, tuple(world.steps), tuple(violations), world.counts, world.rested_at, world.down_for
        )
        ran = self._with_lateness(ran)
        self.found.schedules += 1
        self.found.counts += ran.counts
        if ran.violations:
            self.found.failures.append(ran)
        return ran

    def base(self, scenario: str, seed: int = 0) -> Run:
        """The scenario without anything going wrong, which numbers its steps."""
        key = (scenario, seed)
        if key not in self._base:
            self._base[key] = self.run(Schedule(scenario, seed))
            self.found.steps[scenario] = len(self._base[key].steps)
        return self._base[key]

    def _with_lateness(self, ran: Run) -> Run:
        """A stop costs the time that the process was down, and at most a moment more."""
        faults = ran.schedule.faults
        if (
            ran.violations
            or not faults
            or ALL_SCENARIOS[ran.schedule.scenario].workers > 1
            or not {fault.kind for fault in faults} <= _PROMPT
        ):
            return ran
        base = self.base(ran.schedule.scenario, ran.schedule.seed)
        late = ran.rested_at - base.rested_at - ran.down_for
        if late <= _LATE * len(faults):
            return ran
        return replace(ran, violations=(f"late: all was done {late:.0f} s later than without the stop",))

    def singles(self, scenario: str, seed: int = 0) -> Iterator[Schedule]:
        """Everything that may happen at each step.

        A stop before a step is the stop after the one before it, unless another process goes on: the same
        things are left. How a process begins and how all ends is broken in the first scenario alone.
        """
        base = self.base(scenario, seed)
        first = min((at for at, _ in ALL_SCENARIOS[scenario].asks), default=0.0)
        for step in base.steps:
            if scenario != FIRST and not first <= step.at <= base.rested_at:
                continue
            for kind in self.kinds(scenario):
                if step.takes(kind):
                    yield Schedule(scenario, seed, (Fault(step.number, kind),))

    def kinds(self, scenario: str) -> list[str]:
        spec = ALL_SCENARIOS[scenario]
        return [*spec.kinds, *spec.events, *(f"{event}-after" for event in spec.events)]

    def pair(self, chance: random.Random, scenarios: Sequence[str] = tuple(ALL_SCENARIOS)) -> Schedule:
        """A seeded order, and two things that happen in it, the second after the first."""
        scenario = chance.choice(scenarios)
        seed = chance.randrange(1, 1_000_000)
        first = self._some(chance, scenario, self.base(scenario, seed).steps)
        ran = self.run(Schedule(scenario, seed, (first,)))
        self._base.pop((scenario, seed), None)
        second = self._some(chance, scenario, ran.steps[first.step :] or ran.steps)
        return Schedule(scenario, seed, (first, second))

    def _some(self, chance: random.Random, scenario: str, steps: tuple[Step, ...]) -> Fault:
        step = chance.choice(steps)
        return Fault(step.number, chance.choice([k for k in self.kinds(scenario) if step.takes(k)]))

    def at(self, scenario: str, where: Sequence[tuple[str, str]]) -> Iterator[Run]:
        """Runs in which each of these happens at a step of that name, the next one after those before."""
        ran = self.run(Schedule(scenario))
        if not where:
            yield ran
        else:
            yield from self._at(ran, where)

    def _at(self, ran: Run, where: Sequence[tuple[str, str]]) -> Iterator[Run]:
        (kind, what), *others = where
        after = ran.schedule.faults[-1].step if ran.schedule.faults else 0
        for step in ran.steps[after:]:
            if what in step.what and step.takes(kind):
                faults = (*ran.schedule.faults, Fault(step.number, kind))
                again = self.run(replace(ran.schedule, faults=faults))
                if others:
                    yield from self._at(again, others)
                else:
                    yield again

    def shortest(self, ran: Run) -> Run:
        """The same violation with as few things going wrong as it needs, and without a seed if it can be."""
        broken = ran.violations[0].split(":")[0]
        faults = ran.schedule.faults
        tries = [Schedule(ran.schedule.scenario, seed) for seed in (0, ran.schedule.seed)]
        tries += [replace(tries[0], faults=(fault,)) for fault in faults]
        tries += [replace(tries[1], faults=(fault,)) for fault in faults]
        tries += [replace(tries[0], faults=faults)]
        for schedule in tries:
            again = self.run(schedule)
            if any(violation.startswith(broken) for violation in again.violations):
                return again
        return ran


@contextmanager
def explorer() -> Iterator[Explorer]:
    """An explorer with a folder in memory, if there is one."""
    memory = Path("/dev/shm")
    with ExitStack() as exit_:
        place = str(memory) if memory.is_dir() else None
        folder = Path(exit_.enter_context(tempfile.TemporaryDirectory(dir=place, prefix="explore-")))
        make_templates(folder)
        made = Explorer(folder)
        for patch in _patches(made):
            exit_.enter_context(patch)
        exit_.callback(gc.enable)
        gc.disable()
        yield made


def _patches(made: Explorer) -> list[Any]:
    def seconds() -> float:
        return asyncio.get_event_loop().time()

    def wall() -> float:
        assert made.world is not None
        return made.world.now() / 1000

    clock = SimpleNamespace(monotonic=seconds, time=wall)
    chance = SimpleNamespace(randbits=lambda bits: random.getrandbits(bits), token_urlsafe=_token)
    return [
        *_shortcuts(made),
        mock.patch.object(sqlite, "_open_engine", made._engines.open),
        *(mock.patch.object(module, "time", clock) for module in (poller, posting, telling, video_cache)),
        *(mock.patch.object(module, "secrets", chance) for module in (queue, store, results)),
        mock.patch.object(
            membership, "rights_in_guild", lambda guild, c: guild.world.discord.channel(c).rights
        ),
        mock.patch.object(membership, "may_post", lambda guild, c, rights: rights & SEND and rights & VIEW),
    ]


def _shortcuts(made: Explorer) -> list[Any]:
    """Ask by plain SQL what the loops ask most often, because SQLAlchemy takes a hundred times as long.

    A claim is made only where a row is due, and `pull_back` only where a row is due too far ahead.
    """

    def observer() -> Observer:
        assert made.world is not None
        return made.world.observer

    async def next_due(self: LeaseQueue) -> int | None:
        return observer().next_due_of(self._table.name)

    async def pull_back(self: LeaseQueue, now: int) -> int:
        if observer().is_due_after(self._table.name, now + self._max_ahead):
            return await real_pull_back(self, now)
        return 0

    def claim(real: Any) -> Any:
        async def wrapper(self: LeaseQueue, limit: int, now: int) -> Any:
            due = observer().next_due_of(self._table.name)
            return Claim(0, ()) if due is None or due > now else await real(self, limit, now)

        return wrapper

    async def finish(self: LeaseQueue, *arguments: Any, **named: Any) -> bool:
        if is_ours := await real_finish(self, *arguments, **named):
            return is_ours
        assert made.world is not None
        made.world.count("an outcome under a lost lease")
        return False

    real_finish = LeaseQueue._finish
    real_pull_back = LeaseQueue.pull_back
    return [
        mock.patch.object(LeaseQueue, "_finish", finish),
        mock.patch.object(LeaseQueue, "next_due", next_due),
        mock.patch.object(LeaseQueue, "pull_back", pull_back),
        *(mock.patch.object(q, "claim", claim(q.claim)) for q in (TaskQueue, DeliveryQueue, CardQueue)),
    ]


def _token(size: int) -> str:
    return f"{random.getrandbits(size * 8):0{size * 2}x}"[:20]
