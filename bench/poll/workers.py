"""How the polling rate grows with the number of workers over one PostgreSQL, at 200 ms for each answer.

Everything runs on this machine: the workers, PostgreSQL, and the API in this process. The CPU time of each
shows what limits the rate.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.databases import Kind, database, fill
from bench.video_api import KEY, FastVideoApi
from bot.core.clock import system_clock
from bot.core.tracking import Limits
from bot.storage.store import open_store
from sandbox.bot_environment import BotEnvironment
from sandbox.bot_process import BotProcess

_ANSWER_TAKES = 0.2
_NO_LIMIT = 10**9
# Every task is due again when its turn comes, so that there is always one to poll.
_SETTINGS = {"VEO_API_KEY": KEY, "POLL_INTERVAL": "0.5", "POLL_RATE": "1000000"}
_TASKS = 20_000
_SECONDS = 20.0
_WARM = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """Polls per second, and the cores that each part used."""

    workers: int
    rate: float
    bot: float
    postgres: float
    api: float


@dataclass(frozen=True, slots=True)
class Figures:
    tasks: int
    cores: int
    runs: Sequence[Run]

    @property
    def growth(self) -> list[float]:
        """The rate of each run divided by that of the first."""
        return [run.rate / self.runs[0].rate for run in self.runs]


async def measure(counts: Sequence[int]) -> Figures:
    """Run each number of workers for the same time, with a new database each."""
    runs = [await _run(count) for count in counts]
    return Figures(_TASKS, psutil.cpu_count() or 1, runs)


async def _run(count: int) -> Run:
    answered = 0

    def one_more(_task_id: str) -> None:
        nonlocal answered
        answered += 1

    with tempfile.TemporaryDirectory() as folder:
        api = FastVideoApi(delay=_ANSWER_TAKES, on_answer=one_more)
        async with api.serving() as url, database(Kind.POSTGRESQL, Path(folder)) as address:
            settings = _SETTINGS | {"VEO_API_URL": url, "DATABASE_URL": address}
            async with BotEnvironment(Path(folder), **settings) as env, _working(env, count) as workers:
                await _fill(address, _TASKS, env.guild.id)
                await asyncio.sleep(_WARM)
                began, before, used = time.perf_counter(), answered, _cores(workers)
                await asyncio.sleep(_SECONDS)
                took = time.perf_counter() - began
                spent = [
                    (after - earlier) / took for after, earlier in zip(_cores(workers), used, strict=True)
                ]
                return Run(count, (answered - before) / took, *spent)


@asynccontextmanager
async def _working(env: BotEnvironment, count: int) -> AsyncIterator[list[BotProcess]]:
    workers = [BotProcess(env.settings(), env.folder / f"{number}.log") for number in range(count)]
    try:
        for worker in workers:
            await worker.start("--role", "work")
        yield workers
    finally:
        for worker in workers:
            await worker.stop()


async def _fill(address: str, tasks: int, guild_id: int) -> None:
    limits = Limits(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT)
    async with open_store(address, limits=limits, interval=0) as store:
        await fill(store, [system_clock()] * tasks, guild_id=guild_id)


def _cores(workers: Sequence[BotProcess]) -> tuple[float, float, float]:
    """CPU seconds so far of the workers, of PostgreSQL, and of this process, which runs the API."""
    servers = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres"]
    return (
        sum(_seconds(psutil.Process(worker.pid)) for worker in workers),
        sum(_seconds(server) for server in servers),
        _seconds(psutil.Process()),
    )


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def table(figures: Figures) -> str:
    lines = [
        f"{figures.tasks:,} tasks always due, {_ANSWER_TAKES:g} s for each answer, {figures.cores} cores"
    ]
    for run, growth in zip(figures.runs, figures.growth, strict=True):
        cores = f"bot {run.bot:.2f}, PostgreSQL {run.postgres:.2f}, API {run.api:.2f}"
        lines.append(
            f"workers: {run.workers}   {run.rate:7,.0f} polls/s, {growth:.2f} times the first; cores: {cores}"
        )
    return "\n".join(lines)


def as_json(figures: Figures) -> list[dict[str, object]]:
    return [
        {
            "workers": run.workers,
            "per_second": run.rate,
            "growth": growth,
            "cores": {"bot": run.bot, "postgres": run.postgres, "api": run.api},
        }
        for run, growth in zip(figures.runs, figures.growth, strict=True)
    ]
