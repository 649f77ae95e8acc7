"""How many tasks one process can poll every 30 seconds, when every answer takes 200 ms.

It is compared with what most bots do: one `discord.ext.tasks` loop that awaits each task in turn. That loop
runs over a few tasks, from which follows how many it manages in 30 s. Both poll the same API, which runs in
this process. The API also measures how late the bot's polls are: a poll is due 30 s after the last answer.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from discord.ext import tasks

from bench.databases import fill, task_id
from bench.figures import percentile
from bench.video_api import KEY, FastVideoApi
from bot.core.clock import SECOND
from bot.core.tracking import Limits
from bot.storage.store import open_store
from sandbox.bot_environment import BotEnvironment

_INTERVAL = 30.0
_ANSWER_TAKES = 0.2
# The most seconds until the bot looks for work: for its start, and for each task that is inserted.
_START_TAKES = 6.0
_FILLING_TAKES = 0.0002
_MIN_RATIO = 40
_MAX_LATENESS = 1.0  # seconds, the aim for 99 of 100 polls
_NO_LIMIT = 10**9
_SETTINGS = {"VEO_API_KEY": KEY, "POLL_INTERVAL": str(_INTERVAL), "POLL_RATE": "1000000"}


@dataclass(frozen=True, slots=True)
class Figures:
    """`late`: by how many seconds each poll was late. `cpu`: the share of one core that the bot used."""

    naive_tasks: int
    naive_seconds: float
    tasks: int
    seconds: float
    late: Sequence[float]
    cpu: float
    memory: int

    @property
    def naive_keeps(self) -> float:
        """How many tasks the simple loop manages within the interval."""
        return self.naive_tasks / self.naive_seconds * _INTERVAL

    @property
    def ratio(self) -> float:
        return self.tasks / self.naive_keeps

    @property
    def p99(self) -> float:
        return percentile(self.late, 99)


class _Lateness:
    """When each task is due, and how late its polls came. The API calls `polled` and `answered`."""

    def __init__(self, due: dict[str, float]) -> None:
        self._due = due
        self._late: list[float] = []

    def polled(self, task_id: str) -> None:
        self._late.append(time.time() - self._due.pop(task_id))

    def answered(self, task_id: str) -> None:
        self._due[task_id] = time.time() + _INTERVAL

    def until_now(self) -> list[float]:
        """All seconds of lateness, including the minimum for tasks that are due and have not been polled."""
        now = time.time()
        return self._late + [now - due for due in self._due.values() if due < now]


async def measure(*, count: int, naive: int, seconds: float) -> Figures:
    """Run the simple loop over `naive` tasks, then the bot with `count` tasks for so many seconds."""
    naive_seconds = await _naive(naive)
    first = time.time() + _START_TAKES + count * _FILLING_TAKES
    # Spread as in real life: tasks that were registered at once would always be due at once.
    due = [first + random.uniform(0, _INTERVAL) for _ in range(count)]
    lateness = _Lateness({task_id(n): at for n, at in enumerate(due, 1)})
    api = FastVideoApi(delay=_ANSWER_TAKES, on_poll=lateness.polled, on_answer=lateness.answered)
    with tempfile.TemporaryDirectory() as folder:
        async with api.serving() as url, BotEnvironment(Path(folder), VEO_API_URL=url, **_SETTINGS) as env:
            await _fill(env, due)
            await env.start_bot()
            await asyncio.sleep(first - time.time())
            bot = psutil.Process(env.bot.pid)
            used = _cpu_seconds(bot)
            await asyncio.sleep(seconds)
            cpu = (_cpu_seconds(bot) - used) / seconds
            late = lateness.until_now()
            return Figures(naive, naive_seconds, count, seconds, late, cpu, bot.memory_info().rss)


async def _naive(count: int) -> float:
    """Seconds for one round of the simple loop over `count` tasks."""
    took = 0.0
    async with FastVideoApi(delay=_ANSWER_TAKES).serving() as url, aiohttp.ClientSession() as session:

        @tasks.loop(seconds=_INTERVAL, count=1)
        async def poll() -> None:
            nonlocal took
            began, headers = time.perf_counter(), {"Authorization": f"Bearer {KEY}"}
            for number in range(1, count + 1):
                async with session.get(f"{url}/v1/result/{task_id(number)}", headers=headers) as response:
                    await response.json()
            took = time.perf_counter() - began
            poll.stop()

        await poll.start()
    return took


async def _fill(env: BotEnvironment, due: Sequence[float]) -> None:
    """Insert the tasks into the bot's database, before the bot starts."""
    data = env.folder / "data"
    data.mkdir()
    limits = Limits(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT)
    async with open_store(f"sqlite:///{data / 'bot.db'}", limits=limits, interval=0) as store:
        await fill(store, [int(at * SECOND) for at in due], guild_id=env.guild.id)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def table(figures: Figures) -> str:
    late, asked = figures.late, len(figures.late)
    p50, p99, worst = (f"{percentile(late, percent):.3f} s" for percent in (50, 99, 100))
    rate = f"{asked / figures.seconds:,.0f}/s for {figures.seconds:.0f} s"
    measured = f"{figures.naive_tasks} tasks took {figures.naive_seconds:.1f} s"
    lines = [
        f"one poll every {_INTERVAL:g} s per task, {_ANSWER_TAKES * 1000:.0f} ms for each answer",
        f"one after the other   {figures.naive_keeps:,.0f} tasks ({measured})",
        f"bot                   {figures.tasks:,} tasks, {asked:,} polls at {rate}",
        f"  late                p50 {p50}, p99 {p99}, worst {worst}   (aim: p99 below {_MAX_LATENESS:g} s)",
        f"  takes               {figures.cpu:.0%} of a core, {figures.memory / 1024**2:.0f} MiB",
        f"bot / one by one      {figures.ratio:,.0f} times as many   (aim: {_MIN_RATIO})",
    ]
    return "\n".join(lines)


def as_json(figures: Figures) -> dict[str, object]:
    return {
        "naive_tasks": figures.naive_tasks,
        "naive_seconds": figures.naive_seconds,
        "naive_keeps": figures.naive_keeps,
        "tasks": figures.tasks,
        "seconds": figures.seconds,
        "polls": len(figures.late),
        "late_seconds": {f"p{p}": percentile(figures.late, p) for p in (50, 90, 99, 99.9, 100)},
        "cpu_share": figures.cpu,
        "memory_bytes": figures.memory,
        "ratio": figures.ratio,
        "failed": figures.p99 >= _MAX_LATENESS or figures.ratio < _MIN_RATIO,
    }
