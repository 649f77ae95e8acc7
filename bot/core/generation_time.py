"""How long the API took for a video, and how long it usually takes, in milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from bot.core.clock import DAY

# A task ended between two polls. Further apart, they do not say when.
_MAX_INTERVALS_BETWEEN = 2
# The usual time is that of the latest videos of a model, once there are enough of them.
MAX_VIDEOS = 50
_MIN_VIDEOS = 10


@dataclass(frozen=True, slots=True)
class UsualTime:
    """How long most of the last `count` videos of a model took, in milliseconds: from `low` to `high`."""

    low: int
    high: int
    count: int


def generation_time(
    created: int | None, *, last_waiting_at: int | None, ended_at: int, interval: int
) -> int | None:
    """From `created` to the poll at `ended_at` that found the task completed or failed.

    None where it is not known: without the API's `created`, when the last poll that found the task waiting
    was more than two intervals before, or when the API's clock and ours contradict each other.
    """
    if created is None or last_waiting_at is None:
        return None
    if not 0 <= ended_at - last_waiting_at <= _MAX_INTERVALS_BETWEEN * interval:
        return None
    took = ended_at - created
    return took if 0 < took < DAY else None


def usual_time(times: Sequence[int]) -> UsualTime | None:
    """The 10th and 90th percentile of the latest times; None for fewer than ten."""
    if len(times) < _MIN_VIDEOS:
        return None
    tenths = quantiles(times, n=10, method="inclusive")
    return UsualTime(round(tenths[0]), round(tenths[-1]), len(times))
