"""The poller with a scripted API, over the real store."""

import asyncio
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.errors import (
    KeyRefused,
    StorageUnavailable,
    TryLater,
    VideoApiThrottled,
    VideoApiUnavailable,
)
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.tasks import DeliveryState, TaskState
from bot.core.verdicts import (
    Answer,
    Completed,
    Doubt,
    Doubtful,
    Failed,
    PauseReason,
    PollOutcome,
    PollRules,
    StillWaiting,
    Waiting,
)
from bot.metrics import Metrics, PollAnswer
from bot.storage.engine import Database
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import OutcomeRecorder, TaskQueue
from bot.work.api_pause import ApiPause
from bot.work.poller import Poller
from tests.counted import counted
from tests.factories import COMPLETED, TASK, URL, look_up, make_task, track
from tests.timing import FakeClock

INTERVAL = 30 * SECOND
RULES = PollRules(INTERVAL, 6 * HOUR)


class ScriptedApi:
    """Answers what a test put on its list, then `usual`; records the polls of each task, and when."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answers: deque[Answer | Exception] = deque()
        self.usual: Callable[[], Answer | Exception] = lambda: Waiting("queued")
        self.polls: defaultdict[str, list[int]] = defaultdict(list)
        self.held: asyncio.Event | None = None

    async def poll(self, task_id: str) -> Answer:
        self.polls[task_id].append(self._clock())
        if self.held:
            await self.held.wait()
        answer = self.answers.popleft() if self.answers else self.usual()
        if isinstance(answer, Exception):
            raise answer
        return answer


class CountingQueue(TaskQueue):
    """The real queue, counting its recording transactions."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, lease_time=LEASE_TIME)
        self.batches: list[int] = []

    async def record(self, outcomes: Sequence[PollOutcome], now: int) -> int:
        self.batches.append(len(outcomes))
        return await super().record(outcomes, now)


