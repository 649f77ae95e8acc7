"""Makes every call to Discord: never cancelled, never too fast, and none while its edge blocks us."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord

from bot.aio import retrieve_exception
from bot.chat.discord_errors import is_edge_block, translated
from bot.core.clock import MINUTE, SECOND, Clock
from bot.core.errors import DiscordUnavailable
from bot.core.rate_limit import Limiter, RateLimit
from bot.metrics import Metrics, WaitReason

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# Discord allows 50 calls per second and bot, all its processes together; answers to interactions do not count
# (Rate Limits, "Global Rate Limit"). The rest is for discord.py's own calls and the doctor's.
DISCORD_RATE = RateLimit(rate=40, burst=4)
# A block by Discord's edge is for ten thousand bad calls in ten minutes: asking again only feeds it.
_BLOCK_PAUSE = 10 * MINUTE
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


class Outbound:
    """One for the whole process: the limits are the bot's, not a channel's."""

    def __init__(self, clock: Clock, limiter: Limiter, metrics: Metrics) -> None:
        self._clock = clock
        self._limiter = limiter
        self._metrics = metrics
        self._blocked_until = 0

    async def call(self, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the call that `make` begins, or our error. A cancelled caller leaves it running.

        A cancel while discord.py 2.7.1 sleeps off a global 429 leaves its lock closed: every later call of
        the process hangs (http.py, `_global_over`).
        """
        await self._wait_for_limiter()
        self._check_edge()
        job = asyncio.ensure_future(make())
        job.add_done_callback(retrieve_exception)
        try:
            return await asyncio.shield(job)
        except discord.RateLimited as error:
            raise DiscordUnavailable("Discord asks to slow down", retry_after=error.retry_after) from error
        except discord.HTTPException as error:
            if is_edge_block(error):
                raise self._block(error) from error
            ours = translated(error)
            if ours is None:
                raise
            raise ours from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DiscordUnavailable(f"no answer from Discord ({type(error).__name__})") from error

    async def _wait_for_limiter(self) -> None:
        began = time.monotonic()
        await self._limiter.acquire()
        self._metrics.waited(WaitReason.OUTBOUND, time.monotonic() - began)

    def _check_edge(self) -> None:
        left = self._blocked_until - self._clock()
        if left > 0:
            raise DiscordUnavailable(
                "Discord's edge blocks this machine", retry_after=left / SECOND, blocked=1
            )

    def _block(self, error: discord.HTTPException) -> DiscordUnavailable:
        logger.error(
            "Discord's edge blocks this machine (%d): nothing is sent for %d minutes, nothing is lost",
            error.status,
            _BLOCK_PAUSE // MINUTE,
        )
        # Calls in flight meet the same block: only the extra time is counted.
        now = self._clock()
        self._metrics.waited(WaitReason.EDGE, (now + _BLOCK_PAUSE - max(self._blocked_until, now)) / SECOND)
        self._blocked_until = now + _BLOCK_PAUSE
        return DiscordUnavailable(
            "Discord's edge blocks this machine", retry_after=_BLOCK_PAUSE / SECOND, blocked=1
        )


def rate_limit_trace(metrics: Metrics) -> aiohttp.TraceConfig:
    """For `HTTPClient.http_trace`: counts the waits after a 429, which discord.py makes inside the call.

    Its waits for a used-up bucket, without a 429, cannot be seen.
    """

    async def ended(_session: object, _context: object, end: aiohttp.TraceRequestEndParams) -> None:
        headers = end.response.headers
        if end.response.status == 429 and "Via" in headers:
            metrics.waited(WaitReason.DISCORD, _seconds(headers.get("Retry-After", "")))

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace


def _seconds(text: str) -> float:
    return float(text) if _SECONDS.fullmatch(text) else 0.0
