"""The poller and its store on a full table, compared with a bare aiohttp GET + json() loop.

All loops poll the same API, which runs in a separate process, equally often and with the same number in
flight. The rate limit is lifted and every task is due again at once, so that the work per poll is measured:
claim, poll, read, judge, record.
"""

import asyncio
import gc
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import aiohttp
from pydantic import SecretStr

from bench.databases import Kind, database, fill, task_id
from bench.figures import spread
from bench.video_api import KEY, video_api_process
from bot.core.answers import Answer
from bot.core.clock import system_clock
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.tracking import Limits
from bot.core.verdicts import PollRules
from bot.metrics import Metrics
from bot.process import tune_garbage_collection
from bot.storage.store import Store, open_store
from bot.veo.client import VideoApiClient, open_api_session
from bot.work.api_pause import ApiPause
from bot.work.loop import DurableLoop
from bot.work.poller import Poller

_NO_LIMIT = 10_000_000
_INTERVAL = 1  # ms: every task is due again when its turn comes
_DEADLINE = 10**12
_MIN_RATIO = 0.75  # on SQLite
_MAX_GROWTH = 1.20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `tasks`: the sizes of the tables. `polls`: how many of them one run makes."""

    tasks: Sequence[int]
    kinds: Sequence[Kind]
    polls: int
    rounds: int
    at_once: int


@dataclass(frozen=True, slots=True)
class Run:
    """One loop of `polls` polls: the seconds of wall clock and of this process's CPU."""

    polls: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.polls / self.wall

    @property
    def cpu_us(self) -> float:
        return self.cpu / self.polls * 1e6


@dataclass(slots=True)
class Figures:
    """The measurements of every round; all lists have the same order."""

    plan: Plan
    loop: str
    bare: list[Run] = field(default_factory=list)
    bot: dict[tuple[Kind, int], list[Run]] = field(default_factory=dict)

    def ratios(self, kind: Kind, tasks: int) -> list[float]:
        """The bot's rate divided by the bare loop's, for each round, so that what slows both cancels out."""
        return [bot.rate / bare.rate for bot, bare in zip(self.bot[kind, tasks], self.bare, strict=True)]

    def growth(self, kind: Kind) -> list[float]:
        """CPU per poll with the most tasks, divided by that with the fewest."""
        large, small = self.bot[kind, max(self.plan.tasks)], self.bot[kind, min(self.plan.tasks)]
        return [many.cpu_us / few.cpu_us for many, few in zip(large, small, strict=True)]

    def misses(self) -> list[str]:
        """A line for each aim that was not reached."""
        slow = [
            f"{kind}, {tasks:,} tasks: {median(self.ratios(kind, tasks)):.2f} of bare"
            for kind, tasks in self.bot
            if kind is Kind.SQLITE and median(self.ratios(kind, tasks)) < _MIN_RATIO
        ]
        grown = [
            f"{kind}: CPU grows by {median(self.growth(kind)):.2f}"
            for kind in self.plan.kinds
            if median(self.growth(kind)) > _MAX_GROWTH
        ]
        return slow + grown


async def measure(plan: Plan) -> Figures:
    """Run all of them in turn, `rounds` times, after one round that does not count."""
    figures = Figures(plan, type(asyncio.get_running_loop()).__module__.partition(".")[0])
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(video_api_process())
        stores = {
            (kind, tasks): await stack.enter_async_context(_filled(kind, tasks))
            for kind in plan.kinds
            for tasks in plan.tasks
        }
        for counted in range(plan.rounds + 1):
            bare = await _timed(plan, lambda: _bare(url, plan))
            bots = {at: await _timed(plan, lambda s=s: _bot(url, s, plan)) for at, s in stores.items()}  # type: ignore[misc]
            if counted:
                figures.bare.append(bare)
                for at, run in bots.items():
                    figures.bot.setdefault(at, []).append(run)
    return figures


async def _timed(plan: Plan, work: Callable[[], Awaitable[None]]) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Run(plan.polls, time.perf_counter() - wall, time.process_time() - cpu)


@asynccontextmanager
async def _filled(kind: Kind, tasks: int) -> AsyncIterator[Store]:
    """A store whose tasks are all due, in random order, because due times do not follow the order on disk."""
    now = system_clock()
    due = [now - n for n in range(tasks)]
    random.Random(1).shuffle(due)
    limits = Limits(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            database(kind, Path(folder)) as url,
            open_store(url, limits=limits, interval=_INTERVAL) as store,
        ):
            await fill(store, due)
            yield store


