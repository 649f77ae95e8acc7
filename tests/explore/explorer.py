"""Counts the steps of a scenario, then branches at each of them into a run in which something goes wrong.

A branch is a forked process with its own copy of the files, so what came before the step is not run again.
"""

import gc
import os
import pickle
import random
import resource
import shutil
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.explore.database import Engines
from tests.explore.patches import patches
from tests.explore.scenarios import ALL_SCENARIOS, make_templates
from tests.explore.schedule import UNDO, Fault, Kind, Schedule, Step
from tests.explore.world import World

_MAX_FAILURES = 5
_MAX_CPU = 60  # seconds of one branch; some take one
_LATE = 45.0  # seconds that a restart may cost, below a lease
_PROMPT = frozenset({Kind.STOP_BEFORE, Kind.STOP_AFTER, Kind.IN_FLIGHT, Kind.END})
_BRANCHES = 0.1  # of the steps, on the way to pairs
FIRST = "one-task"
# The kinds to try at a step of a run in which this has gone wrong so far.
Choose = Callable[[Schedule, Step], Iterable[str]]
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
    told_at: float  # the last result or direct message
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

    def add(self, other: "Found") -> None:
        self.schedules += other.schedules
        self.counts += other.counts
        self.failures += other.failures


def _no_kinds(schedule: Schedule, step: Step) -> Iterable[str]:
    return ()


