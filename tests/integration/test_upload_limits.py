"""How large a video may be in a server, for a process that holds no gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.chat.messenger import DiscordMessenger
from bot.chat.outbound import DISCORD_RATE
from bot.core.clock import system_clock
from bot.core.rate_limit import RateLimiter
from bot.metrics import Metrics
from bot.resources import logged_in_client
from tests.integration.conftest import InProcessEnv

MIB = 1024**2


@asynccontextmanager
async def opened(env: InProcessEnv) -> AsyncIterator[DiscordMessenger]:
    """A messenger of a process without a gateway."""
    metrics = Metrics()
    async with logged_in_client(env.settings(), metrics) as client:
        limiter = RateLimiter(DISCORD_RATE, system_clock)
        yield DiscordMessenger(client, system_clock, limiter, metrics)


async def test_boost_level_is_read_only_when_it_matters(env: InProcessEnv):
    """Most videos are small: no call for them."""
    env.guild.premium_tier = 2
    async with opened(env) as messenger:
        assert await messenger.upload_limit(env.guild.id, 20 * MIB) == 20 * MIB
        assert env.discord.requests("GET", "/guilds/*") == []
        assert await messenger.upload_limit(env.guild.id, 20 * MIB + 1) == 50 * MIB

    assert len(env.discord.requests("GET", "/guilds/*")) == 1


async def test_server_that_does_not_tell_is_tried_with_the_most(env: InProcessEnv):
    """Discord's answer to the upload decides."""
    env.allowed.append("/guilds/1")
    async with opened(env) as messenger:
        assert await messenger.upload_limit(1, 30 * MIB) == 100 * MIB
