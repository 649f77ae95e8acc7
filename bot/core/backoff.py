"""How long to wait: between two questions about a task, and after an attempt that failed."""

import random

from bot.core.clock import MINUTE, SECOND

SLOWEST_POLL = 5 * MINUTE
# Below this age every question keeps the configured interval: the API's own range is 2 to 5 minutes.
_EAGER_AGE = 15 * MINUTE


def poll_delay(age: int, interval: int) -> int:
    """Milliseconds from one question to the next about a task registered `age` ms ago.

    `interval` until 15 minutes, then in proportion to the age, up to every 5 minutes: a task that is
    late by hours is not worth asking about twice a minute. Never below `interval`.
    """
    stretched = interval * age // _EAGER_AGE
    return max(interval, min(stretched, SLOWEST_POLL))


def retry_delay(
    attempt: int,
    *,
    first: int = 5 * SECOND,
    most: int = 10 * MINUTE,
    asked_for: float | None = None,
    chance: random.Random | None = None,
) -> int:
    """Milliseconds before attempt number `attempt + 1`, after `attempt` (>= 1) failures in a row.

    Doubles from `first` to `most`, with up to a quarter of random spread so that what failed together
    does not return together. `asked_for` is the other side's own wish in seconds, never undercut.
    """
    doubled = first << min(max(attempt, 1) - 1, 20)
    base = min(doubled, most)
    spread = (chance or random).uniform(0, base / 4)
    return max(int(base + spread), int((asked_for or 0) * SECOND))
