"""`make demo`: the env, the bot and the page, until Ctrl+C."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from demo.page.places import furnish
from demo.page.server import PageServer
from sandbox.bot_environment import BotEnvironment

if TYPE_CHECKING:
    from pathlib import Path


async def serve(folder: Path, port: int, poll_interval: float | None) -> None:
    """The address is the last line printed; the bot starts while the page is opened."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = {} if poll_interval is None else {"POLL_INTERVAL": str(poll_interval)}
    async with BotEnvironment(folder, **settings) as env:
        furnish(env)
        async with PageServer(env, port) as page:
            page.bot.start()
            print("veo-courier on this machine: no account, no key, nothing leaves it. Ctrl+C ends it.")
            print(f"Open {page.url}", flush=True)
            await stop.wait()
            if sys.stdout.isatty():
                print("\nStopping ...", flush=True)
