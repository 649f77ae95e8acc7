"""A schedule: a scenario, a seed, and what goes wrong at which steps. Its text is what a failure prints."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

# One run, and a process of it (world.py): what they are made of knows them by name alone, because imports
# point one way.
World = Any
Bot = Any


class Kind(StrEnum):
    """What happens at a step. Everything else is the name of one of the scenario's events."""

    STOP_BEFORE = "stop-before"  # the process is killed, and the step has no effect
    STOP_AFTER = "stop-after"  # the effect is there, its answer is not
    IN_FLIGHT = "in-flight"  # killed, and the call arrives three seconds later
    STOP_BEFORE_LONG = "stop-before-long"  # the same, and the nonce is forgotten before the restart
    STOP_AFTER_LONG = "stop-after-long"
    FREEZE_BEFORE = "freeze-before"  # for longer than a lease; another worker takes over
    FREEZE_AFTER = "freeze-after"
    FREEZE_LONG = "freeze-long"  # after the step, until the nonce is forgotten
    LOST = "lost"  # the effect is there, the connection breaks before its answer
    FAIL = "fail"  # the call or the commit fails, and has no effect
    PUT_BACK = "put-back"  # the database is copied here, and the copy put back when all is at rest
    END = "end"  # SIGTERM: the process is asked to stop


STOPS = frozenset(
    {Kind.STOP_BEFORE, Kind.STOP_AFTER, Kind.IN_FLIGHT, Kind.STOP_BEFORE_LONG, Kind.STOP_AFTER_LONG}
)
# At a commit these undo it; all others come after it.
UNDO = frozenset({Kind.STOP_BEFORE, Kind.STOP_BEFORE_LONG, Kind.FAIL})
# The outcome of these cannot be seen at a commit, which neither travels nor waits.
_NOT_OF_A_COMMIT = frozenset({Kind.IN_FLIGHT, Kind.FREEZE_BEFORE, Kind.LOST})


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` at the step with that number, counted from 1 in this very run."""

    step: int
    kind: str

    def __str__(self) -> str:
        return f"{self.step}:{self.kind}"


@dataclass(frozen=True, slots=True)
class Schedule:
    scenario: str
    seed: int = 0
    faults: tuple[Fault, ...] = ()

    def kind_at(self, step: int) -> str | None:
        return next((fault.kind for fault in self.faults if fault.step == step), None)

    def __str__(self) -> str:
        return " ".join([self.scenario, str(self.seed), *map(str, self.faults)])

    @classmethod
    def parse(cls, text: str) -> Self:
        scenario, seed, *faults = text.split()
        pairs = [fault.split(":", 1) for fault in faults]
        return cls(scenario, int(seed), tuple(Fault(int(step), kind) for step, kind in pairs))


@dataclass(frozen=True, slots=True)
class Step:
    """One effect or commit, as a run numbered it."""

    number: int
    what: str
    at: float
    process: int

    @property
    def is_commit(self) -> bool:
        return self.what.startswith("commit")

    def takes(self, kind: str) -> bool:
        if self.what.startswith("disk"):
            return kind not in (Kind.LOST, Kind.IN_FLIGHT)
        return not (self.is_commit and kind in _NOT_OF_A_COMMIT)

    def __str__(self) -> str:
        return f"{self.number:4} {self.at:9.2f} s  process {self.process}  {self.what}"
