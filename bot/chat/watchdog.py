"""Notices when calls to Discord do not come back any more, though nothing says why."""

import asyncio
import logging

import aiohttp
import discord
from discord.http import Route

from bot.chat.answers import describe
from bot.core.errors import ClientStalled

logger = logging.getLogger(__name__)

# discord.py gives every call 300 s at most; one that takes longer waits for something that never comes.
_EVERY = 300.0
_PATIENCE = 600.0


async def watch(client: discord.Client, *, every: float = _EVERY, patience: float = _PATIENCE) -> None:
    """One small call every `every` seconds; any answer is a good one.

    Raises ClientStalled when none came for `patience` seconds: discord.py's gate for global limits stays
    closed for ever once a call is cancelled inside it (2.7.1, http.py), and a new process has a new gate.
    """
    while True:
        await asyncio.sleep(every)
        call = asyncio.ensure_future(client.http.request(Route("GET", "/users/@me")))
        await asyncio.wait({call}, timeout=patience)
        if not call.done():
            # Left running: cancelling it may be what closes the gate.
            call.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise ClientStalled(f"Discord calls have not come back for {patience:g} s")
        try:
            await call
        except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError) as error:
            logger.info("Discord is in trouble, and answers: %s", describe(error))
