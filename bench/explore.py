"""Explores the bot's promises for as long as it is told: every step of every scenario, then pairs of steps.

`docs/exploring.md` says how a schedule is read. Each process runs its share; the first pairs begin when the
single steps are done.
"""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.explore.explorer import explorer
from tests.explore.scenarios import ALL_SCENARIOS
from tests.explore.schedule import Schedule

# What must have happened in a run that had time for all single steps.
SOMETIMES = (
    "a nonce answered with the first message",
    "a look-up that found it",
    "a lease taken over",
    "an outcome under a lost lease",
    "a 413 learnt",
    "a direct message told",
    "a fresh link used",
    "a resumed download",
    "a revived undeliverable",
    "a database put back",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`scenarios`: none named means all. `replay`: this schedule and nothing else."""

    minutes: float
    seed: int
    processes: int
    scenarios: Sequence[str] = ()
    replay: str | None = None


@dataclass(slots=True)
class Explored:
    """What all processes have come to."""

    seconds: float = 0.0
    singles: int = 0
    is_complete: bool = True
    pairs: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def schedules(self) -> int:
        return self.singles + self.pairs

    @property
    def never(self) -> list[str]:
        """What should have happened and did not; nothing is expected of a run that was too short."""
        return [what for what in SOMETIMES if not self.counts[what]] if self.is_complete else []

    def add(self, other: "Explored") -> None:
        self.singles += other.singles
        self.is_complete = self.is_complete and other.is_complete
        self.pairs += other.pairs
        self.steps |= other.steps
        self.counts += other.counts
        self.failures += other.failures


async def measure(plan: Plan, *, report: Callable[[str], None]) -> Explored:
    """Run the plan in several processes, because each explorer needs its event loop."""
    began, total = time.monotonic(), Explored()
    with ProcessPoolExecutor(plan.processes, multiprocessing.get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        if plan.replay is not None:
            for line in await loop.run_in_executor(pool, _replay, plan.replay):
                report(line)
            total.is_complete = False
            return total
        shares = [loop.run_in_executor(pool, _explore, plan, share) for share in range(plan.processes)]
        for done in asyncio.as_completed(shares):
            total.add(await done)
    total.seconds = time.monotonic() - began
    return total


def _replay(text: str) -> list[str]:
    with explorer() as exploring:
        ran = exploring.run(Schedule.parse(text))
    return [*map(str, ran.steps), *(ran.violations or ("no promise is broken",))]


def _explore(plan: Plan, share: int) -> Explored:
    """One process's share: its part of the single steps, then pairs with another seed."""
    ends = time.monotonic() + plan.minutes * 60
    explored = Explored()
    names = plan.scenarios or list(ALL_SCENARIOS)
    with explorer(lambda: time.monotonic() > ends) as exploring:
        for name in names:
            exploring.single_steps(name, part=share, parts=plan.processes)
        explored.is_complete = not (exploring.is_over() or plan.scenarios)
        explored.singles = exploring.found.schedules
        chance = random.Random(f"{plan.seed} {share}")
        while not exploring.is_over():
            exploring.pairs(chance, chance.choice(names))
        explored.pairs = exploring.found.schedules - explored.singles
        explored.failures = [exploring.shortest(ran).report() for ran in list(exploring.found.failures)]
        explored.steps, explored.counts = dict(exploring.found.steps), exploring.found.counts
    return explored


def table(explored: Explored) -> str:
    extent = "" if explored.is_complete else " (not all)"
    steps = ", ".join(f"{count} {name}" for name, count in sorted(explored.steps.items()))
    lines = [
        f"{explored.schedules} schedules in {explored.seconds / 60:.1f} minutes",
        f"{explored.singles} at single steps{extent}, {explored.pairs} on the way to pairs",
        f"steps: {steps}",
        f"violations: {len(explored.failures)}",
    ]
    lines += [f"{explored.counts[what]:8} times {what}" for what in SOMETIMES]
    lines += [f"never: {what}" for what in explored.never]
    return "\n".join([*lines, *explored.failures])


def as_json(explored: Explored) -> dict[str, object]:
    return {
        "seconds": explored.seconds,
        "singles": explored.singles,
        "pairs": explored.pairs,
        "steps": explored.steps,
        "counts": dict(explored.counts),
        "never": explored.never,
        "failures": explored.failures,
        "failed": bool(explored.failures or explored.never),
    }
