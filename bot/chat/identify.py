"""How often this bot may log in at Discord's gateway: 1,000 times a day, or its token is reset.

The rule is Discord's (Gateway, "Rate Limiting"): beyond it all sessions end and the token is reset.
"""

import logging
from collections.abc import Mapping
from typing import Any

from bot.core.budget import RateBudget
from bot.core.clock import SECOND, Clock

logger = logging.getLogger(__name__)

# At most 720 a day and a few quick ones: what a bad day of sessions that end at once may cost.
_PER_SECOND = 1 / 120
_QUICK_ONES = 20
# More than so much left: no reason to wait, whoever used the others up.
_PLENTY = 0.5


class IdentifyBudget:
    """For one process. discord.py itself waits five seconds between two, which is 17,000 a day."""

    def __init__(self, clock: Clock) -> None:
        self._budget = RateBudget(_PER_SECOND, clock, saved=_QUICK_ONES)

    def take(self) -> None:
        """Raises ConnectionError when it is too early: discord.py then tries again after its own back-off."""
        if self._budget.available() < 1:
            raise ConnectionError("too many new sessions: waiting before the next")
        self._budget.spend(1)


def wait_before_identify(limit: Mapping[str, Any]) -> float:
    """Seconds to wait before this process's first session, by what Discord says is left of the day's.

    `limit` is `session_start_limit` of Get Gateway Bot; for processes that start over and over, it is the
    only thing that remembers.
    """
    total, remaining, reset_after = limit["total"], limit["remaining"], limit["reset_after"] / SECOND
    if remaining > total * _PLENTY:
        return 0.0
    wait = float(reset_after / max(remaining, 1))
    logger.warning(
        "only %d of %d gateway sessions are left for the next %.1f hours: waiting %.0f s before this one",
        remaining,
        total,
        reset_after / 3600,
        wait,
    )
    return wait
