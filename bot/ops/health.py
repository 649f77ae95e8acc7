"""Checks whether the bot does its work: problems, and notes for an operator, one sentence each."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND, Clock
from bot.core.errors import TryLater
from bot.core.poll_rate import PollRate
from bot.storage.diagnosis import MAX_INTERVALS_LATE, RESULT_OVERDUE_AFTER, Waiting
from bot.storage.store import Store

_CHECKED_AT_KEY = "health.checked_at"
_ADVICE = {
    PauseReason.KEY_REFUSED: "correct VEO_API_KEY and restart",
    PauseReason.THROTTLED: "the API asks for fewer polls than POLL_RATE",
}

# Returns what is wrong with a part of this process, in words; None when nothing is.
FindProblem = Callable[[], str | None]


def _no_problem() -> None:
    """Find nothing wrong."""


@dataclass(slots=True)
class Health:
    """The result of a check. `problems` need an operator now;

    `notes` do not, because the bot does all it may.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The problems, or "ok", and the notes, one per line."""
        first = self.problems or ["ok"]
        return "".join(f"{line}\n" for line in (*first, *self.notes))


class HealthCheck:
    """Checks this process and its database.

    `gateway` is None for a process without one. Only a process that `works` reports what is late or overdue,
    because restarting another one would not help.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rate: PollRate,
        *,
        gateway: FindProblem | None,
        works: bool,
        clock_problem: FindProblem = _no_problem,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rate = rate
        self._checks = (gateway or _no_problem, clock_problem)
        self._works = works

    def without_database(self, why: str) -> Health:
        """Return the health without what only the database knows; `why` is the problem with it."""
        return Health([*self._process_problems(), why])

    async def __call__(self) -> Health:
        """Check everything. The answer of a database that fails is a problem, not an exception."""
        health = Health(self._process_problems())
        try:
            # A write, because reading alone would not notice a full disk.
            await self._store.key_values.put(_CHECKED_AT_KEY, str(self._clock()))
            if self._works:
                await self._check_polls(health)
                await self._check_results(health)
        except TryLater as error:
            health.problems.append(str(error))
        return health

    def _process_problems(self) -> list[str]:
        return [problem for check in self._checks if (problem := check()) is not None]

    async def _check_polls(self, health: Health) -> None:
        now = self._clock()
        text = await self._store.diagnosis.value(API_PAUSE_KEY)
        pause = PauseState.from_text(text) if text else None
        wanted = await self._store.diagnosis.polls_wanted(now + self._rate.interval)
        if late := self._late_polls(wanted, pause, now):
            health.problems.append(late)
        elif pause is None and (shortfall := self._rate.shortfall(wanted.count)):
            health.notes.append(shortfall)

    def _late_polls(self, wanted: Waiting, pause: PauseState | None, now: int) -> str | None:
        if wanted.since is None:
            return None
        since = wanted.since
        if pause is not None and pause.reason is PauseReason.KEY_REFUSED:
            # A single task is never late in a pause, because it is the one that is polled.
            since = min(since, pause.since)
        interval = self._rate.interval
        # A task cannot be polled before its turn.
        by_rate = self._rate.round_time(wanted.count) - interval
        if now - since <= MAX_INTERVALS_LATE * interval + by_rate:
            return None
        late = f"the last round of polls of the video API is {(now - since) // SECOND} s late"
        return f"{late} ({pause.reason}): {_ADVICE[pause.reason]}" if pause else late

    async def _check_results(self, health: Health) -> None:
        now = self._clock()
        owed = await self._store.diagnosis.overdue_results(now)
        if owed.since is not None:
            results = "1 result is" if owed.count == 1 else f"{owed.count} results are"
            health.problems.append(
                f"{results} overdue: owed for more than {RESULT_OVERDUE_AFTER // MINUTE} min, "
                f"the oldest for {_span(now - owed.since)}; python -m bot doctor says why"
            )


def _span(milliseconds: int) -> str:
    return f"{milliseconds / HOUR:.1f} h" if milliseconds >= HOUR else f"{milliseconds // MINUTE} min"
