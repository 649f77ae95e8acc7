"""A budget of calls per second: how fast others may be asked."""

from bot.core.clock import SECOND, Clock


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