async def _bare(url: str, plan: Plan) -> None:
    """The minimum that a poller has to do: GET and json()."""
    numbers = iter(range(1, plan.polls + 1))
    headers = {"Authorization": f"Bearer {KEY}"}

    async def ask(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.get(f"{url}/v1/result/{task_id(number)}", headers=headers) as response:
                await response.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=plan.at_once)) as session:
        await asyncio.gather(*(ask(session) for _ in range(plan.at_once)))


class _Counted:
    """The real client; it sets `done` after `polls` answers."""

    def __init__(self, api: VideoApiClient, polls: int, done: asyncio.Event) -> None:
        self._api = api
        self._left = polls
        self._done = done

    async def poll(self, task_id: str) -> Answer:
        answer = await self._api.poll(task_id)
        self._left -= 1
        if self._left <= 0:
            self._done.set()
        return answer


async def _bot(url: str, store: Store, plan: Plan) -> None:
    """The bot's real poller in its real loop, over its real store."""
    done = asyncio.Event()
    with _as_a_process():
        await _poll(url, store, plan, done)


@contextmanager
def _as_a_process() -> Iterator[None]:
    """Apply the bot's settings of the garbage collector inside the block."""
    before = gc.get_threshold()
    tune_garbage_collection()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _poll(url: str, store: Store, plan: Plan, done: asyncio.Event) -> None:
    async with open_api_session(connections=plan.at_once) as session:
        api = VideoApiClient(base_url=url, key=SecretStr(KEY), session=session)
        poller = Poller(
            api=_Counted(api, plan.polls, done),
            queue=store.tasks,
            pause=ApiPause(
                store.key_values, store.tasks, system_clock, interval=_INTERVAL, on_cards=lambda: None
            ),
            limiter=RateLimiter(RateLimit(_NO_LIMIT, burst=_NO_LIMIT), system_clock),
            rules=PollRules(_INTERVAL, _DEADLINE),
            clock=system_clock,
            on_change=lambda: None,
            metrics=Metrics(),
        )
        loop = DurableLoop(
            poller, poller, slots=plan.at_once, clock=system_clock, shutdown_timeout=10, may_cancel=True
        )
        await loop.run(done)


def table(figures: Figures) -> str:
    """Medians, with the range of the rounds in brackets."""
    plan = figures.plan
    lines = [
        f"{plan.polls:,} polls a run, {plan.at_once} in flight, {plan.rounds} rounds, {figures.loop}",
        f"{'':28}{'polls/s':>22}{'CPU per poll':>22}{'bot / bare':>20}",
        _row("bare aiohttp loop", figures.bare, ""),
    ]
    for (kind, tasks), runs in figures.bot.items():
        lines.append(_row(f"{kind}, {tasks:,} tasks", runs, spread(figures.ratios(kind, tasks), ".2f")))
    lines.append(f"bot / bare on SQLite: the aim is at least {_MIN_RATIO:.2f}")
    for kind in plan.kinds:
        growth = spread(figures.growth(kind), ".2f")
        lines.append(f"CPU, most / fewest tasks, {kind}: {growth}   (aim: at most {_MAX_GROWTH:.2f})")
    return "\n".join(lines + [f"MISSED  {miss}" for miss in figures.misses()])


def _row(name: str, runs: list[Run], ratio: str) -> str:
    rate, cpu = spread([r.rate for r in runs], ",.0f"), spread([r.cpu_us for r in runs], ",.0f")
    return f"{name:28}{rate:>22}{cpu:>19} µs{ratio:>20}"


def as_json(figures: Figures) -> dict[str, object]:
    plan = figures.plan
    return {
        "polls": plan.polls,
        "at_once": plan.at_once,
        "loop": figures.loop,
        "bare": _runs(figures.bare),
        "bot": [
            {"database": kind, "tasks": tasks, "ratio": figures.ratios(kind, tasks)} | _runs(runs)
            for (kind, tasks), runs in figures.bot.items()
        ],
        "cpu_growth": {str(kind): figures.growth(kind) for kind in plan.kinds},
        "missed": figures.misses(),
        "failed": bool(figures.misses()),
    }


def _runs(runs: list[Run]) -> dict[str, object]:
    return {"per_second": [r.rate for r in runs], "cpu_us": [r.cpu_us for r in runs]}
