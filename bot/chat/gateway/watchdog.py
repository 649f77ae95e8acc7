"""Notices when calls to Discord never return, which nothing else reports."""

import asyncio
import logging

import aiohttp
import discord
from discord.http import Route

from bot.aio import retrieve_exception, wait_for_any
from bot.chat.responses import describe_error
from bot.core.errors import ClientStalled

logger = logging.getLogger(__name__)

# discord.py gives every call 300 s at most; one that takes longer waits for something that never comes.
_INTERVAL = 300.0
_TIMEOUT = 600.0


async def watch(client: discord.Client, *, interval: float = _INTERVAL, timeout: float = _TIMEOUT) -> None:
    """Make a small call every `interval` seconds; any answer is good.

    Raises ClientStalled when none came within `timeout` seconds. discord.py's lock for global limits stays
    closed for ever once a call is cancelled inside it (2.7.1, http.py), and only a new process has a new
    lock.
    """
    while True:
        await asyncio.sleep(interval)
        call = asyncio.ensure_future(client.http.request(Route("GET", "/users/@me")))
        if not await wait_for_any(call, timeout=timeout):
            # Not cancelled, because a cancellation may close the lock.
            call.add_done_callback(retrieve_exception)
            raise ClientStalled(f"calls to Discord have not returned for {timeout:g} s")
        try:
            await call
        except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
            logger.info("Discord answers with an error: %s", describe_error(error))
