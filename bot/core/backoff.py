"""How long to wait: between two polls of a task, and after an attempt that failed."""

import random

from bot.core.clock import HOUR, MINUTE, SECOND

MAX_POLL_DELAY = 5 * MINUTE
# MAX_PAUSE of deliveries and cards: the longest wait, because a request for a longer one may be a mistake.
MAX_PAUSE = HOUR
# Below this age every poll keeps the configured interval. The API says that a task takes 2 to 5 minutes.
_YOUNG_AGE = 15 * MINUTE


def max_poll_pause(interval: int) -> int:
    """Return MAX_PAUSE of polls in milliseconds: ten minutes or two intervals, whichever is longer."""
    return max(10 * MINUTE, 2 * interval)


def poll_delay(age: int, interval: int) -> int:
    """Return the milliseconds from one poll to the next of a task with `age` ms of polled time.

    `interval` until 15 minutes, then in proportion to the age, up to 5 minutes, because a task that is late
    by hours need not be polled twice a minute. Never below `interval`.
    """
    stretched = interval * age // _YOUNG_AGE
    return max(interval, min(stretched, MAX_POLL_DELAY))


def retry_delay(
    attempt: int,
    *,
    base: int = 5 * SECOND,
    cap: int = 10 * MINUTE,
    retry_after: float | None = None,
    rng: random.Random | None = None,
) -> int:
    """Return the milliseconds to wait after `attempt` (>= 1) failures in a row.

    Doubles from `base` to `cap` (both in ms), plus up to a quarter of random jitter, because what failed
    together must not return together. Never shorter than `retry_after`, the seconds that the other side asked
    for; of these at most MAX_PAUSE counts.
    """
    doubled = base << min(max(attempt, 1) - 1, 20)
    delay = min(doubled, cap)
    jitter = (rng or random).uniform(0, delay / 4)
    return max(int(delay + jitter), min(int((retry_after or 0) * SECOND), MAX_PAUSE))
