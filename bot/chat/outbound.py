"""Makes every call to Discord: never cancelled, never too fast, and none while its edge blocks us."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiohttp
import discord
from discord.http import Route

from bot.aio import retrieve_exception
from bot.chat.discord_answers import Call, DiscordAnswer, react, read_error
from bot.chat.lanes import Lane, Lanes
from bot.core.clock import DAY, MINUTE, SECOND, Clock
from bot.core.errors import CourierError, DiscordRefused, DiscordUnavailable, TokenRefused
from bot.core.problems import ProblemCode
from bot.core.rate_limit import Limiter, RateLimit
from bot.core.reactions import Reaction
from bot.metrics import Metrics, WaitReason
from bot.network_errors import describe_network_error

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# Discord allows 50 calls per second and bot, all its processes together; answers to interactions do not count
# (Rate Limits, "Global Rate Limit"). The rest is for discord.py's own calls and the doctor's.
DISCORD_RATE = RateLimit(rate=40, burst=4)
# A block by Discord's edge is for ten thousand bad calls in ten minutes: asking again only feeds it.
_BLOCK_PAUSE = 10 * MINUTE
# Between the two questions that decide whether the token is refused, in seconds.
TOKEN_CHECK_PAUSE = 5.0
# What discord.py 2.7.1 raises for an answer that it does not expect: no JSON, no `retry_after`, odd `errors`.
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
_LATER = frozenset({Reaction.PASSING, Reaction.ODD})


@dataclass(slots=True)
class _LastAnswer:
    """The latest HTTP answer within one call: discord.py repeats inside, and does not always pass it on."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


_last_answer: ContextVar[_LastAnswer | None] = ContextVar("last_answer", default=None)


class Repeated(Exception):
    """discord.py was about to repeat an upload, which only the durable loop does."""


