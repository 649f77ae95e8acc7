"""The whole bot as a process: start-up, idle memory, memory for a large video, answers under full polling."""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import LIFTED_LIMITS
from bench.figures import peak_memory
from bot.core.ids import MAX_IDS
from sandbox.bot_environment import BotEnvironment
from sandbox.video_api import CLIP, Clip

_MIB = 1024**2
_LARGE_VIDEO = 100 * _MIB - 64 * 1024  # just below the limit of a server with boost level 3
_STARTS = 5
_ANSWERS = 200


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds, and bytes of resident memory."""

    starts: list[float]
    idle: int
    video_adds: int
    video_seconds: float
    tasks: int
    polls_per_second: float
    answers: list[float]


async def measure(*, tasks: int) -> Figures:
    starts = [await _start_once() for _ in range(_STARTS)]
    idle, adds, seconds = await _large_video()
    rate, answers = await _answers(tasks)
    return Figures(starts, idle, adds, seconds, tasks, rate, answers)


async def _start_once() -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with BotEnvironment(Path(folder)) as env:
            began = time.perf_counter()
            await env.start_bot()
            return time.perf_counter() - began


async def _large_video() -> tuple[int, int, float]:
    """Idle memory, the memory that the video adds at its peak, and the seconds from completed to posted."""
    with tempfile.TemporaryDirectory() as folder:
        async with BotEnvironment(Path(folder), POLL_INTERVAL="0.5") as env:
            env.guild.premium_tier = 3
            await env.start_bot()
            process = psutil.Process(env.bot.pid)
            # A small video first, so that modules loaded on first use are not counted.
            await _deliver(env, "vgen_small", CLIP)
            idle = process.memory_info().rss
            watching = asyncio.create_task(peak_memory(process))
            began = time.perf_counter()
            await _deliver(env, "vgen_large", Clip.padded(_LARGE_VIDEO))
            seconds = time.perf_counter() - began
            watching.cancel()
            return idle, await watching - idle, seconds


async def _deliver(env: BotEnvironment, task_id: str, clip: Clip) -> None:
    env.api.create(task_id).complete(clip)
    await env.alice.slash(env.channel, "veo track", id=task_id)
    await env.discord.until(
        lambda: any(m.attachments and task_id in m.content for m in env.channel.messages), within=120
    )


async def _answers(tasks: int) -> tuple[float, list[float]]:
    """Polls per second, and seconds to acknowledge /veo track and /veo status meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        async with BotEnvironment(Path(folder), POLL_RATE="1000000", **LIFTED_LIMITS) as env:
            await env.start_bot()
            ids = [f"vgen_{n:012x}" for n in range(tasks)]
            for task_id in ids:
                env.api.create(task_id).proceed()
            for start in range(0, tasks, MAX_IDS):
                chunk = " ".join(ids[start : start + MAX_IDS])
                await env.alice.slash(env.channel, "veo track", id=chunk)
            asked, began = len(env.api.polls), time.perf_counter()
            answers = []
            for number in range(_ANSWERS):
                env.api.create(f"vgen_new_{number}")
                track = await env.bob.slash(env.channel, "veo track", id=f"vgen_new_{number}")
                status = await env.bob.slash(env.channel, "veo status", id=ids[number % tasks])
                answers += [track.acknowledged_after, status.acknowledged_after]
            rate = (len(env.api.polls) - asked) / (time.perf_counter() - began)
            return rate, answers


def table(figures: Figures) -> str:
    ordered = sorted(figures.answers)
    p50, p99 = statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000
    start = f"{statistics.median(figures.starts):.2f} s"
    idle = f"{figures.idle / _MIB:.0f} MiB"
    video = f"{figures.video_adds / _MIB:.1f} MiB in {figures.video_seconds:.1f} s"
    polled = f"{figures.tasks:,} tasks polled at {figures.polls_per_second:,.0f}/s"
    return "\n".join(
        [
            f"start to ready        {start}   (aim: below 2 s)",
            f"idle memory           {idle}   (aim: below 90 MB)",
            f"a 100 MiB video adds  {video}   (aim: below 20 MB)",
            f"acknowledged          p50 {p50:.0f} ms, p99 {p99:.0f} ms, {polled}   (aim: p99 below 1 s)",
        ]
    )


def as_json(figures: Figures) -> dict[str, object]:
    return {
        "start_seconds": figures.starts,
        "idle_bytes": figures.idle,
        "video_adds_bytes": figures.video_adds,
        "video_seconds": figures.video_seconds,
        "tasks": figures.tasks,
        "polls_per_second": figures.polls_per_second,
        "answer_seconds": figures.answers,
    }
