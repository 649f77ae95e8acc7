"""How many polls a finished task costs, compared with the minimum at one poll every 30 s.

The bot's poller, store and client are real, and the API is the stand-in. Time is simulated, because the bot
takes its clock as a parameter: an hour with many tasks passes in seconds. Answers take no time.
"""

import asyncio
import math
import random
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import SecretStr

from bench.figures import spread
from bot.core.budget import RateBudget
from bot.core.clock import HOUR, SECOND
from bot.core.registration import Limits, TrackRequest
from bot.core.verdicts import PollRules
from bot.storage.store import Store, open_store
from bot.veo.client import VideoApiClient, open_api_session
from bot.work.pacing import ApiGate
from bot.work.poller import Poller
from sandbox.video_api import StandInVideoApi

_INTERVAL = 30 * SECOND
_GENERATION = (120 * SECOND, 300 * SECOND)
_FAILING = 0.1
_RATE = 10  # polls per second, the default of POLL_RATE
_AT_ONCE = 100
_MAX_RATIO = 1.0


@dataclass(frozen=True, slots=True)
class Generation:
    """A task that is tracked when it is created, at `begins`, and takes `lasts` milliseconds."""

    task_id: str
    begins: int
    lasts: int
    fails: bool

    @property
    def min_polls(self) -> int:
        """One poll at once, then one per interval until the first that finds it finished."""
        return 1 + math.ceil(self.lasts / _INTERVAL)


@dataclass(frozen=True, slots=True)
class Figures:
    """For each task: its polls and the minimum. `early` polls came before the interval was over."""

    polls: list[int]
    min_polls: list[int]
    early: int

    @property
    def ratio(self) -> float:
        return sum(self.polls) / sum(self.min_polls)


class _Clock:
    """A clock that is set by assigning `now`."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


async def measure(*, tasks: int, seed: int) -> Figures:
    """Simulate `tasks` tasks that begin at random within an hour."""
    chance = random.Random(seed)
    clock = _Clock(HOUR)
    generations = sorted(
        (
            Generation(
                task_id=f"vgen_{number:012x}",
                begins=clock.now + chance.randrange(HOUR),
                lasts=chance.randrange(*_GENERATION),
                fails=chance.random() < _FAILING,
            )
            for number in range(tasks)
        ),
        key=lambda generation: generation.begins,
    )
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(tasks, tasks, tasks)
        async with (
            StandInVideoApi() as api,
            open_api_session(connections=_AT_ONCE) as session,
            open_store(f"sqlite:///{Path(folder) / 'bot.db'}", limits=limits, interval=_INTERVAL) as store,
        ):
            client = VideoApiClient(base_url=api.url, key=SecretStr(api.key), session=session)
            hour = _Hour(api, client, store, clock)
            await hour.run(generations)
            return hour.figures(generations)


class _Hour:
    """Runs the poller as the bot's loop does: when a task is due, and when one is tracked."""

    def __init__(self, api: StandInVideoApi, client: VideoApiClient, store: Store, clock: _Clock) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._polled_at: dict[str, list[int]] = {}
        self._poller = Poller(
            api=client,
            tasks=store.tasks,
            gate=ApiGate(store.facts, clock),
            budget=RateBudget(_RATE, clock),
            rules=PollRules(_INTERVAL, 6 * HOUR),
            clock=clock,
            on_change=lambda: None,
        )

    async def run(self, generations: list[Generation]) -> None:
        coming, running = list(generations), dict[str, Generation]()
        while coming or running:
            due = await self._poller.next_due()
            moments = [generation.begins for generation in coming[:1]] + ([] if due is None else [due])
            self._clock.now = max(self._clock.now, min(moments))
            while coming and coming[0].begins <= self._clock.now:
                running[coming[0].task_id] = coming[0]
                await self._track(coming.pop(0))
            for generation in running.values():
                self._end_if_over(generation)
            await self._poll_due()
            running = {
                i: generation for i, generation in running.items() if not self._knows_the_end(generation)
            }

    async def _track(self, generation: Generation) -> None:
        self._api.create(generation.task_id).proceed()
        await self._store.registrations.register(
            TrackRequest(1, 1, 1, (generation.task_id,)), self._clock.now
        )

    def _end_if_over(self, generation: Generation) -> None:
        task = self._api.tasks[generation.task_id]
        if task.status == "processing" and self._clock.now >= generation.begins + generation.lasts:
            if generation.fails:
                task.fail()
            else:
                task.complete()

    async def _poll_due(self) -> None:
        claim = await self._poller.claim(_AT_ONCE)
        for work in claim.work:
            self._polled_at.setdefault(work.id, []).append(self._clock.now)
        await asyncio.gather(*(self._poller.handle(claim.lease, work) for work in claim.work))

    def _knows_the_end(self, generation: Generation) -> bool:
        times = self._polled_at.get(generation.task_id)
        return times is not None and times[-1] >= generation.begins + generation.lasts

    def figures(self, generations: list[Generation]) -> Figures:
        """The number of polls that the API received."""
        counted = [len(self._api.polls_of(generation.task_id)) for generation in generations]
        early = sum(
            later - sooner < _INTERVAL
            for times in self._polled_at.values()
            for sooner, later in pairwise(times)
        )
        return Figures(counted, [generation.min_polls for generation in generations], early)


def table(figures: Figures) -> str:
    polls, min_polls = (spread(values, ".0f") for values in (figures.polls, figures.min_polls))
    mean = sum(figures.polls) / len(figures.polls)
    min_mean = sum(figures.min_polls) / len(figures.min_polls)
    return "\n".join(
        [
            f"{len(figures.polls):,} tasks in a simulated hour, each generated in 2 to 5 minutes",
            f"questions per finished task   {mean:.2f}, median {polls}",
            f"the fewest possible           {min_mean:.2f}, median {min_polls}",
            f"asked / fewest                {figures.ratio:.3f}   (aim: {_MAX_RATIO:.2f})",
            f"sooner than after 30 s        {figures.early}   (aim: 0)",
        ]
    )


def as_json(figures: Figures) -> dict[str, object]:
    return {
        "tasks": len(figures.polls),
        "asked": sum(figures.polls),
        "fewest": sum(figures.min_polls),
        "ratio": figures.ratio,
        "early": figures.early,
        "failed": figures.ratio > _MAX_RATIO or figures.early > 0,
    }
