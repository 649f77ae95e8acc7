"""Logs in and keeps the websockets connected. Converts Discord's failures into exceptions with exit codes."""

import asyncio
import logging
from typing import Any

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from bot.aio import wait_for_any
from bot.chat.discord_answers import read_error
from bot.chat.gateway.identify import wait_before_identify
from bot.chat.gateway.shards import SHARDING_REQUIRED, ShardedClient
from bot.chat.outbound import confirm_refusal, is_token_refused
from bot.chat.responses import describe_error
from bot.core.backoff import retry_delay
from bot.core.clock import MINUTE, SECOND, system_clock, to_datetime
from bot.core.errors import CannotStart, DependencyDown, SettingsWrong, TokenRefused

logger = logging.getLogger(__name__)

# Seconds. The process gives up then, but the call goes on, because calls to Discord are never cancelled.
_TIMEOUT = 30.0
# An error of Discord, none at all, or an answer of another shape.
_UNANSWERED = (
    *(discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError),
    *(LookupError, TypeError, ValueError),
)
# Discord refuses more than 2,500, and recommends about this many.
_SERVERS_PER_SHARD = 1000


def point_at(api_url: str) -> None:
    """Send every REST call of this process to `api_url`. discord.py keeps the address in its class."""
    Route.BASE = api_url


async def log_in(client: ShardedClient, token: str) -> None:
    """Log in with the token at Discord's REST. Raises TokenRefused, DependencyDown."""
    try:
        await _with_timeout(client.login(token))
    except discord.LoginFailure as error:
        client.http.token = token  # discord.py has taken it back
        raise await _refusal(client, error) from error
    except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
        raise DependencyDown(
            f"Discord cannot be reached at {Route.BASE} ({describe_error(error)})"
        ) from error


async def _refusal(client: ShardedClient, error: discord.LoginFailure) -> CannotStart:
    """Return TokenRefused if Discord itself refuses the token twice, else DependencyDown."""
    first = error.__cause__
    is_discord = isinstance(first, discord.HTTPException) and read_error(first).code is not None
    if is_discord and await confirm_refusal(client):
        return TokenRefused(
            "Discord refuses DISCORD_TOKEN: copy the bot's token again from the developer portal"
        )
    return DependencyDown(
        f"something at {Route.BASE} answers 401, and Discord does not confirm it: try again"
    )


async def connect(client: ShardedClient, *, own_gateway: bool) -> None:
    """Keep the websockets until cancelled, however long it takes to connect them.

    With `own_gateway` the websocket's address is the one that the API names; otherwise discord.py's. Raises
    TokenRefused, SettingsWrong when SHARD_COUNT has become too small, and DependencyDown when Discord
    requires more shards than it recommended (4011: the next start takes more).
    """
    await _prepare_gateway(client, own_gateway)
    refusals = 0
    while True:
        client.waits_for(None)
        try:
            await client.connect()
        except discord.ConnectionClosed as error:
            if error.code == SHARDING_REQUIRED:
                raise _too_few_shards(client) from error
            if await is_token_refused(client):
                raise TokenRefused("Discord's gateway refuses DISCORD_TOKEN") from error
            refusals += 1
            await _wait_before_retry(
                client, "Discord's gateway refuses DISCORD_TOKEN, its REST accepts it", refusals
            )


async def _prepare_gateway(client: ShardedClient, own_gateway: bool) -> None:
    """Request the number of shards, and wait until Discord has a session left for us."""
    failures = 0
    while (wait := await _request_gateway(client, own_gateway)) is None:
        failures += 1
        await _wait_before_retry(client, "Discord does not say where its gateway is", failures)
    if wait:
        until = to_datetime(system_clock() + int(wait * SECOND))
        client.waits_for(
            f"Discord's gateway is not connected: almost no session is left until {until:%H:%M} UTC"
        )
        await asyncio.sleep(wait)


async def _wait_before_retry(client: ShardedClient, why: str, failures: int) -> None:
    wait = retry_delay(failures, base=SECOND, cap=MINUTE) / SECOND
    client.waits_for(f"{why}: trying again")
    logger.warning("%s: trying again in %.0f s", why, wait)
    await asyncio.sleep(wait)


async def _request_gateway(client: ShardedClient, own_gateway: bool) -> float | None:
    """Share out the shards; returns the seconds to wait before a session, None to try again."""
    try:
        gateway = await _with_timeout(client.http.request(Route("GET", "/gateway/bot")))
        limit = gateway["session_start_limit"]
        client.share_out(int(gateway["shards"]), int(limit["max_concurrency"]))
        if own_gateway:
            DiscordWebSocket.DEFAULT_GATEWAY = URL(gateway["url"])
        return wait_before_identify(limit, len(client.shard_ids))
    except _UNANSWERED as error:
        logger.warning(
            "Discord does not say how many shards and sessions are left (%s)", describe_error(error)
        )
    if own_gateway:
        return None
    # This route has its own rate limit, sometimes of hours; its answer is useful, but not necessary.
    client.share_out(_shards_by_servers(client))
    return 0.0


def _shards_by_servers(client: ShardedClient) -> int:
    """Return a number of shards by the number of servers, rather too many than too few.

    Too few are refused (4011) at every start, and each start costs a session. A few too many do no harm.
    """
    servers = client.application.approximate_guild_count if client.application else 0
    return 1 + servers // _SERVERS_PER_SHARD


async def _with_timeout(call: Any) -> Any:
    job = asyncio.ensure_future(call)
    if not await wait_for_any(job, timeout=_TIMEOUT):
        raise TimeoutError(f"no answer within {_TIMEOUT:g} s")
    return job.result()


def _too_few_shards(client: ShardedClient) -> CannotStart:
    count = client.shard_count
    if client.counts_by_itself:
        return DependencyDown(
            f"Discord asks for more than {count} shards by now: the next start takes as many as it recommends"
        )
    return SettingsWrong([f"SHARD_COUNT: Discord asks for more than {count} shards by now: raise it"])
