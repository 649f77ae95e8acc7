"""Every call of ours to Discord: never cancelled, never too fast, and none while its edge blocks us."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import aiohttp
import discord

from bot.chat.discord_errors import is_edge_block, translated
from bot.core.budget import Pace, RateBudget
from bot.core.clock import MINUTE, SECOND, Clock
from bot.core.errors import DiscordUnavailable
from bot.core.meter import UNMETERED, Limiter, Meter

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# Discord allows 50 calls per second and bot, all its processes together; answers to interactions do not count
# (Rate Limits, "Global Rate Limit"). The rest is for discord.py's own calls and the doctor's.
CALLS = Pace(rate=40, saved=4)
# A block by Discord's edge is for ten thousand bad calls in ten minutes: asking again only feeds it.
_BLOCK_PAUSE = 10 * MINUTE
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


class Turns(Protocol):
    """Keeps the calls of this process, or of all processes, at a pace."""

    async def take(self) -> None:
        """Returns when it is our turn. Raises StorageUnavailable where the turns are in the database."""
        ...


class LocalTurns:
    """For a process that is alone."""

    def __init__(self, clock: Clock) -> None:
        self._budget = RateBudget(CALLS.rate, clock, saved=CALLS.saved)

    async def take(self) -> None:
        """In the order of coming: each call gets a time of its own."""
        self._budget.spend(1)
        await asyncio.sleep(self._budget.seconds_to_wait())


class Outbound:
    """One for the whole process: the limits are the bot's, not a channel's."""

    def __init__(self, clock: Clock, turns: Turns | None = None, meter: Meter = UNMETERED) -> None:
        self._clock = clock
        self._turns = turns or LocalTurns(clock)
        self._meter = meter
        self._blocked_until = 0

    async def call(self, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the call that `make` begins, or our error. A cancelled caller leaves it running.

        A cancel while discord.py 2.7.1 sleeps off a global 429 leaves its gate closed: every later call of
        the process hangs (http.py, `_global_over`).
        """
        await self._take_turn()
        self._check_edge()
        job = asyncio.ensure_future(make())
        job.add_done_callback(_look_at)
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

    async def _take_turn(self) -> None:
        came = time.monotonic()
        await self._turns.take()
        self._meter.waited(Limiter.OUTBOUND, time.monotonic() - came)

    def _check_edge(self) -> None:
        left = self._blocked_until - self._clock()
        if left > 0:
            raise DiscordUnavailable("Discord's edge blocks this machine", retry_after=left / SECOND)

    def _block(self, error: discord.HTTPException) -> DiscordUnavailable:
        logger.error(
            "Discord's edge blocks this machine (%d): nothing is sent for %d minutes, nothing is lost",
            error.status,
            _BLOCK_PAUSE // MINUTE,
        )
        # Calls that were under way run into the same block: only what it lasts longer is counted.
        now = self._clock()
        self._meter.waited(Limiter.EDGE, (now + _BLOCK_PAUSE - max(self._blocked_until, now)) / SECOND)
        self._blocked_until = now + _BLOCK_PAUSE
        return DiscordUnavailable("Discord's edge blocks this machine", retry_after=_BLOCK_PAUSE / SECOND)


def rate_limit_trace(meter: Meter) -> aiohttp.TraceConfig:
    """For `HTTPClient.http_trace`: discord.py waits out a 429 inside the call, and only its session tells.

    What it waits for without a 429, because a bucket is used up, nobody tells.
    """

    async def ended(_session: object, _context: object, end: aiohttp.TraceRequestEndParams) -> None:
        headers = end.response.headers
        if end.response.status == 429 and "Via" in headers:
            meter.waited(Limiter.DISCORD, _seconds(headers.get("Retry-After", "")))

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace


def _seconds(text: str) -> float:
    return float(text) if _SECONDS.fullmatch(text) else 0.0


def _look_at(job: asyncio.Future[Answer]) -> None:
    """Without this a failure after its caller was cancelled is logged as an error of the program."""
    if not job.cancelled():
        job.exception()
