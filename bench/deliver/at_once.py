"""Many videos that become ready at once: the bot as a process, compared with a bare loop.

Both use the same stand-ins, which run in this process, and as many downloads and uploads at a time. The bot's
time begins with its first download, because waiting for the next poll is not delivering. Both times end when
the last upload is accepted.
"""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from bench import LIFTED_LIMITS
from bench.figures import peak_memory, spread
from bot.work.download_slots import FAST_SLOTS
from bot.work.posting import MAX_UPLOADS
from sandbox.bot_environment import BotEnvironment
from sandbox.discord import Channel
from sandbox.video_api import Clip

_MIB = 1024**2
_MIN_RATIO = 0.9
_MAX_MEMORY = 150_000_000
_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds, and the peak of resident memory in bytes."""

    seconds: float
    peak: int


@dataclass(slots=True)
class Figures:
    videos: int
    size: int
    bare: list[Run] = field(default_factory=list)
    bot: list[Run] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """The bare loop's time divided by the bot's, for each round."""
        return [bare.seconds / bot.seconds for bare, bot in zip(self.bare, self.bot, strict=True)]

    @property
    def peak(self) -> int:
        return max(run.peak for run in self.bot)


async def measure(*, videos: int, size: int, rounds: int) -> Figures:
    """Run both in turn, `rounds` times, each with new stand-ins."""
    figures = Figures(videos, size)
    for _ in range(rounds):
        figures.bare.append(await _bare(videos, size))
        figures.bot.append(await _bot(videos, size))
    return figures


def _channels(env: BotEnvironment, videos: int) -> list[Channel]:
    """One channel for each video, because the messages of one channel are posted one after the other."""
    return [env.guild.add_channel(f"c{n}") for n in range(videos)]


async def _bare(videos: int, size: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        async with BotEnvironment(Path(folder)) as env:
            env.discord.contract_checked = False
            carried = []
            for n, channel in enumerate(_channels(env, videos)):
                task = env.api.create(f"vgen_{n:012x}")
                task.complete(Clip.padded(size))
                carried.append((f"{env.api.url}/videos/{task.id}.mp4", channel.id))
            what = {
                "api": env.discord.api_url,
                "token": env.discord.token,
                "at_once": FAST_SLOTS,
                "uploads": MAX_UPLOADS,
                "videos": carried,
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.deliver.bare_loop", stdin=PIPE, stdout=PIPE
            )
            watching = asyncio.create_task(peak_memory(psutil.Process(process.pid)))
            output, _ = await process.communicate(json.dumps(what).encode())
            watching.cancel()
            return Run(float(output), await watching)


async def _bot(videos: int, size: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        async with BotEnvironment(
            Path(folder), POLL_INTERVAL="0.5", POLL_RATE="1000", **LIFTED_LIMITS
        ) as env:
            env.discord.contract_checked = False
            await env.start_bot()
            channels = _channels(env, videos)
            tasks = [env.api.create(f"vgen_{n:012x}") for n in range(videos)]
            for task, channel in zip(tasks, channels, strict=True):
                # Another person each time, because new ids of one person have a pace.
                person = env.discord.add_person(f"person {task.id}")
                env.guild.join(person)
                await person.slash(channel, "veo track", id=task.id)
            watching = asyncio.create_task(peak_memory(psutil.Process(env.bot.pid)))
            for task in tasks:
                task.complete(Clip.padded(size))
            await env.discord.until(lambda: all(map(_has_its_video, channels)), within=_TIMEOUT)
            watching.cancel()
            return Run(_seconds(env), await watching)


def _has_its_video(channel: Channel) -> bool:
    return any(message.attachments for message in channel.messages)


def _seconds(env: BotEnvironment) -> float:
    """Seconds from the first download until now."""
    loop = asyncio.get_running_loop()
    return loop.time() - min(download.at for download in env.api.downloads)


def table(figures: Figures) -> str:
    return "\n".join(
        [
            f"{figures.videos} videos of {figures.size / _MIB:.0f} MiB at once, {len(figures.bot)} rounds",
            f"{'':18}{'seconds':>20}{'peak memory':>16}",
            _row("bare loop", figures.bare),
            _row("bot", figures.bot),
            f"bare / bot: {spread(figures.ratios, '.2f')}   (aim: at least {_MIN_RATIO})",
            f"peak memory of the bot: {figures.peak / 1e6:.0f} MB   (aim: below {_MAX_MEMORY / 1e6:.0f} MB)",
        ]
    )


def _row(name: str, runs: Sequence[Run]) -> str:
    seconds = spread([run.seconds for run in runs], ".2f")
    return f"{name:18}{seconds:>20}{median(run.peak for run in runs) / 1e6:13.0f} MB"


def as_json(figures: Figures) -> dict[str, object]:
    return {
        "videos": figures.videos,
        "size": figures.size,
        "bare": [{"seconds": run.seconds, "peak_bytes": run.peak} for run in figures.bare],
        "bot": [{"seconds": run.seconds, "peak_bytes": run.peak} for run in figures.bot],
        "ratio": figures.ratios,
        "failed": median(figures.ratios) < _MIN_RATIO or figures.peak >= _MAX_MEMORY,
    }
