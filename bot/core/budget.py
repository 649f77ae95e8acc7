"""A budget of calls per second: how fast others may be asked."""

from dataclasses import dataclass

from bot.core.clock import SECOND, Clock

_MICROSECONDS = 1_000_000
_PER_MILLISECOND = _MICROSECONDS // SECOND


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
        left = now * _PER_MILLISECOND - self._from(used_until, now)
        # A microsecond is what rounding may have lost.
        return max(0, int((left + 1) / self._cost))

    def after(self, used_until: int, now: int, calls: int) -> int:
        """`used_until` with so many more, made or planned: the last of them may be made at that time."""
        return int(self._from(used_until, now) + calls * self._cost)

    @property
    def _cost(self) -> float:
        return _MICROSECONDS / self.rate

    def _from(self, used_until: int, now: int) -> float:
        return max(used_until, now * _PER_MILLISECOND - max(1.0, self.saved) * self._cost)


def seconds_until(used_until: int, now: int) -> float:
    """How long until a call that was planned may be made."""
    return max(0.0, used_until / _MICROSECONDS - now / SECOND)


class RateBudget:
    """A pace that one process keeps by itself; without `saved`, one second's worth may be saved up."""

    def __init__(self, rate: float, clock: Clock, *, saved: float | None = None) -> None:
        self._pace = Pace(rate, rate if saved is None else saved)
        self._clock = clock
        self._used_until = 0
        self._at = clock()

    def available(self) -> int:
        """Calls that may be made now."""
        return self._pace.calls(self._used_until, self._now())

    def spend(self, calls: int) -> None:
        """Made, or planned."""
        self._used_until = self._pace.after(self._used_until, self._now(), calls)

    def ready_at(self) -> int:
        """When the next call may be made."""
        return -(-self._pace.after(self._used_until, self._now(), 1) // _PER_MILLISECOND)

    def seconds_to_wait(self) -> float:
        """Until the last call that was planned may be made."""
        return seconds_until(self._used_until, self._now())

    def _now(self) -> int:
        """The wall clock may be set back; nothing is gained or lost by that."""
        now = self._clock()
        self._used_until -= max(0, self._at - now) * _PER_MILLISECOND
        self._at = now
        return now
