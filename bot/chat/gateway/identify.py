"""Limits how often this bot logs in at Discord's gateway, because too many logins reset its token.

The rule is Discord's (Gateway, "Rate Limiting"): after 1,000 a day all sessions end and the token is reset.
Each shard's session is one login. Two must be five seconds apart, unless Discord lets several in at once.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bot.core.clock import SECOND, Clock
from bot.core.rate_limit import RateLimit, RateLimiter

logger = logging.getLogger(__name__)

APART = 5.0
# At most 720 a day and a few quick ones, even when every session ends at once.
_PER_SECOND = 1 / 120
_QUICK_SESSIONS = 20
# Do not wait while more than half of today's sessions are left.
_PLENTY = 0.5


class IdentifyLimiter:
    """The identify limit of one process, which holds `ours` of `count` shards.

    Beside the quick sessions, each shard's first session is always allowed, because a start needs it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        ours: int = 1,
        count: int = 1,
        at_once: int = 1,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        share = ours / count
        self._limiter = RateLimiter(RateLimit(_PER_SECOND * share, burst=ours + _QUICK_SESSIONS), clock)
        self._clock = clock
        self._at_once = at_once
        self._seconds = seconds
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._latest: dict[int, float] = {}

    @asynccontextmanager
    async def slot(self, shard_id: int) -> AsyncIterator[None]:
        """Wait until this shard may open its websocket and log in. Hold the slot while it does."""
        # Held while the websocket opens, because the logins must be five seconds apart, not the connections.
        async with self._locks[shard_id % self._at_once]:
            wait = self.wait(shard_id)
            if wait > APART:
                logger.warning("too many new sessions: waiting %.0f s before the next", wait)
            await asyncio.sleep(wait)
            yield

    def wait(self, shard_id: int) -> float:
        """Return the seconds until this shard may log in."""
        self._limiter.available()
        for_the_day = (self._limiter.ready_at() - self._clock()) / SECOND
        latest = self._latest.get(shard_id % self._at_once, float("-inf"))
        return max(0.0, for_the_day, latest + APART - self._seconds())

    def spend(self, shard_id: int) -> None:
        """Count a login of this shard, now."""
        self._limiter.spend(1)
        self._latest[shard_id % self._at_once] = self._seconds()


def wait_before_identify(limit: Mapping[str, Any], shards: int = 1) -> float:
    """Return the seconds to wait before this process's first session, by how many are left today.

    `limit` is `session_start_limit` of Get Gateway Bot. It is the only memory of a process that starts again
    and again. A start costs a session for each of the process's `shards`.
    """
    total, remaining, reset_after = limit["total"], limit["remaining"], limit["reset_after"] / SECOND
    if remaining > total * _PLENTY:
        return 0.0
    wait = float(min(reset_after, reset_after * shards / max(remaining, 1)))
    logger.warning(
        "only %d of %d gateway sessions are left for the next %.1f hours: waiting %.0f s before this one",
        remaining,
        total,
        reset_after / 3600,
        wait,
    )
    return wait
