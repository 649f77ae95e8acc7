"""Logs in and keeps the websockets connected; turns Discord's failures into exit reasons."""

import asyncio
import logging
from typing import Any

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from bot.aio import wait_for_any
from bot.chat.gateway.identify import wait_before_identify
from bot.chat.gateway.shards import ShardedClient
from bot.chat.responses import describe_error
from bot.core.errors import CannotStart, DependencyDown, SettingsWrong, TokenRefused

logger = logging.getLogger(__name__)

# Not a limit on one call (those are never cancelled): after it the process leaves.
_TIMEOUT = 30.0
_AUTHENTICATION_FAILED, _SHARDING_REQUIRED = 4004, 4011
# Discord refuses more than 2,500, and recommends about this many.
_SERVERS_PER_SHARD = 1000


def point_at(api_url: str) -> None:
    """Every REST call of this process goes to `api_url`: discord.py keeps the address in its class."""
    Route.BASE = api_url


async def log_in(client: ShardedClient, token: str, own_gateway: bool) -> None:
    """Raises TokenRefused, DependencyDown.

    With `own_gateway` the websocket's address is the one that the API names; otherwise discord.py's own.
    """
    try:
        await _with_timeout(client.login(token))
        await _ask_for_gateway(client, own_gateway)
    except discord.LoginFailure as error:
        raise TokenRefused(
            "Discord refuses DISCORD_TOKEN: copy the bot's token again from the developer portal"
        ) from error
    except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
        raise DependencyDown(
            f"Discord cannot be reached at {Route.BASE} ({describe_error(error)})"
        ) from error


async def _ask_for_gateway(client: ShardedClient, own_gateway: bool) -> None:
    """Where the websockets go, how many there should be, and how many sessions are left for today."""
    try:
        gateway = await _with_timeout(client.http.request(Route("GET", "/gateway/bot")))
    except (discord.HTTPException, discord.RateLimited) as error:
        if own_gateway:
            raise
        # This route has its own rate limit, sometimes of hours; its answer is useful, but not necessary.
        logger.warning(
            "Discord does not say how many shards and sessions are left (%s)", describe_error(error)
        )
        client.share_out(_shards_by_servers(client))
        return
    limit = gateway["session_start_limit"]
    client.share_out(gateway["shards"], limit["max_concurrency"])
    client.identify_wait = wait_before_identify(limit, len(client.shard_ids))
    if own_gateway:
        DiscordWebSocket.DEFAULT_GATEWAY = URL(gateway["url"])


def _shards_by_servers(client: ShardedClient) -> int:
    """Too few would be refused (4011) at every start, and each costs a session; a few too many do no harm."""
    servers = client.application.approximate_guild_count if client.application else 0
    return 1 + servers // _SERVERS_PER_SHARD


async def _with_timeout(call: Any) -> Any:
    job = asyncio.ensure_future(call)
    if not await wait_for_any(job, timeout=_TIMEOUT):
        raise TimeoutError(f"no answer within {_TIMEOUT:g} s")
    return job.result()


async def connect(client: ShardedClient) -> None:
    """Keeps the websockets until cancelled.

    Raises DependencyDown (also when Discord asks for more shards than it had recommended, 4011: the next
    start takes more), TokenRefused (4004), SettingsWrong (SHARD_COUNT is too small by now).
    """
    await asyncio.sleep(client.identify_wait)
    try:
        await client.connect()
    except discord.ConnectionClosed as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise TokenRefused("Discord's gateway refuses DISCORD_TOKEN") from error
        if error.code == _SHARDING_REQUIRED:
            raise _outgrown(client) from error
        raise


def _outgrown(client: ShardedClient) -> CannotStart:
    count = client.shard_count
    if client.counts_by_itself:
        return DependencyDown(
            f"Discord asks for more than {count} shards by now: the next start takes as many as it recommends"
        )
    return SettingsWrong([f"SHARD_COUNT: Discord asks for more than {count} shards by now: raise it"])
