"""Where the page plays: two servers and three people with different rights, around what the env has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.bot_environment import BotEnvironment

# Level 2 of boosting: 50 MiB for an upload, so that what is too large for the first server fits here.
_BOOSTED = 2


def furnish(env: BotEnvironment) -> None:
    """alice manages messages, bob is a member like any other, and carol is in the first server only."""
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
