"""What POLL_RATE can do: how often each task is polled when there are many."""

from dataclasses import dataclass

from bot.core.clock import SECOND


@dataclass(frozen=True, slots=True)
class PollRate:
    """POLL_RATE in polls per second, and POLL_INTERVAL in milliseconds."""

    rate: float
    interval: int

    def round_time(self, tasks: int) -> int:
        """Milliseconds in which each of so many waiting tasks is polled once."""
        return max(self.interval, int(tasks / self.rate * SECOND))

    def shortfall(self, tasks: int) -> str | None:
        """That the rate is too low for so many tasks, for an operator; None when it is not.

        A tenth is let pass: nobody would notice it.
        """
        if self.round_time(tasks) * 10 <= self.interval * 11:
            return None
        enough = tasks * SECOND / self.interval
        return (
            f"POLL_RATE is too low for {tasks} waiting tasks: at {self.rate:g} a second each is polled every "
            f"{self.round_time(tasks) // SECOND} s instead of every {self.interval / SECOND:g} s "
            f"(POLL_INTERVAL); {enough:.3g} would do, if the video API allows it"
        )