@dataclass
class PollerEnv:
    """A poller with everything around it."""

    store: Store
    clock: FakeClock
    rate: float = 1000
    changes: int = 0
    metrics: Metrics = field(default_factory=Metrics)
    api: ScriptedApi = field(init=False)
    queue: CountingQueue = field(init=False)
    pause: ApiPause = field(init=False)
    poller: Poller = field(init=False)

    def __post_init__(self) -> None:
        self.api = ScriptedApi(self.clock)
        self.queue = CountingQueue(self.store.database)
        self.pause = ApiPause(self.store.key_values, self.clock)
        self.poller = Poller(
            api=self.api,
            queue=self.queue,
            pause=self.pause,
            limiter=RateLimiter(RateLimit(self.rate, burst=self.rate), self.clock),
            rules=RULES,
            clock=self.clock,
            on_change=self._changed,
            metrics=self.metrics,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def poll(self, slots: int = 1000) -> int:
        """One round: poll all that is due; returns how many."""
        claim = await self.poller.claim(slots, self.clock())
        await asyncio.gather(*(self.poller.handle(claim.lease, task) for task in claim.work))
        return len(claim.work)


@pytest.fixture
def env(store: Store, clock: FakeClock) -> PollerEnv:
    return PollerEnv(store, clock)


async def test_new_task_is_polled_at_once(env: PollerEnv):
    """The video may be there already."""
    await track(env.store, env.clock)
    await env.poll()

    assert env.api.polls == {TASK: [env.clock()]}


@pytest.mark.parametrize(
    ("answer", "state", "due"),
    [
        (COMPLETED, "completed", "due"),
        (Failed("nudity"), "failed", "due"),
        (Waiting("queued"), "waiting", "open"),
    ],
)
async def test_answer_is_recorded_and_announced(env: PollerEnv, answer: Answer, state: str, due: str):
    """Committed when the handling ends; then the deliverer and the card updater are woken."""
    await track(env.store, env.clock)
    env.api.answers.append(answer)
    await env.poll()

    seen = await look_up(env.store)
    assert (seen.task.state, seen.delivery.state) == (state, due)
    assert env.changes == 1


async def test_same_status_again_is_no_change(env: PollerEnv):
    """No card to edit."""
    await track(env.store, env.clock)
    for _ in range(3):
        await env.poll()
        env.clock.advance(INTERVAL)

    assert env.changes == 1
    assert len(env.api.polls[TASK]) == 3


async def test_silence_plans_a_later_poll_and_is_no_change(env: PollerEnv):
    """It concerns this one task."""
    await track(env.store, env.clock)
    env.api.answers.append(VideoApiUnavailable("502"))
    await env.poll()

    task = (await look_up(env.store)).task
    assert (task.state, task.attempt) == (TaskState.WAITING, 1)
    assert task.due_at is not None
    assert task.due_at >= env.clock() + INTERVAL
    assert env.changes == 0


async def test_unknown_id_is_lost_after_two_polls(env: PollerEnv):
    """A typing mistake, found within a minute."""
    await track(env.store, env.clock)
    env.api.usual = lambda: Doubtful(Doubt.UNKNOWN_ID)
    await env.poll()
    assert (await look_up(env.store)).task.api_status == "unknown id"
    env.clock.advance(INTERVAL)
    await env.poll()

    assert (await look_up(env.store)).task.state is TaskState.LOST


@pytest.mark.parametrize(
    ("error", "length", "reason"),
    [
        (KeyRefused("401"), 5 * MINUTE, PauseReason.KEY_REFUSED),
        (VideoApiThrottled("429", retry_after=90), 90 * SECOND, PauseReason.THROTTLED),
        (VideoApiThrottled("429"), 30 * SECOND, PauseReason.THROTTLED),
    ],
    ids=["key", "throttled", "throttled without a time"],
)
async def test_refused_key_and_throttling_pause_all_polls(
    env: PollerEnv, error: TryLater, length: int, reason: PauseReason
):
    """It concerns every task, and costs none of them an attempt."""
    await track(env.store, env.clock, "t1", "t2")
    await env.poll(slots=1)
    env.api.answers.append(error)
    await env.poll(slots=1)
    await track(env.store, env.clock, "t3")

    env.clock.advance(length - 1)
    assert await env.poll() == 0
    assert await env.poller.next_due() == env.clock() + 1
    assert env.pause.state
    assert env.pause.state.reason is reason
    for task_id in ("t1", "t2", "t3"):
        task = (await look_up(env.store, task_id)).task
        assert (task.state, task.attempt, task.doubts) == (TaskState.WAITING, 0, 0)


async def test_pause_does_not_count_towards_the_deadline_while_it_lasts(env: PollerEnv):
    """A key that is wrong for a day loses no task."""
    await track(env.store, env.clock)
    env.api.usual = lambda: KeyRefused("401")
    for _ in range(3):
        await env.poll()
        env.clock.advance(8 * HOUR)

    assert (await look_up(env.store)).task.state is TaskState.WAITING


async def test_after_a_pause_one_task_is_polled_first(env: PollerEnv):
    """A thousand polls with a wrong key would be rude."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.answers.append(KeyRefused("401"))
    await env.poll(slots=1)
    env.clock.advance(5 * MINUTE)
    env.api.held = asyncio.Event()
    claim = await env.poller.claim(1000, env.clock())
    assert len(claim.work) == 1
    probe = asyncio.create_task(env.poller.handle(claim.lease, claim.work[0]))
    assert await env.poll() == 0
    env.api.held.set()
    await probe

    assert env.pause.state is None
    assert await env.poll() == 2


async def test_failed_probe_does_not_end_the_pause(env: PollerEnv):
    """An API that is down has not accepted the key."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.answers.extend([VideoApiThrottled("429", retry_after=60), VideoApiUnavailable("502")])
    await env.poll(slots=1)
    env.clock.advance(MINUTE)

    assert [await env.poll(), await env.poll()] == [1, 1]
    assert env.pause.state is None


async def test_rate_limit_bounds_the_polls_of_a_second(store: Store, clock: FakeClock):
    """POLL_RATE, over all tasks."""
    env = PollerEnv(store, clock, rate=3)
    await track(store, clock, *(f"t{n}" for n in range(8)))

    rounds = []
    for _ in range(4):
        rounds.append(await env.poll())
        clock.advance(SECOND)

    assert rounds == [3, 3, 2, 0]


async def test_next_poll_waits_for_the_rate_limit(store: Store, clock: FakeClock):
    """The loop sleeps until one may be polled."""
    env = PollerEnv(store, clock, rate=1)
    await track(store, clock, "t1", "t2")
    await env.poll()

    assert await env.poller.next_due() == clock() + SECOND
    assert await env.poll() == 0


async def test_nothing_tracked_means_nothing_due(env: PollerEnv):
    """The loop sleeps its longest sleep."""
    assert await env.poller.next_due() is None
    assert await env.poll() == 0


@pytest.mark.parametrize("seed", range(3))
async def test_no_task_is_ever_polled_faster_than_the_interval(store: Store, clock: FakeClock, seed: int):
    """An hour with every kind of answer: the API's rule holds for each task."""
    chance = random.Random(seed)
    env = PollerEnv(store, clock)
    answers: list[Answer | Exception] = [
        Waiting("queued"),
        Waiting("processing"),
        VideoApiUnavailable("502"),
        VideoApiUnavailable("503", retry_after=1),
        VideoApiThrottled("429", retry_after=2),
        VideoApiThrottled("429", retry_after=0),
        KeyRefused("401"),
        Doubtful(Doubt.NO_VIDEO),
    ]
    weights = [40, 40, 8, 4, 2, 1, 1, 2]
    env.api.usual = lambda: chance.choices(answers, weights)[0]
    ids = [f"t{n}" for n in range(5)]
    await track(store, clock, *ids)
    end = clock() + HOUR
    while clock() < end:
        polled = await env.poll()
        due = await env.poller.next_due()
        assert due is not None
        clock.now = max(due, clock() + (0 if polled else 1))
        if chance.random() < 0.02:  # a restart in between
            await store.tasks.claim(2, clock())
            await store.recover(clock(), INTERVAL)

    gaps = {b - a for times in env.api.polls.values() for a, b in itertools.pairwise(times)}
    assert set(env.api.polls) == set(ids)
    assert min(gaps) >= INTERVAL
    assert len(gaps) > 3


async def test_quiet_task_is_polled_exactly_each_interval(env: PollerEnv):
    """The person who waits is not kept waiting longer."""
    await track(env.store, env.clock)
    start = env.clock()
    while env.clock() < start + 15 * MINUTE:
        await env.poll()
        due = await env.poller.next_due()
        assert due is not None
        env.clock.now = due

    assert env.api.polls[TASK] == list(range(start, start + 15 * MINUTE, INTERVAL))


async def test_many_due_tasks_are_recorded_in_few_transactions(env: PollerEnv):
    """A commit costs an fsync: 200 answers that come in together share two or so."""
    for channel in range(10):
        ids = (f"t{channel}_{n}" for n in range(20))
        await track(env.store, env.clock, *ids, channel=channel, by=channel)

    assert await env.poll() == 200
    assert sum(env.queue.batches) == 200
    assert len(env.queue.batches) <= 3


async def test_deliveries_of_a_polled_batch_are_all_due(env: PollerEnv):
    """Nothing is lost in a batch."""
    ids = [f"t{n}" for n in range(20)]
    await track(env.store, env.clock, *ids)
    env.api.usual = lambda: Completed(URL)
    await env.poll()

    assert {(await look_up(env.store, i)).delivery.state for i in ids} == {DeliveryState.DUE}
    assert env.changes == 1


async def test_bug_in_the_client_lets_the_next_probe_through(env: PollerEnv):
    """Otherwise the pause would last for ever."""
    await track(env.store, env.clock, "t1", "t2")
    env.api.answers.extend([KeyRefused("401"), LookupError("a bug")])
    await env.poll(slots=1)
    env.clock.advance(5 * MINUTE)
    with pytest.raises(LookupError):
        await env.poll()

    assert await env.poll() == 1


async def test_quarantined_task_is_polled_again_in_five_minutes(env: PollerEnv):
    """A bug of ours; the operator sees it."""
    await track(env.store, env.clock)
    claim = await env.poller.claim(1, env.clock())
    await env.poller.quarantine(claim.lease, claim.work[0], "KeyError: 1")

    assert await env.store.tasks.next_due() == env.clock() + 5 * MINUTE


async def test_long_poll_keeps_its_lease(env: PollerEnv):
    """The loop renews through the poller."""
    await track(env.store, env.clock)
    claim = await env.poller.claim(1, env.clock())
    env.clock.advance(LEASE_TIME - SECOND)
    await env.poller.renew([claim.lease], env.clock())

    assert await env.store.tasks.next_due() == env.clock() + LEASE_TIME


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (Waiting("queued"), "waiting"),
        (COMPLETED, "completed"),
        (Failed("nudity"), "failed"),
        (Doubtful(Doubt.UNKNOWN_ID), "unknown_id"),
        (Doubtful(Doubt.NO_VIDEO), "no_video"),
        (VideoApiUnavailable("502"), "no_answer"),
        (VideoApiThrottled("429"), "throttled"),
        (KeyRefused("401"), "key_refused"),
    ],
)
async def test_poll_counts_once_by_its_answer(env: PollerEnv, answer: Answer | Exception, label: str):
    """Every answer that the poller tells apart, and no other series moves."""
    await track(env.store, env.clock)
    env.api.answers.append(answer)
    await env.poll()

    polls = {each: counted(env.metrics, "veo_polls_total", answer=each) for each in PollAnswer}
    assert polls == {each: float(each == label) for each in PollAnswer}


