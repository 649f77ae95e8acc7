"""An environment for the real bot: both stand-ins, a guild with two people, and the bot's process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from sandbox.bot_process import BotProcess
from sandbox.discord import StandInDiscord
from sandbox.video_api import StandInVideoApi

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Seconds. The real API asks for 30; the bot allows less on loopback only.
POLL_INTERVAL = 1.0


class BotEnvironment:
    """Both stand-ins, open while its `async with` is, and a bot that `start_bot` starts against them.

    All files are below `folder`. `settings` are added to the bot's environment.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.discord = StandInDiscord()
        self.api = StandInVideoApi()
        self._settings = settings
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self.discord)
        await self._exit.enter_async_context(self.api)
        self.guild = self.discord.add_guild("Moving Pictures")
        self.channel = self.guild.add_channel("renders")
        self.alice = self.discord.add_person("alice")
        self.bob = self.discord.add_person("bob")
        for person in (self.alice, self.bob):
            self.guild.join(person)
        self.bot = BotProcess(self.settings(), self.folder / "bot.log")
        self._exit.push_async_callback(self._stop_bot)
        return self

    async def _stop_bot(self) -> None:
        await self.bot.stop()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    def settings(self) -> dict[str, str]:
        """The environment variables of the bot: its public settings only."""
        return {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "VEO_API_KEY": self.api.key,
            "VEO_API_URL": self.api.url,
            "DATA_DIR": str(self.folder / "data"),
            "POLL_INTERVAL": str(POLL_INTERVAL),
            **self._settings,
        }

    async def start_bot(self) -> None:
        """Start the bot, and wait until it is connected and has registered its commands.

        Raises RuntimeError with its log if it ends, TimeoutError when neither happens.
        """
        await self.bot.start()
        await self.discord.until(
            lambda: self.bot.exit_code is not None or (self.discord.connected and self.discord.commands),
        )
        if self.bot.exit_code is not None:
            raise RuntimeError(f"the bot ended with {self.bot.exit_code}:\n{self.bot.output()}")

    def check(self) -> None:
        """Raises AssertionError if a stand-in received something unexpected."""
        self.discord.check()
        self.api.check()
