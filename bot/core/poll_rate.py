"""POLL_RATE: how often each task is polled when many tasks wait."""

from dataclasses import dataclass

from bot.core.clock import SECOND


@dataclass(frozen=True, slots=True)
class PollRate:
    """POLL_RATE in polls per second, and POLL_INTERVAL in milliseconds."""

    rate: float
    interval: int

    def round_time(self, tasks: int) -> int:
        """Return the milliseconds in which each of `tasks` waiting tasks is polled once."""
        return max(self.interval, int(tasks / self.rate * SECOND))

    def shortfall(self, tasks: int) -> str | None:
        """Return a line for the operator if the rate is too low for so many tasks, else None.

        A round that is longer by a tenth is accepted, because nobody would notice it.
        """
        if self.round_time(tasks) * 10 <= self.interval * 11:
            return None
        enough = tasks * SECOND / self.interval
        return (
            f"POLL_RATE is too low for {tasks} waiting tasks: at {self.rate:g} a second each is polled every "
            f"{self.round_time(tasks) // SECOND} s instead of every {self.interval / SECOND:g} s "
            f"(POLL_INTERVAL); {enough:.3g} would do, if the video API allows it"
        )
