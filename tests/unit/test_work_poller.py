"""The poller with a scripted API, over the real store."""

import asyncio
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from bot.core.answers import Answer, Completed, Doubt, Doubtful, Failed, Waiting
from bot.core.budget import RateBudget
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.errors import (
    KeyRefused,
    StorageUnavailable,
    TryLater,
    VideoApiThrottled,
    VideoApiUnavailable,
)
from bot.core.meter import PollAnswer
from bot.core.tasks import Claim, DeliveryState, TaskState, TrackedTask
from bot.core.trouble import TroubleKind
from bot.core.verdicts import PollOutcome, PollRules, StillWaiting
from bot.ops.counters import PrometheusMeter
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import TaskQueue
from bot.work.pacing import ApiGate
from bot.work.poller import OutcomeRecorder, Poller
from tests.counted import counted
from tests.factories import COMPLETED, TASK, URL, look_up, make_task, track
from tests.timing import FakeClock

INTERVAL = 30 * SECOND
RULES = PollRules(INTERVAL, 6 * HOUR)


class ScriptedApi:
    """Says what a test put on its list, then `usual`; remembers who was asked about, and when."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answers: deque[Answer | Exception] = deque()
        self.usual: Callable[[], Answer | Exception] = lambda: Waiting("queued")
        self.asked: defaultdict[str, list[int]] = defaultdict(list)
        self.held: asyncio.Event | None = None

    async def ask(self, task_id: str) -> Answer:
        self.asked[task_id].append(self._clock())
        if self.held:
            await self.held.wait()
        answer = self.answers.popleft() if self.answers else self.usual()
        if isinstance(answer, Exception):
            raise answer
        return answer


class CountingQueue:
    """The real queue, counting its recording transactions."""

    def __init__(self, queue: TaskQueue) -> None:
        self.queue = queue
        self.batches: list[int] = []
        self.claim, self.postpone, self.renew = queue.claim, queue.postpone, queue.renew
        self.next_due = queue.next_due

    async def record(self, outcomes: Sequence[PollOutcome], now: int) -> int:
        self.batches.append(len(outcomes))
        return await self.queue.record(outcomes, now)


@dataclass
class Desk:
    """A poller with everything around it."""

    store: Store
    clock: FakeClock
    rate: float = 1000
    changes: int = 0
    meter: PrometheusMeter = field(default_factory=PrometheusMeter)
    api: ScriptedApi = field(init=False)
    queue: CountingQueue = field(init=False)
    gate: ApiGate = field(init=False)
    poller: Poller = field(init=False)

    def __post_init__(self) -> None:
        self.api = ScriptedApi(self.clock)
        self.queue = CountingQueue(self.store.tasks)
        self.gate = ApiGate(self.store.facts, self.clock)
        self.poller = Poller(
            api=self.api,
            tasks=self.queue,
            gate=self.gate,
            budget=RateBudget(self.rate, self.clock),
            rules=RULES,
            clock=self.clock,
            on_change=self._changed,
            meter=self.meter,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def poll(self, room: int = 1000) -> int:
        """One round: ask about all that is due; returns about how many."""
        claim = await self.poller.claim(room)
        await asyncio.gather(*(self.poller.handle(claim.lease, task) for task in claim.work))
        return len(claim.work)


@pytest.fixture
def desk(store: Store, clock: FakeClock) -> Desk:
    return Desk(store, clock)


async def test_new_task_is_asked_about_at_once(desk: Desk):
    """The video may be there already."""
    await track(desk.store, desk.clock)
    await desk.poll()

    assert desk.api.asked == {TASK: [desk.clock()]}


@pytest.mark.parametrize(
    ("answer", "state", "due"),
    [
        (COMPLETED, "completed", "due"),
        (Failed("nudity"), "failed", "due"),
        (Waiting("queued"), "waiting", "open"),
    ],
)
async def test_answer_is_recorded_and_told(desk: Desk, answer: Answer, state: str, due: str):
    """Committed when the handling ends; then the deliverer and the card keeper are woken."""
    await track(desk.store, desk.clock)
    desk.api.answers.append(answer)
    await desk.poll()

    seen = await look_up(desk.store)
    assert (seen.task.state, seen.delivery.state) == (state, due)
    assert desk.changes == 1


async def test_same_word_again_wakes_nobody(desk: Desk):
    """Nothing to redraw."""
    await track(desk.store, desk.clock)
    for _ in range(3):
        await desk.poll()
        desk.clock.advance(INTERVAL)

    assert desk.changes == 1
    assert len(desk.api.asked[TASK]) == 3


async def test_silence_plans_a_later_question_and_wakes_nobody(desk: Desk):
    """The world is in the way of this one task."""
    await track(desk.store, desk.clock)
    desk.api.answers.append(VideoApiUnavailable("502"))
    await desk.poll()

    task = (await look_up(desk.store)).task
    assert (task.state, task.attempt) == (TaskState.WAITING, 1)
    assert task.due_at is not None
    assert task.due_at >= desk.clock() + INTERVAL
    assert desk.changes == 0


async def test_unknown_id_is_lost_after_two_questions(desk: Desk):
    """A typing mistake, told within a minute."""
    await track(desk.store, desk.clock)
    desk.api.usual = lambda: Doubtful(Doubt.UNKNOWN_ID)
    await desk.poll()
    assert (await look_up(desk.store)).task.word == "unknown id"
    desk.clock.advance(INTERVAL)
    await desk.poll()

    assert (await look_up(desk.store)).task.state is TaskState.LOST


@pytest.mark.parametrize(
    ("error", "pause", "kind"),
    [
        (KeyRefused("401"), 5 * MINUTE, TroubleKind.KEY_REFUSED),
        (VideoApiThrottled("429", retry_after=90), 90 * SECOND, TroubleKind.THROTTLED),
        (VideoApiThrottled("429"), 30 * SECOND, TroubleKind.THROTTLED),
    ],
    ids=["key", "throttled", "throttled without a time"],
)
async def test_trouble_with_our_key_pauses_everybody(
    desk: Desk, error: TryLater, pause: int, kind: TroubleKind
):
    """It concerns every task, and costs none of them an attempt."""
    await track(desk.store, desk.clock, "t1", "t2")
    await desk.poll(room=1)
    desk.api.answers.append(error)
    await desk.poll(room=1)
    await track(desk.store, desk.clock, "t3")

    desk.clock.advance(pause - 1)
    assert await desk.poll() == 0
    assert await desk.poller.next_due() == desk.clock() + 1
    assert desk.gate.trouble
    assert desk.gate.trouble.kind is kind
    for task_id in ("t1", "t2", "t3"):
        task = (await look_up(desk.store, task_id)).task
        assert (task.state, task.attempt, task.doubts) == (TaskState.WAITING, 0, 0)


async def test_trouble_does_not_count_against_the_deadline_while_it_lasts(desk: Desk):
    """A key that is wrong for a day loses no task."""
    await track(desk.store, desk.clock)
    desk.api.usual = lambda: KeyRefused("401")
    for _ in range(3):
        await desk.poll()
        desk.clock.advance(8 * HOUR)

    assert (await look_up(desk.store)).task.state is TaskState.WAITING


async def test_after_a_pause_one_task_asks_for_all(desk: Desk):
    """A thousand questions with a wrong key would be rude."""
    await track(desk.store, desk.clock, "t1", "t2", "t3")
    desk.api.answers.append(KeyRefused("401"))
    await desk.poll(room=1)
    desk.clock.advance(5 * MINUTE)
    desk.api.held = asyncio.Event()
    claim = await desk.poller.claim(1000)
    assert len(claim.work) == 1
    probe = asyncio.create_task(desk.poller.handle(claim.lease, claim.work[0]))
    assert await desk.poll() == 0
    desk.api.held.set()
    await probe

    assert desk.gate.trouble is None
    assert await desk.poll() == 2


async def test_probe_that_fails_keeps_the_gate_half_closed(desk: Desk):
    """An API that is down has not accepted the key."""
    await track(desk.store, desk.clock, "t1", "t2", "t3")
    desk.api.answers.extend([VideoApiThrottled("429", retry_after=60), VideoApiUnavailable("502")])
    await desk.poll(room=1)
    desk.clock.advance(MINUTE)

    assert [await desk.poll(), await desk.poll()] == [1, 1]
    assert desk.gate.trouble is None


async def test_budget_bounds_the_questions_of_a_second(store: Store, clock: FakeClock):
    """POLL_RATE, over all tasks."""
    desk = Desk(store, clock, rate=3)
    await track(store, clock, *(f"t{n}" for n in range(8)))

    rounds = []
    for _ in range(4):
        rounds.append(await desk.poll())
        clock.advance(SECOND)

    assert rounds == [3, 3, 2, 0]


async def test_next_question_waits_for_the_budget(store: Store, clock: FakeClock):
    """The loop sleeps until one may be asked."""
    desk = Desk(store, clock, rate=1)
    await track(store, clock, "t1", "t2")
    await desk.poll()

    assert await desk.poller.next_due() == clock() + SECOND
    assert await desk.poll() == 0


async def test_nothing_tracked_means_nothing_due(desk: Desk):
    """The loop sleeps its longest sleep."""
    assert await desk.poller.next_due() is None
    assert await desk.poll() == 0


@pytest.mark.parametrize("seed", range(3))
async def test_no_task_is_ever_asked_faster_than_the_interval(store: Store, clock: FakeClock, seed: int):
    """An hour with every kind of answer: the API's rule holds for each task, whatever comes back."""
    chance = random.Random(seed)
    desk = Desk(store, clock)
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
    desk.api.usual = lambda: chance.choices(answers, weights)[0]
    ids = [f"t{n}" for n in range(5)]
    await track(store, clock, *ids)
    end = clock() + HOUR
    while clock() < end:
        asked = await desk.poll()
        due = await desk.poller.next_due()
        assert due is not None
        clock.now = max(due, clock() + (0 if asked else 1))
        if chance.random() < 0.02:  # a restart in between
            await store.tasks.claim(2, clock())
            await store.take_over(clock())

    gaps = {b - a for times in desk.api.asked.values() for a, b in itertools.pairwise(times)}
    assert set(desk.api.asked) == set(ids)
    assert min(gaps) >= INTERVAL
    assert len(gaps) > 3