async def test_pause_that_many_answers_ask_for_counts_once(env: PollerEnv):
    """Three 429 at once: the longest wish counts, and what a later pause adds."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.answers.extend(VideoApiThrottled("429", retry_after=wish) for wish in (20, 60, 30))
    await env.poll()
    assert counted(env.metrics, "veo_wait_seconds_total", limiter="video_api") == 60

    env.clock.advance(2 * MINUTE)
    env.api.answers.append(VideoApiThrottled("429", retry_after=10))
    await env.poll()

    assert counted(env.metrics, "veo_wait_seconds_total", limiter="video_api") == 70


async def test_late_429_does_not_count_the_pause_of_a_refused_key(env: PollerEnv):
    """The pause is for the key; no poll waits because of the throttling."""
    await track(env.store, env.clock, "t1", "t2")
    env.api.answers.extend([KeyRefused("401"), VideoApiThrottled("429", retry_after=600)])
    await env.poll()

    assert counted(env.metrics, "veo_wait_seconds_total", limiter="video_api") == 0


# -- the recorder ----------------------------------------------------------------------------------


class HeldQueue(TaskQueue):
    """Holds each recording until `go` is set, and may refuse it."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.batches: list[list[str]] = []

    async def record(self, outcomes: Sequence[PollOutcome], now: int) -> int:
        self.batches.append([outcome.task.id for outcome in outcomes])
        await self.go.wait()
        if self.error:
            raise self.error
        return 0


