"""discord.py's own REST client, answered by a server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.chat.outbound import answer_trace
from bot.metrics import Metrics

Answers = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def discord_at(
    monkeypatch: pytest.MonkeyPatch, answer: Answers, metrics: Metrics | None = None
) -> AsyncIterator[discord.Client]:
    """A discord.py client whose calls go to a server on loopback that answers with `handle`."""

    async def handle(request: web.Request) -> web.Response:
        return await answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(application) as server:
        monkeypatch.setattr(discord.http.Route, "BASE", str(server.make_url("/api")))
        client = discord.Client(intents=discord.Intents.none(), max_ratelimit_timeout=30)
        client.http.http_trace = answer_trace(metrics or Metrics())
        client.http.token = "a.b.c"
        session = aiohttp.ClientSession(trace_configs=[client.http.http_trace])
        # What `static_login` does, without its request.
        vars(client.http).update(_HTTPClient__session=session, _global_over=asyncio.Event())
        client.http._global_over.set()
        async with session:
            yield client
