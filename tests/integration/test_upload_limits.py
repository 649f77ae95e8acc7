"""How large a video may be in a server, for a process that holds no gateway."""

from bot.chat.messenger import DiscordMessenger
from bot.core.clock import system_clock
from bot.startup import logged_in
from tests.integration.conftest import Scene

MIB = 1024**2


async def test_boost_level_is_asked_for_only_when_it_matters(scene: Scene):
    """Most videos are small: no call for them."""
    scene.guild.premium_tier = 2
    async with logged_in(scene.settings()) as client:
        messenger = DiscordMessenger(client, system_clock)
        assert await messenger.limit(scene.guild.id, 20 * MIB) == 20 * MIB
        assert scene.discord.requests("GET", "/guilds/*") == []
        assert await messenger.limit(scene.guild.id, 20 * MIB + 1) == 50 * MIB

    assert len(scene.discord.requests("GET", "/guilds/*")) == 1


async def test_server_that_does_not_tell_is_tried_with_the_most(scene: Scene):
    """What Discord answers to the upload is the last word."""
    scene.allowed.append("/guilds/1")
    async with logged_in(scene.settings()) as client:
        assert await DiscordMessenger(client, system_clock).limit(1, 30 * MIB) == 100 * MIB
