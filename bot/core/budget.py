"""A budget of calls per second: how fast others may be asked."""

from dataclasses import dataclass

from bot.core.clock import SECOND, Clock

_MICROSECONDS = 1_000_000
# What is planned further ahead than this was planned by a clock that has been set back since.
_FURTHEST_AHEAD = 60 * _MICROSECONDS


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` calls per second, and at most `saved` of them saved up while nobody called.

    All there is to remember is one number, `used_until`: the time, in microseconds, up to which the calls so
    far use up what the rate gives (the generic cell rate algorithm of ITU-T I.371). So processes share a pace
    by sharing that number. `now` is in milliseconds.
    """

    rate: float
    saved: float

    def calls(self, used_until: int, now: int) -> int:
        """How many may be made now."""
        # A hundredth is what rounding may lose of a whole one.
        return max(0, int((_micro(now) - self._from(used_until, now)) / self._cost + 0.01))

    def after(self, used_until: int, now: int, calls: int) -> int:
        """`used_until` with so many more, made or planned: the last of them may be made at that time."""
        return int(self._from(used_until, now) + calls * self._cost)

    @property
    def _cost(self) -> float:
        return _MICROSECONDS / self.rate

    def _from(self, used_until: int, now: int) -> float:
        if used_until > _micro(now) + _FURTHEST_AHEAD:
            used_until = 0
        return max(used_until, _micro(now) - max(1.0, self.saved) * self._cost)


def _micro(milliseconds: int) -> int:
    return milliseconds * (_MICROSECONDS // SECOND)


class RateBudget:
    """A token bucket: `rate` questions per second, and at most `saved` (one second's worth) saved up."""

    def __init__(self, rate: float, clock: Clock, *, saved: float | None = None) -> None:
        self._per_ms = rate / SECOND
        self._most = max(1.0, rate if saved is None else saved)
        self._clock = clock
        self._tokens = self._most
        self._at = clock()

    def available(self) -> int:
        """Questions that may be asked now."""
        now = self._clock()
        # The wall clock may be set back; nothing is gained or lost by that.
        gained = max(0, now - self._at) * self._per_ms
        self._tokens = min(self._most, self._tokens + gained)
        self._at = now
        return int(self._tokens)

    def spend(self, questions: int) -> None:
        self._tokens -= questions

    def ready_at(self) -> int:
        """When the next question may be asked."""
        missing = 1 - self._tokens
        return self._at + (int(missing / self._per_ms) + 1 if missing > 0 else 0)
