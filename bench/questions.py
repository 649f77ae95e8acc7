"""How many questions a finished task has cost, beside the fewest that one question per 30 s allows.

The bot's poller, store and client are real, and so is the stand-in of the API. The time is simulated, as the
bot takes its clock as a parameter: an hour of people and their tasks passes in seconds. Answers take no time.
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
from bot.core.clock import HOUR, SECOND
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.tracking import Limits, TrackRequest
from bot.core.verdicts import PollRules
from bot.metrics import Metrics
from bot.storage.store import Store, open_store
from bot.veo.client import VideoApiClient, open_api_session
from bot.work.api_pause import ApiPause
from bot.work.poller import Poller
from sandbox.video_api import StandInVideoApi

_INTERVAL = 30 * SECOND
_GENERATION = (120 * SECOND, 300 * SECOND)
_FAILING = 0.1
_RATE = 10  # questions per second, the default of POLL_RATE
_ROOM = 100
_MOST_RATIO = 1.0


@dataclass(frozen=True, slots=True)
class Generation:
    """A task that is tracked when it is created, at `begins`, and takes `lasts` milliseconds."""

    task_id: str
    begins: int
    lasts: int
    fails: bool

    @property
    def fewest(self) -> int:
        """One at once, then one per interval until the first that finds it finished."""
        return 1 + math.ceil(self.lasts / _INTERVAL)


@dataclass(frozen=True, slots=True)
class Figures:
    """By task: its questions, and the fewest possible. `early` of all came before the interval was over."""

    asked: list[int]
    fewest: list[int]
    early: int

    @property
    def ratio(self) -> float:
        return sum(self.asked) / sum(self.fewest)


class _Clock:
    """Set by hand."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


async def measure(*, tasks: int, seed: int) -> Figures:
    """So many tasks, begun at random within an hour."""
    chance = random.Random(seed)
    clock = _Clock(HOUR)
    wishes = sorted(
        (
            Generation(
                task_id=f"vgen_{number:012x}",
                begins=clock.now + chance.randrange(HOUR),
                lasts=chance.randrange(*_GENERATION),
                fails=chance.random() < _FAILING,
            )
            for number in range(tasks)
        ),
        key=lambda wish: wish.begins,
    )
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(tasks, tasks, tasks)
        async with (
            StandInVideoApi() as api,
            open_api_session(connections=_ROOM) as session,
            open_store(f"sqlite:///{Path(folder) / 'bot.db'}", limits=limits, interval=_INTERVAL) as store,
        ):
            client = VideoApiClient(base_url=api.url, key=SecretStr(api.key), session=session)
            hour = _Hour(api, client, store, clock)
            await hour.play(wishes)
            return hour.figures(wishes)


class _Hour:
    """Wakes the poller as the bot's loop does: when something is due, and when somebody tracks a task."""

    def __init__(self, api: StandInVideoApi, client: VideoApiClient, store: Store, clock: _Clock) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._asked: dict[str, list[int]] = {}
        self._poller = Poller(
            api=client,
            queue=store.tasks,
            pause=ApiPause(store.key_values, store.tasks, clock, interval=_INTERVAL, on_cards=lambda: None),
            limiter=RateLimiter(RateLimit(_RATE, burst=_RATE), clock),
            rules=PollRules(_INTERVAL, 6 * HOUR),
            clock=clock,
            on_change=lambda: None,
            metrics=Metrics(),
        )

    async def play(self, wishes: list[Generation]) -> None:
        coming, running = list(wishes), dict[str, Generation]()
        while coming or running:
            due = await self._poller.next_due()
            moments = [wish.begins for wish in coming[:1]] + ([] if due is None else [due])
            self._clock.now = max(self._clock.now, min(moments))
            while coming and coming[0].begins <= self._clock.now:
                running[coming[0].task_id] = coming[0]
                await self._track(coming.pop(0))
            for wish in running.values():
                self._end_if_over(wish)
            await self._ask()
            running = {i: wish for i, wish in running.items() if not self._is_told(wish)}

    async def _track(self, wish: Generation) -> None:
        self._api.create(wish.task_id).proceed()
        await self._store.tracking.register(TrackRequest(1, 1, 1, (wish.task_id,)), self._clock.now)

    def _end_if_over(self, wish: Generation) -> None:
        task = self._api.tasks[wish.task_id]
        if task.status == "processing" and self._clock.now >= wish.begins + wish.lasts:
            if wish.fails:
                task.fail()
            else:
                task.complete()

    async def _ask(self) -> None:
        claim = await self._poller.claim(_ROOM, self._clock.now)
        for work in claim.work:
            self._asked.setdefault(work.id, []).append(self._clock.now)
        await asyncio.gather(*(self._poller.handle(claim.lease, work) for work in claim.work))

    def _is_told(self, wish: Generation) -> bool:
        asked = self._asked.get(wish.task_id)
        return asked is not None and asked[-1] >= wish.begins + wish.lasts

    def figures(self, wishes: list[Generation]) -> Figures:
        """What the API itself counted."""
        counted = [len(self._api.polls_of(wish.task_id)) for wish in wishes]
        early = sum(
            later - sooner < _INTERVAL for times in self._asked.values() for sooner, later in pairwise(times)
        )
        return Figures(counted, [wish.fewest for wish in wishes], early)


def table(figures: Figures) -> str:
    asked, fewest = (spread(values, ".0f") for values in (figures.asked, figures.fewest))
    mean = sum(figures.asked) / len(figures.asked)
    return "\n".join(
        [
            f"{len(figures.asked):,} tasks in a simulated hour, each generated in 2 to 5 minutes",
            f"questions per finished task   {mean:.2f}, median {asked}",
            f"the fewest possible           {sum(figures.fewest) / len(figures.fewest):.2f}, median {fewest}",
            f"asked / fewest                {figures.ratio:.3f}   (aim: {_MOST_RATIO:.2f})",
            f"sooner than after 30 s        {figures.early}   (aim: 0)",
        ]
    )


def as_json(figures: Figures) -> dict[str, object]:
    return {
        "tasks": len(figures.asked),
        "asked": sum(figures.asked),
        "fewest": sum(figures.fewest),
        "ratio": figures.ratio,
        "early": figures.early,
        "failed": figures.ratio > _MOST_RATIO or figures.early > 0,
    }
