"""The poller and its store on a full table, beside a bare aiohttp GET + json() loop in the same run.

All three loops ask the same stand-in API, which runs in a process of its own, the same number of questions
with the same number in flight. The rate budget is lifted and every task is due again at once, so that what
is measured is the work per question: claim, ask, read, judge, record.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from bot.core.answers import Answer
from bot.core.budget import RateBudget
from bot.core.clock import system_clock
from bot.core.ids import MAX_IDS
from bot.core.registration import Limits, TrackRequest
from bot.core.verdicts import PollRules
from bot.storage.store import Store, open_store
from bot.veo.client import VideoApiClient, open_api_session
from bot.work.loop import DurableLoop
from bot.work.pacing import ApiGate
from bot.work.poller import Poller

_KEY = "bench-key"
_NO_LIMIT = 10_000_000
_INTERVAL = 1  # ms: every task is due again by the time its turn comes
_DEADLINE = 10**12


@dataclass(frozen=True, slots=True)
class Run:
    """One loop over `questions` questions: seconds of wall clock and of our own CPU."""

    questions: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.questions / self.wall

    @property
    def cpu_us(self) -> float:
        return self.cpu / self.questions * 1e6


@dataclass(slots=True)
class Figures:
    """What every round measured."""

    tasks: int
    few: int
    at_once: int
    bare: list[Run] = field(default_factory=list)
    bot: list[Run] = field(default_factory=list)
    bot_few: list[Run] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """The bot's rate over the bare loop's, round by round: what both suffer from cancels out."""
        return [bot.rate / bare.rate for bot, bare in zip(self.bot, self.bare, strict=True)]

    def growth(self) -> list[float]:
        """CPU per question with many tasks over that with few."""
        return [many.cpu_us / few.cpu_us for many, few in zip(self.bot, self.bot_few, strict=True)]


async def measure(*, tasks: int, few: int, rounds: int, at_once: int) -> Figures:
    """`rounds` times all three in turn, after one uncounted round."""
    figures = Figures(tasks, few, at_once)
    async with _stand_in(tasks) as url:
        with tempfile.TemporaryDirectory() as folder:
            many_url = f"sqlite:///{Path(folder) / 'many.db'}"
            few_url = f"sqlite:///{Path(folder) / 'few.db'}"
            async with _filled(many_url, tasks) as many, _filled(few_url, few) as small:
                for counted in range(rounds + 1):
                    bare = await _timed(tasks, lambda: _bare(url, tasks, at_once))
                    bot = await _timed(tasks, lambda: _bot(url, many, tasks, at_once))
                    bot_few = await _timed(tasks, lambda: _bot(url, small, tasks, at_once))
                    if counted:
                        figures.bare.append(bare)
                        figures.bot.append(bot)
                        figures.bot_few.append(bot_few)
    return figures


async def _timed(questions: int, work: Callable[[], Awaitable[None]]) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Run(questions, time.perf_counter() - wall, time.process_time() - cpu)


@asynccontextmanager
async def _stand_in(tasks: int) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.video_api", "--key", _KEY, "--tasks", str(tasks), stdout=PIPE
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


def _id(number: int) -> str:
    return f"vgen_{number:012x}"


@asynccontextmanager
async def _filled(url: str, tasks: int) -> AsyncIterator[Store]:
    """Registered as people do it, twenty at a time."""
    limits = Limits(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT)
    async with open_store(url, limits=limits, interval=_INTERVAL) as store:
        ids = [_id(n) for n in range(1, tasks + 1)]
        for start in range(0, tasks, MAX_IDS):
            request = TrackRequest(1, start, start, tuple(ids[start : start + MAX_IDS]))
            await store.registrations.register(request, system_clock())
        yield store


async def _bare(url: str, questions: int, at_once: int) -> None:
    """What a poller cannot do without: GET and json()."""
    numbers = iter(range(1, questions + 1))
    headers = {"Authorization": f"Bearer {_KEY}"}

    async def ask(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.get(f"{url}/v1/result/{_id(number)}", headers=headers) as response:
                await response.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
        await asyncio.gather(*(ask(session) for _ in range(at_once)))


class _Counted:
    """The real client; sets `done` after so many answers."""

    def __init__(self, api: VideoApiClient, questions: int, done: asyncio.Event) -> None:
        self._api = api
        self._left = questions
        self._done = done

    async def ask(self, task_id: str) -> Answer:
        answer = await self._api.ask(task_id)
        self._left -= 1
        if self._left <= 0:
            self._done.set()
        return answer


async def _bot(url: str, store: Store, questions: int, at_once: int) -> None:
    """The bot's own poller in its own loop, over its own store."""
    done = asyncio.Event()
    async with open_api_session(connections=at_once) as session:
        api = VideoApiClient(base_url=url, key=SecretStr(_KEY), session=session)
        poller = Poller(
            api=_Counted(api, questions, done),
            tasks=store.tasks,
            gate=ApiGate(store.facts, system_clock),
            budget=RateBudget(_NO_LIMIT, system_clock),
            rules=PollRules(_INTERVAL, _DEADLINE),
            clock=system_clock,
            on_change=lambda: None,
        )
        loop = DurableLoop(poller, room=at_once, clock=system_clock, grace=10, may_cancel=True)
        await loop.run(done)


def table(figures: Figures) -> str:
    """Medians, with the range of the rounds."""
    rows = [
        ("bare aiohttp loop", figures.bare),
        (f"bot, {figures.tasks:,} tasks", figures.bot),
        (f"bot, {figures.few:,} tasks", figures.bot_few),
    ]
    lines = [
        f"{figures.tasks:,} questions a run, {figures.at_once} in flight, medians of {len(figures.bare)}",
        f"{'':24}{'questions/s':>24}{'CPU per question':>26}",
    ]
    for name, runs in rows:
        rate, cpu = [r.rate for r in runs], [r.cpu_us for r in runs]
        lines.append(f"{name:24}{_spread(rate, '9,.0f'):>24}{_spread(cpu, '7,.0f'):>23} µs")
    lines += [
        f"bot / bare: {_spread(figures.ratios(), '.2f')}   (aim: at least 0.60)",
        f"CPU, many / few tasks: {_spread(figures.growth(), '.2f')}   (aim: at most 1.20)",
    ]
    return "\n".join(lines)


def _spread(values: list[float], form: str) -> str:
    low, middle, high = (
        format(v, form).strip() for v in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} ({low}-{high})"


def as_json(figures: Figures) -> dict[str, object]:
    return {
        "tasks": figures.tasks,
        "few": figures.few,
        "at_once": figures.at_once,
        "bare_per_second": [r.rate for r in figures.bare],
        "bot_per_second": [r.rate for r in figures.bot],
        "bot_few_per_second": [r.rate for r in figures.bot_few],
        "ratio": figures.ratios(),
        "cpu_growth": figures.growth(),
    }
