"""Where the page plays: two servers and three people with different rights, around what the stage has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.stage import Stage

# Level 2 of boosting: 50 MiB for an upload, so that what is too large for the first server fits here.
_BOOSTED = 2


def furnish(stage: Stage) -> None:
    """alice manages messages, bob is a member like any other, and carol is in the first server only."""
    bot = stage.discord.bot
    carol = stage.discord.add_person("carol")
    stage.guild.join(stage.alice, manage_messages=True)
    stage.guild.join(carol)
    stage.channel.add_thread("harbour scene")
    stage.guild.add_channel("storyboards")
    stage.guild.add_channel("links-only").deny(bot, "attach_files")
    stage.guild.add_channel("Screening Room", "voice")
    studio = stage.discord.add_guild("Night Shift Studio", premium_tier=_BOOSTED)
    studio.join(stage.alice, manage_messages=True)
    studio.join(stage.bob)
    studio.add_channel("dailies")
    studio.add_channel("lounge")
