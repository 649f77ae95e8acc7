"""`make demo`: runs the environment, the bot and the page until Ctrl+C."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from demo.page.server import PageServer
from sandbox.bot_environment import BotEnvironment

if TYPE_CHECKING:
    from pathlib import Path


# Boost level 2 allows uploads of 50 MiB, so that a file which is too large for the first server fits here.
_BOOSTED = 2


async def serve(folder: Path, port: int, poll_interval: float | None) -> None:
    """Serve the page until SIGINT or SIGTERM. The bot starts meanwhile; the address is printed last."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = {} if poll_interval is None else {"POLL_INTERVAL": str(poll_interval)}
    async with BotEnvironment(folder, **settings) as env:
        populate(env)
        async with PageServer(env, port) as page:
            page.bot.start()
            print("veo-courier on this machine: no account, no key, nothing leaves it. Ctrl+C ends it.")
            print(f"Open {page.url}", flush=True)
            await stop.wait()
            if sys.stdout.isatty():
                print("\nStopping ...", flush=True)


def populate(env: BotEnvironment) -> None:
    """Add to the environment what the page shows: a second server, more channels, and carol.

    alice may manage messages, bob is an ordinary member, and carol is only in the first server.
    """
    bot = env.discord.bot
    carol = env.discord.add_person("carol")
    env.guild.join(env.alice, manage_messages=True)
    env.guild.join(carol)
    env.channel.add_thread("harbour scene")
    env.guild.add_channel("storyboards")
    env.guild.add_channel("links-only").deny(bot, "attach_files")
    env.guild.add_channel("Screening Room", "voice")
    studio = env.discord.add_guild("Night Shift Studio", premium_tier=_BOOSTED)
    studio.join(env.alice, manage_messages=True)
    studio.join(env.bob)
    studio.add_channel("dailies")
    studio.add_channel("lounge")
