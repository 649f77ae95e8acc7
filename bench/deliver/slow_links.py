"""Many slow links on one host beside good videos and results without a video: how long do the others wait?

No two of them share a person or a channel. The slow
links are due first.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench import LIFTED_LIMITS
from sandbox.bot_environment import BotEnvironment
from sandbox.discord import Channel
from sandbox.video_api import BodyFault, Clip

_SLOW, _GOOD, _FAILED = 200, 20, 20
# A slow host sends so many bytes a second: more than the least speed, far less than a fast slot wants.
_SLOW_SPEED = 20 * 1024
_TIMEOUT = 120.0
# Seconds, at p99.
_MAX_WITHOUT_VIDEO = 2.0
_MAX_GOOD = 20.0


@dataclass(slots=True)
class Figures:
    """Seconds from being due to the message, for each result."""

    good: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    slow_posted: int = 0


async def measure() -> Figures:
    """One run of the bot as a process against the stand-ins."""
    with tempfile.TemporaryDirectory() as folder:
        async with BotEnvironment(
            Path(folder), POLL_INTERVAL="0.5", POLL_RATE="1000", **LIFTED_LIMITS
        ) as env:
            await env.start_bot()
            slow = await _track(env, "slow", _SLOW)
            good = await _track(env, "good", _GOOD)
            failed = await _track(env, "fail", _FAILED)
            fault = BodyFault(
                route="GET /videos/vgen_slow*", chunk=_SLOW_SPEED // 4, pause=0.25, times=10_000
            )
            env.api.faults.add(fault)
            for task_id, _ in slow:
                env.api.tasks[task_id].complete(Clip.padded(4 << 20))
            loop = asyncio.get_running_loop()
            await env.discord.until(lambda: len(env.api.downloads) >= 20, within=_TIMEOUT)
            began = loop.time()
            for task_id, _ in good:
                env.api.tasks[task_id].complete(Clip.padded(4 << 20))
            for task_id, _ in failed:
                env.api.tasks[task_id].fail("no")
            figures = Figures()
            await asyncio.gather(
                *(_time(env, channel, began, figures.good) for _, channel in good),
                *(_time(env, channel, began, figures.failed) for _, channel in failed),
            )
            figures.slow_posted = sum(_results(channel) > 0 for _, channel in slow)
            return figures


async def _track(env: BotEnvironment, kind: str, count: int) -> list[tuple[str, Channel]]:
    """Tasks of one kind, each tracked by a person in a channel."""
    tracked = []
    for n in range(count):
        person = env.discord.add_person(f"{kind}{n}")
        env.guild.join(person)
        channel = env.guild.add_channel(f"{kind}{n}")
        task = env.api.create(f"vgen_{kind}{n:04d}")
        await person.slash(channel, "veo track", id=task.id)
        tracked.append((task.id, channel))
    return tracked


def _results(channel: Channel) -> int:
    """Result messages: those with a Delete button."""
    return sum(any(button.label == "Delete" for button in m.buttons) for m in channel.messages)


async def _time(env: BotEnvironment, channel: Channel, began: float, times: list[float]) -> None:
    await env.discord.until(lambda: _results(channel) > 0, within=_TIMEOUT)
    times.append(asyncio.get_running_loop().time() - began)


def _p99(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]


def table(figures: Figures) -> str:
    return "\n".join(
        [
            f"{_SLOW} links of {_SLOW_SPEED // 1024} KiB/s are downloading when the others become due",
            f"good videos, p99:     {_p99(figures.good):6.2f} s   (aim: at most {_MAX_GOOD:g} s)",
            f"without a video, p99: {_p99(figures.failed):6.2f} s   (aim: at most {_MAX_WITHOUT_VIDEO:g} s)",
        ]
    )


def as_json(figures: Figures) -> dict[str, object]:
    good, failed = _p99(figures.good), _p99(figures.failed)
    return {
        "good": figures.good,
        "without_video": figures.failed,
        "slow_posted": figures.slow_posted,
        "failed": good > _MAX_GOOD or failed > _MAX_WITHOUT_VIDEO,
    }