class Explorer:
    """Open it with `explorer()`: for as long as it is open, clocks and chance of the bot are the world's."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._base: dict[tuple[str, int], Run] = {}
        self._parent: int | None = None  # the pipe of a branch to the process that it left
        self.found = Found()
        self._world: World | None = None

    def current(self) -> World:
        """The run that goes on."""
        assert self._world is not None
        return self._world

    def is_over(self) -> bool:
        """Whether enough was found, or the time is over."""
        return len(self.found.failures) >= _MAX_FAILURES or self._is_over()

    def run(self, schedule: Schedule, choose: Choose = _no_kinds) -> Run:
        """Run one schedule, and a branch for each kind that is chosen at a step.

        The same schedule gives the same steps.
        """
        gc.collect()
        try:
            ran = self._run(schedule, choose)
            self._count(ran)
        except BaseException:
            if self._parent is None:
                raise
            self.found.failures.append(Run(schedule, (), (traceback.format_exc(),), Counter(), 0.0, 0.0, 0.0))
        if self._parent is not None:
            self._end_branch(self._parent)
        return ran

    def _run(self, schedule: Schedule, choose: Choose) -> Run:
        def branch(step: Step, undo: bool | None) -> Fault | None:
            for kind in choose(world.schedule, step):
                if undo in (None, kind in UNDO) and step.takes(kind) and self._is_branch():
                    return Fault(step.number, kind)
            return None

        world = self._world = World(ALL_SCENARIOS[schedule.scenario], schedule, _ENGINES, branch)
        violations = tuple(world.run())
        steps = tuple(world.steps)
        ran = Run(
            world.schedule, steps, violations, world.counts, world.rested_at, world.told_at(), world.down_for
        )
        return self._with_lateness(ran)

    def _count(self, ran: Run) -> None:
        self.found.schedules += 1
        self.found.counts += ran.counts
        if ran.violations:
            self.found.failures.append(ran)

    def _is_branch(self) -> bool:
        """False in this process, once the branch has ended. True in the branch."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Of other threads, as pytest's workers have them: the branch needs none of their locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(reader)
            self._begin_branch(writer)
            return True
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError(f"a branch of {self.current().schedule} died with {status}")
        self.found.add(pickle.loads(told))
        return False

    def _begin_branch(self, parent: int) -> None:
        self._parent, self.found = parent, Found()
        # One that never ends is killed, and the process that it left says so.
        resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU, _MAX_CPU))
        folder = Path("..", f"branch-{os.getpid()}")
        shutil.copytree(".", folder, ignore=shutil.ignore_patterns("*-shm"))
        os.chdir(folder)
        self.current().reopen()

    def _end_branch(self, parent: int) -> None:
        """Report to the process that was left, and end as if by a signal: nothing of pytest is run."""
        with os.fdopen(parent, "wb") as pipe:
            pickle.dump(self.found, pipe)
        shutil.rmtree(Path.cwd())
        os._exit(0)

    def base(self, scenario: str, seed: int = 0) -> Run:
        """The scenario without anything going wrong, which numbers its steps."""
        key = (scenario, seed)
        if key not in self._base:
            self._base = {key: self._run(Schedule(scenario, seed), _no_kinds)}
            self._count(self._base[key])
            self.found.steps[scenario] = len(self._base[key].steps)
        return self._base[key]

    def _with_lateness(self, ran: Run) -> Run:
        """A stop costs the time that the process was down, and a moment more, if nothing else happens."""
        faults, spec = ran.schedule.faults, ALL_SCENARIOS[ran.schedule.scenario]
        is_prompt = {fault.kind for fault in faults} <= _PROMPT and spec.workers == 1 and not spec.happens
        if ran.violations or not faults or not is_prompt:
            return ran
        base = self.base(ran.schedule.scenario, ran.schedule.seed)
        late = ran.told_at - base.told_at - ran.down_for
        if late <= _LATE * len(faults):
            return ran
        return replace(
            ran, violations=(f"late: the last result came {late:.0f} s later than without the stop",)
        )

    def single_steps(self, scenario: str, *, part: int = 0, parts: int = 1) -> None:
        """Everything that may happen at each step: at every step, or at one of `parts`.

        A stop before a step is the stop after the one before it, unless another process goes on: the same
        things are left. How a process begins and how all ends is broken in the first scenario alone.
        """
        base = self.base(scenario)
        spec = ALL_SCENARIOS[scenario]
        first = 0.0 if scenario == FIRST else spec.begins_at
        last = float("inf") if scenario == FIRST else base.rested_at
        steps = [step.number for step in base.steps if first <= step.at <= last][part::parts]

        def choose(schedule: Schedule, step: Step) -> Iterable[str]:
            is_wanted = not schedule.faults and step.number in steps and not self.is_over()
            return self.kinds(scenario) if is_wanted else ()

        self.run(Schedule(scenario), choose)

    def kinds(self, scenario: str) -> list[str]:
        spec = ALL_SCENARIOS[scenario]
        return [*spec.kinds, *spec.events, *(f"{event}-after" for event in spec.events)]

    def pairs(self, chance: random.Random, scenario: str) -> None:
        """A seeded order of a scenario, and two things that happen in it, at some steps."""
        kinds, seed = self.kinds(scenario), chance.randrange(1, 1_000_000)
        self.base(scenario, seed)

        def choose(schedule: Schedule, step: Step) -> Iterable[str]:
            is_wanted = len(schedule.faults) < 2 and chance.random() < _BRANCHES and not self.is_over()
            return [chance.choice([kind for kind in kinds if step.takes(kind)])] if is_wanted else ()

        self.run(Schedule(scenario, seed), choose)

    def at(self, scenario: str, where: Sequence[tuple[str, str]]) -> list[str]:
        """What breaks when each of these happens at some step of that name, one after the other."""

        def choose(schedule: Schedule, step: Step) -> Iterable[str]:
            kind, what = next(iter(where[len(schedule.faults) :]), ("", "nothing"))
            return [kind] if what in step.what else ()

        self.base(scenario)
        self.run(Schedule(scenario), choose)
        whole = (ran for ran in self.found.failures if len(ran.schedule.faults) == len(where))
        return [violation for ran in whole for violation in ran.violations]

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
def explorer(is_over: Callable[[], bool] = lambda: False) -> Iterator[Explorer]:
    """An explorer with a folder in memory, if there is one. It branches no more once `is_over`."""
    memory = Path("/dev/shm")
    with ExitStack() as exit_:
        place = str(memory) if memory.is_dir() else None
        folder = Path(exit_.enter_context(tempfile.TemporaryDirectory(dir=place, prefix="explore-")))
        make_templates(folder)
        (folder / "run").mkdir()
        exit_.enter_context(chdir(folder / "run"))
        made = Explorer(is_over)
        for patch in patches(made.current, _ENGINES):
            exit_.enter_context(patch)
        # Collected between runs alone. What is there now is left out, so that branches need no copy of it.
        exit_.callback(gc.enable)
        exit_.callback(gc.unfreeze)
        gc.collect()
        gc.freeze()
        gc.disable()
        yield made