class Outbound:
    """One for the whole process: the limits are the bot's, not a channel's."""

    def __init__(
        self,
        client: discord.Client,
        clock: Clock,
        limiter: Limiter,
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._clock = clock
        self._lanes = Lanes(limiter)
        self._metrics = metrics
        self._blocked_until = 0
        self._ahead = 0
        self._token_check: asyncio.Task[bool] | None = None

    async def call(
        self,
        make: Callable[[], Awaitable[Answer]],
        kind: Call,
        lane: Lane,
        *,
        not_after: float | None = None,
    ) -> Answer:
        """The answer of the call that `make` begins. A cancelled caller leaves it running.

        Raises DiscordUnavailable, DiscordRefused, TokenRefused. Once the monotonic clock has passed
        `not_after`, the call is not made: what the caller had made sure of may no longer be so.

        A cancel while discord.py 2.7.1 sleeps off a global 429 leaves its lock closed: every later call of
        the process hangs (http.py, `_global_over`).
        """
        await self._wait_for_limiter(lane)
        self._check_edge()
        if not_after is not None and time.monotonic() > not_after:
            raise DiscordUnavailable("the call waited for too long to be made")
        last = _LastAnswer()
        job = asyncio.ensure_future(_remembering(last, make))
        job.add_done_callback(retrieve_exception)
        job.add_done_callback(lambda _: self._compare_clocks(last))
        try:
            return await asyncio.shield(job)
        except discord.RateLimited as error:
            raise DiscordUnavailable("Discord asks to slow down", retry_after=error.retry_after) from error
        except discord.HTTPException as error:
            raise await self._reaction(read_error(error), kind) from error
        except (Repeated, *_UNREADABLE) as error:
            if last.status is None:
                raise
            answer = DiscordAnswer(last.status, None, last.headers)
            raise await self._reaction(answer, kind) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DiscordUnavailable(f"no answer from Discord ({describe_network_error(error)})") from error

    def discord_time(self, at: int) -> int:
        """A moment of our clock as Discord's clock shows it (UTC milliseconds).

        One that is still to come was written by a wrong clock: a day ago is early enough then.
        """
        now = self._clock()
        return (at if at <= now else now - DAY) + self._ahead

    def _compare_clocks(self, last: _LastAnswer) -> None:
        """By the answer's `Date`, to the second: history is ordered by Discord's clock, rows are by ours."""
        try:
            date = parsedate_to_datetime(last.headers["Date"])
        except (KeyError, ValueError):
            return
        self._ahead = int(date.timestamp() * 1000) - self._clock()

    async def _wait_for_limiter(self, lane: Lane) -> None:
        began = time.monotonic()
        await self._lanes.acquire(lane)
        self._metrics.waited(WaitReason.OUTBOUND, time.monotonic() - began)

    def _check_edge(self) -> None:
        left = self._blocked_until - self._clock()
        if left > 0:
            raise _blocked(left)

    async def _reaction(self, answer: DiscordAnswer, kind: Call) -> CourierError:
        """The exception that stands for what to do about `answer`."""
        reaction, problem = react(answer, kind)
        if reaction is Reaction.CHECK_TOKEN:
            if await self._is_token_refused():
                return TokenRefused("Discord no longer accepts DISCORD_TOKEN: it was reset or revoked")
            reaction = Reaction.ODD
        if reaction is Reaction.EDGE_BLOCK:
            return self._block(answer)
        if reaction in _LATER:
            said = f"Discord answered {answer.status}"
            return DiscordUnavailable(
                said, reaction=reaction, retry_after=answer.retry_after, status=answer.status
            )
        return _refused(answer, reaction, problem)

    async def _is_token_refused(self) -> bool:
        """Whether Discord says so about the token itself, twice; all calls share one check."""
        if self._token_check is None or self._token_check.done():
            self._token_check = asyncio.create_task(is_token_refused(self._client), name="token check")
        return await asyncio.shield(self._token_check)

    def _block(self, answer: DiscordAnswer) -> DiscordUnavailable:
        logger.error(
            "Discord's edge blocks this machine (%d): nothing is sent for %d minutes, nothing is lost",
            answer.status,
            _BLOCK_PAUSE // MINUTE,
        )
        # Calls in flight meet the same block: only the extra time is counted.
        now = self._clock()
        self._metrics.waited(WaitReason.EDGE, (now + _BLOCK_PAUSE - max(self._blocked_until, now)) / SECOND)
        self._blocked_until = now + _BLOCK_PAUSE
        return _blocked(_BLOCK_PAUSE)


async def is_token_refused(client: discord.Client) -> bool:
    """Ask Discord twice, five seconds apart, who we are: only two refusals in its own JSON count."""
    return await _refuses_token(client) and await confirm_refusal(client)


async def confirm_refusal(client: discord.Client) -> bool:
    """Ask the second time."""
    await asyncio.sleep(TOKEN_CHECK_PAUSE)
    return await _refuses_token(client)


async def _refuses_token(client: discord.Client) -> bool:
    last = _LastAnswer()
    try:
        await _remembering(last, lambda: client.http.request(Route("GET", "/users/@me")))
    except discord.HTTPException as error:
        answer = read_error(error)
        return answer.status == 401 and answer.code is not None
    except (discord.RateLimited, aiohttp.ClientError, OSError, *_UNREADABLE) as error:
        logger.info("whether the token is refused was not answered (%s)", describe_network_error(error))
    return False


async def _remembering(last: _LastAnswer, make: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make the call, and have `rate_limit_trace` note its HTTP answers in `last`."""
    token = _last_answer.set(last)
    try:
        return await make()
    finally:
        _last_answer.reset(token)


def _blocked(left: int) -> DiscordUnavailable:
    """For `left` more milliseconds."""
    return DiscordUnavailable(
        "Discord's edge blocks this machine",
        reaction=Reaction.EDGE_BLOCK,
        retry_after=left / SECOND,
        blocked=1,
    )


def _refused(answer: DiscordAnswer, reaction: Reaction, problem: ProblemCode) -> DiscordRefused:
    if problem is ProblemCode.FORM_REFUSED:
        # Worked around, and still a bug of ours.
        logger.error("Discord does not accept the form of a message: %s", answer.message[:500])
    if problem is ProblemCode.NOT_ACCEPTED:
        return DiscordRefused(reaction, problem, status=answer.status, discord_code=answer.code or 0)
    return DiscordRefused(reaction, problem)


def answer_trace(metrics: Metrics) -> aiohttp.TraceConfig:
    """For `HTTPClient.http_trace`: notes each call's answers, and counts the waits after a 429.

    discord.py makes those inside the call. Its waits for a used-up bucket, without a 429, cannot be seen.
    """

    async def ended(_session: object, _context: object, end: aiohttp.TraceRequestEndParams) -> None:
        answer = DiscordAnswer(end.response.status, None, end.response.headers)
        last = _last_answer.get()
        if last is not None:
            last.status, last.headers = answer.status, answer.headers
        if answer.status == 429 and "Via" in answer.headers:
            metrics.waited(WaitReason.DISCORD, answer.retry_after or 0.0)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace
