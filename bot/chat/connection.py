"""Logging in and keeping the websocket, with Discord's failures as reasons to leave."""

import asyncio
import logging
from typing import Any

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from bot.chat.answers import describe
from bot.chat.client import CourierClient
from bot.chat.identify import wait_before_identify
from bot.core.backoff import retry_delay
from bot.core.clock import SECOND
from bot.core.errors import DependencyDown, TokenRefused

logger = logging.getLogger(__name__)

# Not a limit on one call (those are never cancelled): after it the process leaves.
_PATIENCE = 30.0
_AUTHENTICATION_FAILED = 4004
# With a back-off of seconds between them; what lasts longer is for whatever restarts the process.
_FIRST_ATTEMPTS = 4


def point_at(api_url: str) -> None:
    """Every REST call of this process goes to `api_url`: discord.py keeps the address in its class."""
    Route.BASE = api_url


async def log_in(client: CourierClient, token: str, own_gateway: bool) -> None:
    """Raises TokenRefused, DependencyDown.

    With `own_gateway` the websocket's address is the one that the API names; otherwise discord.py's own.
    """
    try:
        await _patiently(client.login(token))
        await _ask_for_gateway(client, own_gateway)
    except discord.LoginFailure as error:
        raise TokenRefused(
            "Discord refuses DISCORD_TOKEN: copy the bot's token again from the developer portal"
        ) from error
    except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
        raise DependencyDown(f"Discord cannot be reached at {Route.BASE} ({describe(error)})") from error


async def _ask_for_gateway(client: CourierClient, own_gateway: bool) -> None:
    try:
        gateway = await _patiently(client.http.request(Route("GET", "/gateway/bot")))
    except (discord.HTTPException, discord.RateLimited) as error:
        if own_gateway:
            raise
        # This route has limits of its own, of hours at times; what it tells is only good to know.
        logger.warning("Discord does not say how many sessions are left (%s)", describe(error))
        return
    client.identify_wait = wait_before_identify(gateway["session_start_limit"])
    if own_gateway:
        DiscordWebSocket.DEFAULT_GATEWAY = URL(gateway["url"])


async def _patiently(call: Any) -> Any:
    job = asyncio.ensure_future(call)
    await asyncio.wait({job}, timeout=_PATIENCE)
    if not job.done():
        raise TimeoutError(f"no answer within {_PATIENCE:g} s")
    return job.result()


async def connect(client: CourierClient) -> None:
    """Keeps the websocket until closed; discord.py reconnects by itself once it was connected.

    Before that we do: discord.py 2.7.1 dies of an AttributeError when the first connection fails. Raises
    TokenRefused (close code 4004), DependencyDown when several attempts failed.
    """
    await asyncio.sleep(client.identify_wait)
    for attempt in range(1, _FIRST_ATTEMPTS):
        try:
            await _stay_connected(client)
        except DependencyDown as error:
            logger.warning("%s: trying again", error)
        else:
            return
        await asyncio.sleep(retry_delay(attempt, first=SECOND) / SECOND)
    await _stay_connected(client)


async def _stay_connected(client: CourierClient) -> None:
    try:
        await client.connect(reconnect=True)
    except discord.ConnectionClosed as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise TokenRefused("Discord's gateway refuses DISCORD_TOKEN") from error
        raise
    except Exception as error:
        if client.connected.is_set():
            raise
        raise DependencyDown(f"Discord's gateway cannot be reached ({describe(error)})") from error