def ignore(outcomes: Sequence[PollOutcome]) -> None:
    """What is committed is no subject of these tests."""


def outcome(task_id: str) -> PollOutcome:
    return PollOutcome(make_task(id=task_id), 1, 0, StillWaiting(None, 0))


async def started(recorder: OutcomeRecorder, *ids: str) -> list[asyncio.Task[None]]:
    jobs = [asyncio.create_task(recorder.record(outcome(i))) for i in ids]
    for _ in range(3):
        await asyncio.sleep(0)
    return jobs


async def test_outcomes_that_come_during_a_transaction_share_the_next(clock: FakeClock):
    """The first is written at once, the others wait only for that."""
    queue = HeldQueue()
    recorder = OutcomeRecorder(queue, clock, ignore)
    jobs = await started(recorder, "a") + await started(recorder, "b", "c")
    assert queue.batches == [["a"]]
    queue.go.set()
    await asyncio.gather(*jobs)

    assert queue.batches == [["a"], ["b", "c"]]


async def test_failed_recording_reaches_every_job_that_waits_for_it(clock: FakeClock):
    """Each job must know that nothing was committed."""
    queue = HeldQueue()
    queue.error = StorageUnavailable("locked")
    recorder = OutcomeRecorder(queue, clock, ignore)
    jobs = await started(recorder, "a", "b") + await started(recorder, "c")
    queue.go.set()
    ends = await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(end) for end in ends] == [StorageUnavailable] * 3


async def test_recorder_goes_on_after_a_failure(clock: FakeClock):
    """The next outcome is a new attempt."""
    queue = HeldQueue()
    queue.go.set()
    queue.error = StorageUnavailable("locked")
    recorder = OutcomeRecorder(queue, clock, ignore)
    with pytest.raises(StorageUnavailable):
        await recorder.record(outcome("a"))
    queue.error = None
    await recorder.record(outcome("b"))

    assert queue.batches == [["a"], ["b"]]


@pytest.mark.parametrize("error", [None, StorageUnavailable("locked")])
async def test_cancelled_job_does_not_disturb_the_others_of_its_batch(
    clock: FakeClock, error: Exception | None
):
    """A stop cancels single polls."""
    queue = HeldQueue()
    queue.error = error
    recorder = OutcomeRecorder(queue, clock, ignore)
    first, second = await started(recorder, "a", "b")
    first.cancel()
    await asyncio.wait({first})
    queue.go.set()
    (end,) = await asyncio.gather(second, return_exceptions=True)

    assert first.cancelled()
    assert end is error