async def test_quiet_task_is_asked_exactly_each_interval(desk: Desk):
    """The person who waits is not kept waiting longer."""
    await track(desk.store, desk.clock)
    start = desk.clock()
    while desk.clock() < start + 15 * MINUTE:
        await desk.poll()
        due = await desk.poller.next_due()
        assert due is not None
        desk.clock.now = due

    assert desk.api.asked[TASK] == list(range(start, start + 15 * MINUTE, INTERVAL))


async def test_many_due_tasks_are_recorded_in_few_transactions(desk: Desk):
    """A commit costs a disk's fsync: 200 answers that come in together share two or so."""
    for channel in range(10):
        ids = (f"t{channel}_{n}" for n in range(20))
        await track(desk.store, desk.clock, *ids, channel=channel, by=channel)

    assert await desk.poll() == 200
    assert sum(desk.queue.batches) == 200
    assert len(desk.queue.batches) <= 3


async def test_deliveries_of_a_polled_batch_are_all_due(desk: Desk):
    """Nothing is lost in a batch."""
    ids = [f"t{n}" for n in range(20)]
    await track(desk.store, desk.clock, *ids)
    desk.api.usual = lambda: Completed(URL)
    await desk.poll()

    assert {(await look_up(desk.store, i)).delivery.state for i in ids} == {DeliveryState.DUE}
    assert desk.changes == 1


