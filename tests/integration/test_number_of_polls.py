"""A finished task has cost as few polls as one poll per interval allows.

The poller, its store and its client are real; the stand-in of the API answers them. The clock is set by hand,
so that an hour of people and their tasks passes in seconds. Answers take no time.
"""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

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
from tests.timing import FakeClock

INTERVAL = 30 * SECOND
TASKS = 30
SLOTS = 100
RATE = 10  # polls a second, the default of POLL_RATE


@dataclass(frozen=True, slots=True)
class Generation:
    """A task that is tracked when it is created, at `begins`, and takes `lasts` milliseconds."""

    task_id: str
    begins: int
    lasts: int
    fails: bool

    @property
    def ends(self) -> int:
        return self.begins + self.lasts

    @property
    def fewest(self) -> int:
        """One poll at once, then one per interval until the first that finds it finished."""
        return 1 + math.ceil(self.lasts / INTERVAL)


def generations(begin: int) -> list[Generation]:
    """Tasks that begin at random within an hour, each generated in 2 to 5 minutes; one in ten fails."""
    chance = random.Random(1)
    made = (
        Generation(
            task_id=f"vgen_{number:012x}",
            begins=begin + chance.randrange(HOUR),
            lasts=chance.randrange(120 * SECOND, 300 * SECOND),
            fails=chance.random() < 0.1,
        )
        for number in range(TASKS)
    )
    return sorted(made, key=lambda generation: generation.begins)


class SimulatedHour:
    """Wakes the poller as the bot's loop does: when a task is due, and when a person tracks one."""

    def __init__(self, api: StandInVideoApi, client: VideoApiClient, store: Store, clock: FakeClock) -> None:
        self.api = api
        self.polls: defaultdict[str, list[int]] = defaultdict(list)
        self._store = store
        self._clock = clock
        self._poller = Poller(
            api=client,
            queue=store.tasks,
            pause=ApiPause(store.key_values, store.tasks, clock, interval=INTERVAL, on_cards=lambda: None),
            limiter=RateLimiter(RateLimit(RATE, burst=RATE), clock),
            rules=PollRules(INTERVAL, 6 * HOUR),
            clock=clock,
            on_change=lambda: None,
            metrics=Metrics(),
        )

    async def play(self, planned: list[Generation]) -> None:
        coming, running = list(planned), list[Generation]()
        while coming or running:
            due = await self._poller.next_due()
            moments = [each.begins for each in coming[:1]] + ([] if due is None else [due])
            self._clock.now = max(self._clock.now, min(moments))
            while coming and coming[0].begins <= self._clock.now:
                running.append(coming.pop(0))
                await self._track(running[-1])
            for each in running:
                self._end_if_over(each)
            await self._poll()
            running = [each for each in running if max(self.polls[each.task_id], default=0) < each.ends]

    async def _track(self, each: Generation) -> None:
        self.api.create(each.task_id).proceed()
        await self._store.tracking.register(TrackRequest(1, 1, 1, (each.task_id,)), self._clock.now)

    def _end_if_over(self, each: Generation) -> None:
        task = self.api.tasks[each.task_id]
        if task.status == "processing" and self._clock.now >= each.ends:
            if each.fails:
                task.fail()
            else:
                task.complete()

    async def _poll(self) -> None:
        claim = await self._poller.claim(SLOTS, self._clock.now)
        for task in claim.work:
            self.polls[task.id].append(self._clock.now)
        await asyncio.gather(*(self._poller.handle(claim.lease, task) for task in claim.work))


@pytest.fixture
async def hour(clock: FakeClock, tmp_path: Path) -> AsyncIterator[SimulatedHour]:
    limits = Limits(TASKS, TASKS, TASKS)
    async with (
        StandInVideoApi() as api,
        open_api_session(connections=SLOTS) as session,
        open_store(f"sqlite:///{tmp_path / 'bot.db'}", limits=limits, interval=INTERVAL) as store,
    ):
        client = VideoApiClient(base_url=api.url, key=SecretStr(api.key), session=session)
        yield SimulatedHour(api, client, store, clock)


async def test_finished_task_has_cost_the_fewest_possible_polls(hour: SimulatedHour, clock: FakeClock):
    planned = generations(clock.now)

    await hour.play(planned)

    asked = {each.task_id: len(hour.api.polls_of(each.task_id)) for each in planned}
    assert asked == {each.task_id: each.fewest for each in planned}
    gaps = [later - sooner for times in hour.polls.values() for sooner, later in pairwise(times)]
    assert min(gaps) >= INTERVAL