async def test_bug_in_the_client_frees_the_probes_place(desk: Desk):
    """Otherwise a gate in trouble would stay closed for ever."""
    await track(desk.store, desk.clock, "t1", "t2")
    desk.api.answers.extend([KeyRefused("401"), LookupError("a bug")])
    await desk.poll(room=1)
    desk.clock.advance(5 * MINUTE)
    with pytest.raises(LookupError):
        await desk.poll()

    assert await desk.poll() == 1


async def test_task_set_aside_is_asked_again_in_five_minutes(desk: Desk):
    """A bug of ours; the operator sees it."""
    await track(desk.store, desk.clock)
    claim = await desk.poller.claim(1)
    await desk.poller.set_aside(claim.lease, claim.work[0], "KeyError: 1")

    assert await desk.store.tasks.next_due() == desk.clock() + 5 * MINUTE


async def test_long_question_keeps_its_lease(desk: Desk):
    """The loop renews by the poller."""
    await track(desk.store, desk.clock)
    claim = await desk.poller.claim(1)
    desk.clock.advance(LEASE_TIME - SECOND)
    await desk.poller.renew([claim.lease])

    assert await desk.store.tasks.next_due() == desk.clock() + LEASE_TIME


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
async def test_question_counts_once_by_its_answer(desk: Desk, answer: Answer | Exception, label: str):
    """Every answer that the poller tells apart, and no other series moves."""
    await track(desk.store, desk.clock)
    desk.api.answers.append(answer)
    await desk.poll()

    polls = {each: counted(desk.meter, "veo_polls_total", answer=each) for each in PollAnswer}
    assert polls == {each: float(each == label) for each in PollAnswer}


async def test_pause_that_many_answers_ask_for_counts_once(desk: Desk):
    """Three are told to slow down at once; the longest wish counts, and what a later pause adds."""
    await track(desk.store, desk.clock, "t1", "t2", "t3")
    desk.api.answers.extend(VideoApiThrottled("429", retry_after=wish) for wish in (20, 60, 30))
    await desk.poll()
    assert counted(desk.meter, "veo_wait_seconds_total", limiter="video_api") == 60

    desk.clock.advance(2 * MINUTE)
    desk.api.answers.append(VideoApiThrottled("429", retry_after=10))
    await desk.poll()

    assert counted(desk.meter, "veo_wait_seconds_total", limiter="video_api") == 70


async def test_late_429_does_not_count_the_pause_of_a_refused_key(desk: Desk):
    """The gate is closed for the key; nobody waits because of the API's throttling."""
    await track(desk.store, desk.clock, "t1", "t2")
    desk.api.answers.extend([KeyRefused("401"), VideoApiThrottled("429", retry_after=600)])
    await desk.poll()

    assert counted(desk.meter, "veo_wait_seconds_total", limiter="video_api") == 0


# -- the recorder ----------------------------------------------------------------------------------


class StubbornQueue:
    """Holds each recording until told, and may refuse it."""

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

    async def claim(self, limit: int, now: int) -> Claim[TrackedTask]:
        return Claim(0, ())

    async def postpone(self, task_id: str, lease: int, due_at: int, *, set_aside: str | None = None) -> bool:
        return False

    async def next_due(self) -> int | None:
        return None

    async def renew(self, leases: Iterable[int], now: int) -> None:
        return None


def outcome(task_id: str, word: str | None = None) -> PollOutcome:
    return PollOutcome(make_task(id=task_id), 1, 0, StillWaiting(word, 0))


async def started(recorder: OutcomeRecorder, *ids: str) -> list[asyncio.Task[None]]:
    jobs = [asyncio.create_task(recorder.record(outcome(i))) for i in ids]
    for _ in range(3):
        await asyncio.sleep(0)
    return jobs


async def test_outcomes_that_come_during_a_transaction_share_the_next(clock: FakeClock):
    """The first is written at once, the others wait only for that."""
    queue = StubbornQueue()
    recorder = OutcomeRecorder(queue, clock, lambda: None)
    jobs = await started(recorder, "a") + await started(recorder, "b", "c")
    assert queue.batches == [["a"]]
    queue.go.set()
    await asyncio.gather(*jobs)

    assert queue.batches == [["a"], ["b", "c"]]


async def test_failed_recording_reaches_everybody_who_waits_for_it(clock: FakeClock):
    """Each job must know that nothing was committed."""
    queue = StubbornQueue()
    queue.error = StorageUnavailable("locked")
    recorder = OutcomeRecorder(queue, clock, lambda: None)
    jobs = await started(recorder, "a", "b") + await started(recorder, "c")
    queue.go.set()
    ends = await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(end) for end in ends] == [StorageUnavailable] * 3


async def test_recorder_goes_on_after_a_failure(clock: FakeClock):
    """The next outcome is a new attempt."""
    queue = StubbornQueue()
    queue.go.set()
    queue.error = StorageUnavailable("locked")
    recorder = OutcomeRecorder(queue, clock, lambda: None)
    with pytest.raises(StorageUnavailable):
        await recorder.record(outcome("a"))
    queue.error = None
    await recorder.record(outcome("b"))

    assert queue.batches == [["a"], ["b"]]


@pytest.mark.parametrize("error", [None, StorageUnavailable("locked")])
async def test_cancelled_job_does_not_disturb_the_others_of_its_batch(
    clock: FakeClock, error: Exception | None
):
    """A stop cancels single questions."""
    queue = StubbornQueue()
    queue.error = error
    recorder = OutcomeRecorder(queue, clock, lambda: None)
    first, second = await started(recorder, "a", "b")
    first.cancel()
    await asyncio.wait({first})
    queue.go.set()
    (end,) = await asyncio.gather(second, return_exceptions=True)

    assert first.cancelled()
    assert end is error
