"""The poller with a scripted API and the real store."""

import asyncio
import itertools
import logging
import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.errors import StorageUnavailable
from bot.core.problems import Problem, ProblemCode
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.tasks import DeliveryState, Doubt, TaskState, TrackedTask
from bot.core.verdicts import PollOutcome, PollRules
from bot.metrics import Metrics
from bot.storage.engine import Database
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import OutcomeRecorder, TaskQueue
from bot.work.api_pause import ApiPause
from bot.work.poller import Poller
from tests.counted import counted
from tests.factories import (
    CHANNEL,
    COMPLETED,
    LOST,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    URL,
    look_up,
    make_task,
    make_waiting,
    track,
)
from tests.timing import FakeClock

INTERVAL = 30 * SECOND
RULES = PollRules(INTERVAL, 6 * HOUR)
QUEUED = Answer(AnswerKind.WAITING, "queued")
FAILED = Answer(AnswerKind.FAILED, "failed", words="nudity")
UNKNOWN = Answer(AnswerKind.UNKNOWN_ID, words="task not exist", where="HTTP 200, code 1: task not exist")
NOT_FOUND = Answer(AnswerKind.NOT_FOUND, where="HTTP 404: Not Found")
SILENCE = Answer(AnswerKind.SILENCE, where="no answer (TimeoutError)")
ERROR = Answer(AnswerKind.ERROR, where="HTTP 502: a web page")
FORBIDDEN = Answer(
    AnswerKind.ERROR,
    words="You do not have access to this task",
    where="HTTP 403: You do not have access to this task",
)
REFUSED = Answer(AnswerKind.KEY_REFUSED, words="invalid api key", where="HTTP 401: invalid api key")


def throttled(retry_after: float | None = None) -> Answer:
    return Answer(AnswerKind.THROTTLED, retry_after=retry_after, where="HTTP 429: slow down")


class ScriptedApi:
    """Answers from a test's list, then with its answer about that id, then with `usual`.

    Records when each task was polled. An exception stands for a bug of ours: the client never raises.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answers: deque[Answer | Exception] = deque()
        self.about: dict[str, Answer] = {}
        self.usual: Callable[[], Answer] = lambda: QUEUED
        self.polls: defaultdict[str, list[int]] = defaultdict(list)
        self.held: asyncio.Event | None = None

    async def poll(self, task_id: str) -> Answer:
        self.polls[task_id].append(self._clock())
        if self.held:
            await self.held.wait()
        usual = self.about.get(task_id) or self.usual()
        answer = self.answers.popleft() if self.answers else usual
        if isinstance(answer, Exception):
            raise answer
        return answer


class CountingQueue(TaskQueue):
    """The real queue, which also counts the transactions that record."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, lease_time=LEASE_TIME, interval=INTERVAL)
        self.batches: list[int] = []

    async def record(self, outcomes: Sequence[PollOutcome], now: int) -> int:
        self.batches.append(len(outcomes))
        return await super().record(outcomes, now)


@dataclass
class PollerEnv:
    """A poller and all its dependencies."""

    store: Store
    clock: FakeClock
    rate: float = 1000
    changes: int = 0
    cards: int = 0
    metrics: Metrics = field(default_factory=Metrics)
    api: ScriptedApi = field(init=False)
    queue: CountingQueue = field(init=False)
    pause: ApiPause = field(init=False)
    poller: Poller = field(init=False)

    def __post_init__(self) -> None:
        self.api = ScriptedApi(self.clock)
        self.queue = CountingQueue(self.store.database)
        self.pause = ApiPause(
            self.store.key_values, self.queue, self.clock, interval=INTERVAL, on_cards=self._cards_changed
        )
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

    def _cards_changed(self) -> None:
        self.cards += 1

    async def poll(self, slots: int = 1000) -> int:
        """One round: poll all due tasks; returns how many."""
        claim = await self.poller.claim(slots, self.clock())
        await asyncio.gather(*(self.poller.handle(claim.lease, task) for task in claim.work))
        return len(claim.work)

    async def run_for(self, span: int) -> None:
        """Poll due tasks, as the loop does, until `span` milliseconds have passed."""
        end = self.clock() + span
        while self.clock() < end:
            polled = await self.poll()
            due = await self.poller.next_due()
            now = self.clock() + (0 if polled else SECOND)
            self.clock.now = end if due is None else min(end, max(due, now))

    async def task(self, task_id: str = TASK, channel: int = CHANNEL) -> TrackedTask:
        return (await look_up(self.store, task_id, channel)).task


@pytest.fixture
def env(store: Store, clock: FakeClock) -> PollerEnv:
    return PollerEnv(store, clock)


async def test_new_task_is_polled_at_once(env: PollerEnv):
    """Its video may already exist."""
    await track(env.store, env.clock)
    await env.poll()

    assert env.api.polls == {TASK: [env.clock()]}


async def test_clock_that_jumps_after_the_claim_delays_no_poll(env: PollerEnv):
    """Whether the lease lives is told by a clock that nobody sets."""
    await track(env.store, env.clock)
    claim = await env.poller.claim(1, env.clock())
    env.clock.advance(HOUR)
    await env.poller.handle(claim.lease, claim.work[0])

    assert env.api.polls == {TASK: [env.clock()]}


async def test_end_of_a_task_is_stored_with_how_long_the_api_took(env: PollerEnv):
    """The model and the creation come with an early answer, and the last one need not repeat them."""
    await track(env.store, env.clock)
    env.api.answers += [replace(QUEUED, model="veo3.1", created=env.clock() - MINUTE), QUEUED, COMPLETED]
    await env.run_for(3 * INTERVAL)

    task = await env.task()
    assert (task.state, task.model, task.created) == ("completed", "veo3.1", task.registered_at - MINUTE)
    assert task.took == MINUTE + 2 * INTERVAL


async def test_end_that_came_while_the_bot_was_stopped_is_stored_without_how_long_it_took(env: PollerEnv):
    """The claim writes the time of the poll before the API is polled; what counts is the last answer."""
    await track(env.store, env.clock)
    env.api.answers += [replace(QUEUED, created=env.clock() - MINUTE), COMPLETED]
    await env.poll()
    env.clock.advance(INTERVAL)
    await env.poller.claim(1, env.clock())  # stopped before the answer came
    env.clock.advance(2 * INTERVAL)
    await env.poll()

    task = await env.task()
    assert (task.state, task.took) == ("completed", None)


@pytest.mark.parametrize(
    ("answer", "state", "due"),
    [
        (COMPLETED, "completed", "due"),
        (FAILED, "failed", "due"),
        (QUEUED, "waiting", "open"),
    ],
)
async def test_answer_is_recorded_and_wakes_the_other_loops(
    env: PollerEnv, answer: Answer, state: str, due: str
):
    """Recorded first; then the deliverer and the card updater are woken."""
    await track(env.store, env.clock)
    env.api.answers.append(answer)
    await env.poll()

    seen = await look_up(env.store)
    assert (seen.task.state, seen.delivery.state) == (state, due)
    assert env.changes == 1


async def test_same_status_again_edits_no_card(env: PollerEnv):
    await track(env.store, env.clock)
    for _ in range(3):
        await env.poll()
        env.clock.advance(INTERVAL)

    assert env.changes == 1
    assert len(env.api.polls[TASK]) == 3


async def test_silence_delays_the_next_poll_and_edits_no_card(env: PollerEnv):
    """It concerns only this task."""
    await track(env.store, env.clock)
    env.api.answers.append(SILENCE)
    await env.poll()

    task = (await look_up(env.store)).task
    assert (task.state, task.attempt) == (TaskState.WAITING, 1)
    assert task.due_at is not None
    assert task.due_at >= env.clock() + INTERVAL
    assert env.changes == 0


async def test_unknown_id_is_lost_after_six_intervals(env: PollerEnv):
    """The card shows it at once; the API may not know a new id for a minute or two."""
    await track(env.store, env.clock)
    env.api.usual = lambda: UNKNOWN
    await env.poll()
    assert (await env.task()).doubt is Doubt.UNKNOWN_ID
    assert env.changes == 1
    start = env.clock()
    await env.run_for(HOUR)

    task = await env.task()
    assert (task.state, task.finished_at) == (TaskState.LOST, start + 6 * INTERVAL)
    assert task.cause == Problem(ProblemCode.UNKNOWN_ID).to_text()


@pytest.mark.parametrize("trouble", [ERROR, NOT_FOUND, SILENCE, REFUSED, throttled()], ids=lambda a: a.kind)
async def test_api_trouble_loses_no_task(env: PollerEnv, trouble: Answer):
    """Two hours of it, for an id that was answered before and for a new one; then both complete."""
    await track(env.store, env.clock, "known")
    await env.poll()
    await track(env.store, env.clock, "new")
    env.api.usual = lambda: trouble
    await env.run_for(2 * HOUR)
    env.api.usual = lambda: COMPLETED
    await env.run_for(10 * MINUTE)

    assert {(await env.task(i)).state for i in ("known", "new")} == {TaskState.COMPLETED}


# -- trouble with one id, or with the API -------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False], ids=["tracked first", "tracked last"])
@pytest.mark.parametrize("refusal", [FORBIDDEN, REFUSED], ids=["403", "401 with words about the key"])
async def test_forbidden_ids_do_not_slow_down_other_ids(env: PollerEnv, refusal: Answer, first: bool):
    """Twenty of one user; the id of another user is polled every interval."""
    if first:
        await track(env.store, env.clock, "good", channel=OTHER_CHANNEL, by=STRANGER)
    await track(env.store, env.clock, *(f"bad{n}" for n in range(20)), by=OWNER)
    if not first:
        await track(env.store, env.clock, "good", channel=OTHER_CHANNEL, by=STRANGER)
    env.api.about["good"] = QUEUED
    env.api.usual = lambda: refusal
    start = env.clock()
    await env.run_for(15 * MINUTE)

    assert env.api.polls["good"] == list(range(start, start + 15 * MINUTE, INTERVAL))
    assert env.pause.state is None


async def test_forbidden_id_is_lost_with_the_words_of_the_api(env: PollerEnv):
    """After 60 intervals. The card shows it after ten, and the others go on."""
    await track(env.store, env.clock, "bad", "good")
    env.api.about["good"] = QUEUED
    env.api.usual = lambda: FORBIDDEN
    await env.run_for(12 * MINUTE)
    shown = await env.task("bad")
    await env.run_for(HOUR)

    assert (shown.state, shown.trouble, shown.words) == (TaskState.WAITING, "refused", FORBIDDEN.words)
    lost = await env.task("bad")
    assert (lost.state, lost.reason) == (TaskState.LOST, FORBIDDEN.words)
    assert lost.cause == Problem(ProblemCode.REFUSED_ID).to_text()
    assert (await env.task("good")).state is TaskState.WAITING


async def test_answer_clears_the_doubt_about_a_forbidden_id(env: PollerEnv):
    await track(env.store, env.clock, "bad", "good")
    env.api.about["bad"] = FORBIDDEN
    await env.run_for(12 * MINUTE)
    env.api.about["bad"] = QUEUED
    await env.run_for(10 * MINUTE)

    task = await env.task("bad")
    assert (task.doubt, task.trouble, task.words, task.attempt) == (None, None, None, 0)


async def test_known_ids_that_are_all_unknown_at_once_are_not_lost(env: PollerEnv):
    """The API lost its data, or another server answers; three hours later it knows them again."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    await env.poll()
    env.api.usual = lambda: UNKNOWN
    await env.run_for(3 * HOUR)
    waiting = [await env.task(i) for i in ("t1", "t2", "t3")]
    env.api.usual = lambda: COMPLETED
    await env.run_for(MINUTE)

    assert {(task.state, task.doubt) for task in waiting} == {(TaskState.WAITING, Doubt.UNKNOWN_ID)}
    assert {(await env.task(i)).state for i in ("t1", "t2", "t3")} == {TaskState.COMPLETED}


async def test_known_id_that_is_unknown_while_another_is_answered_is_lost(env: PollerEnv):
    """After 60 intervals."""
    await track(env.store, env.clock, "gone", "good")
    await env.poll()
    env.api.about["gone"] = UNKNOWN
    await env.run_for(29 * MINUTE)
    assert (await env.task("gone")).state is TaskState.WAITING
    await env.run_for(10 * MINUTE)

    lost = await env.task("gone")
    assert (lost.state, lost.cause) == (TaskState.LOST, Problem(ProblemCode.FORGOTTEN_ID).to_text())


async def test_bare_404_for_every_id_warns_about_the_address_and_ends_no_task(
    env: PollerEnv, caplog: pytest.LogCaptureFixture
):
    """The operator is warned at once and after an hour that the address may be wrong."""
    await track(env.store, env.clock, "t1", "t2")
    env.api.usual = lambda: NOT_FOUND
    await env.poll()
    assert [(r.levelname, "perhaps VEO_API_URL is wrong" in r.message) for r in warnings_of(caplog)] == [
        ("WARNING", True)
    ]
    assert {(await env.task(i)).doubt for i in ("t1", "t2")} == {Doubt.NOT_FOUND}
    await env.run_for(5 * HOUR)

    assert {(await env.task(i)).state for i in ("t1", "t2")} == {TaskState.WAITING}
    assert [(r.levelname, "perhaps VEO_API_URL is wrong" in r.message) for r in warnings_of(caplog)] == [
        ("WARNING", True),
        ("ERROR", True),
    ]


async def test_bare_404_about_one_id_loses_that_id_without_a_warning(
    env: PollerEnv, caplog: pytest.LogCaptureFixture
):
    """Another id is answered, so the address is right."""
    await track(env.store, env.clock, "typo", "good")
    env.api.about["typo"] = NOT_FOUND
    await env.run_for(10 * MINUTE)

    task = await env.task("typo")
    assert (task.state, task.cause) == (TaskState.LOST, LOST.cause.to_text() if LOST.cause else None)
    assert len(warnings_of(caplog)) <= 2


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


# -- log lines for the operator -------------------------------------------------------------------------


async def test_same_unreadable_reply_for_an_hour_is_logged_twice(
    env: PollerEnv, caplog: pytest.LogCaptureFixture
):
    """One warning when it begins, one ERROR after an hour, although each reply holds another number."""
    numbers = itertools.count()
    await track(env.store, env.clock, "t1", "t2")
    env.api.usual = lambda: Answer(AnswerKind.ERROR, where=f"HTTP 200: trace {next(numbers):08x} <odd>")
    await env.run_for(59 * MINUTE)
    assert [record.levelname for record in warnings_of(caplog)] == ["WARNING"]
    await env.run_for(3 * HOUR)

    first, error = warnings_of(caplog)
    assert (first.levelname, error.levelname) == ("WARNING", "ERROR")
    assert "<odd>" in error.message


async def test_hour_of_unreadable_replies_starts_again_after_an_answer(
    env: PollerEnv, caplog: pytest.LogCaptureFixture
):
    """Repeated short trouble is not long trouble."""
    await track(env.store, env.clock)
    for _ in range(3):
        env.api.usual = lambda: ERROR
        await env.run_for(40 * MINUTE)
        env.api.usual = lambda: QUEUED
        await env.run_for(10 * MINUTE)

    assert {record.levelname for record in warnings_of(caplog)} == {"WARNING"}


async def pause_of(env: PollerEnv) -> PauseReason | None:
    """The stored reason of the API pause."""
    stored = await env.store.key_values.get(API_PAUSE_KEY)
    return None if stored is None else PauseState.from_text(stored).reason


# -- the API pause --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "length", "reason"),
    [
        (REFUSED, INTERVAL, PauseReason.KEY_REFUSED),
        (throttled(90), 90 * SECOND, PauseReason.THROTTLED),
        (throttled(1), INTERVAL, PauseReason.THROTTLED),
        (throttled(), INTERVAL, PauseReason.THROTTLED),
        (throttled(7200), 10 * MINUTE, PauseReason.THROTTLED),
    ],
    ids=["key", "throttled", "for less than an interval", "without a time", "for hours"],
)
async def test_trouble_of_two_ids_pauses_all_polls(
    env: PollerEnv, answer: Answer, length: int, reason: PauseReason
):
    """No poll was accepted between them, so it concerns every task. At most ten minutes."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.answers.extend([answer, answer])
    await env.poll(slots=1)
    assert await pause_of(env) is None
    await env.poll(slots=1)
    assert await pause_of(env) is reason

    env.clock.advance(length - 1)
    assert await env.poll() == 0
    assert await env.poller.next_due() == env.clock() + 1
    env.clock.advance(1)
    assert await env.poll() == 1


@pytest.mark.parametrize("answer", [REFUSED, throttled(90)], ids=lambda answer: answer.kind)
async def test_trouble_of_two_ids_with_one_accepted_between_does_not_pause(env: PollerEnv, answer: Answer):
    """The key is right, and the API has capacity."""
    await track(env.store, env.clock, "t1", "t2", "t3", "t4")
    env.api.answers.extend([answer, QUEUED, answer])
    for _ in range(3):
        await env.poll(slots=1)

    assert env.pause.state is None
    assert await env.poll() == 1


async def test_refused_key_for_the_only_id_pauses(env: PollerEnv):
    """There is no other id to compare with."""
    await track(env.store, env.clock)
    env.api.answers.append(REFUSED)
    await env.poll()

    assert env.pause.state
    assert env.pause.state.until == env.clock() + INTERVAL


async def test_429_about_one_id_delays_that_id_alone(env: PollerEnv):
    """As long as the API asks, at most ten minutes."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.about = {"t1": throttled(120), "t2": QUEUED, "t3": QUEUED}
    start = env.clock()
    await env.run_for(5 * MINUTE)

    assert env.api.polls["t1"] == [start, start + 2 * MINUTE, start + 4 * MINUTE]
    assert env.api.polls["t2"] == list(range(start, start + 5 * MINUTE, INTERVAL))


async def test_probe_is_about_the_id_that_was_answered_last(env: PollerEnv):
    """Its id is known to be good, so a refusal must concern the key."""
    await track(env.store, env.clock, "t1", "t2", "t3", "t4")
    env.api.about = dict.fromkeys(("t1", "t2", "t4"), FORBIDDEN) | {"t3": QUEUED}
    await env.poll()
    env.api.about = {}
    env.clock.advance(MINUTE)
    env.api.usual = lambda: REFUSED
    await env.poll()
    assert env.pause.state
    polls_before = {task_id: len(times) for task_id, times in env.api.polls.items()}
    await env.run_for(20 * MINUTE)

    polled = {i for i, times in env.api.polls.items() if len(times) > polls_before[i]}
    assert polled == {"t3"}


async def test_probe_of_an_old_task_does_not_wait_for_its_long_interval(env: PollerEnv):
    """It is polled every five minutes, and the pause must not last that long."""
    await track(env.store, env.clock, "old")
    env.api.about["old"] = QUEUED
    await env.run_for(3 * HOUR)
    last = env.api.polls["old"][-1]
    env.clock.now = last + MINUTE
    await track(env.store, env.clock, "bad1", "bad2", channel=OTHER_CHANNEL, by=STRANGER)
    env.api.usual = lambda: REFUSED
    await env.poll()
    assert env.pause.state
    await env.run_for(2 * INTERVAL)

    assert env.pause.state is None


async def test_probe_is_none_of_the_refused_ids_while_there_is_another(env: PollerEnv):
    """After a restart no id is known to be good, so one without a refusal is polled first."""
    await track(env.store, env.clock, "bad", "good")
    env.api.about = {"bad": REFUSED, "good": QUEUED}
    await env.run_for(5 * MINUTE)
    again = PollerEnv(env.store, env.clock)
    again.api.about = dict(env.api.about)
    again.pause.state = PauseState(PauseReason.KEY_REFUSED, env.clock(), env.clock())
    env.clock.advance(10 * MINUTE)
    await again.poll()

    assert list(again.api.polls) == ["good"]
    assert again.pause.state is None


async def test_pause_doubles_to_five_minutes_and_not_beyond(env: PollerEnv):
    """One poll at a time while the key is refused; no task is lost."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.usual = lambda: REFUSED
    start = env.clock()
    await env.poll(slots=1)
    await env.poll(slots=1)
    await env.run_for(HOUR)

    times = sorted(itertools.chain(*env.api.polls.values()))
    gaps = [(later - earlier) / SECOND for earlier, later in itertools.pairwise(times[1:])]
    assert times[:2] == [start, start]
    assert gaps[:6] == [30, 60, 120, 240, 300, 300]
    assert set(gaps[4:]) == {300}
    assert {(await env.task(i)).state for i in ("t1", "t2", "t3")} == {TaskState.WAITING}


async def test_pause_that_a_wrong_clock_set_ends_when_the_clock_is_right(env: PollerEnv):
    """The clock was an hour ahead for one round."""
    await track(env.store, env.clock, "t1", "t2")
    right = env.clock()
    env.clock.advance(HOUR)
    env.api.answers.extend([REFUSED, REFUSED])
    await env.poll()
    assert await pause_of(env) is PauseReason.KEY_REFUSED
    env.clock.now = right + SECOND
    await env.poller.pull_back(env.clock())
    await env.run_for(2 * MINUTE)

    assert await pause_of(env) is None
    assert min(len(times) for times in env.api.polls.values()) >= 2


async def test_wrong_clock_for_one_poll_delays_no_later_poll(env: PollerEnv):
    """The clock was an hour ahead; the loop pulls the planned poll back."""
    await track(env.store, env.clock)
    right = env.clock()
    env.clock.advance(HOUR)
    await env.poll()
    env.clock.now = right + INTERVAL
    assert await env.poll() == 0

    assert await env.poller.pull_back(env.clock()) == 1
    assert await env.poll() == 1


async def test_clock_that_is_eight_hours_ahead_loses_no_task(env: PollerEnv):
    """TASK_DEADLINE is polled time."""
    await track(env.store, env.clock, "t1", "t2")
    await env.poll()
    right = env.clock()
    env.clock.advance(8 * HOUR)
    await env.run_for(5 * MINUTE)
    env.clock.now = right + 6 * MINUTE
    await env.poller.pull_back(env.clock())
    await env.run_for(5 * MINUTE)

    assert {(await env.task(i)).state for i in ("t1", "t2")} == {TaskState.WAITING}


async def test_network_away_longer_than_the_deadline_loses_no_task(env: PollerEnv):
    """The first answer afterwards is a 502, the next one the video."""
    await track(env.store, env.clock)
    await env.poll()
    env.api.usual = lambda: SILENCE
    await env.run_for(RULES.deadline + HOUR)
    env.api.answers.append(ERROR)
    env.api.usual = lambda: COMPLETED
    await env.run_for(20 * MINUTE)

    assert (await env.task()).state is TaskState.COMPLETED


async def test_after_a_pause_one_task_is_polled_first(env: PollerEnv):
    """A thousand polls with a wrong key could get the bot blocked."""
    await track(env.store, env.clock, "t1", "t2", "t3", "t4")
    env.api.answers.extend([REFUSED, REFUSED])
    await env.poll(slots=2)
    env.clock.advance(INTERVAL)
    env.api.held = asyncio.Event()
    claim = await env.poller.claim(1000, env.clock())
    assert len(claim.work) == 1
    probe = asyncio.create_task(env.poller.handle(claim.lease, claim.work[0]))
    assert await env.poll() == 0
    env.api.held.set()
    await probe

    assert env.pause.state is None
    assert await env.poll() >= 1


async def test_failed_probe_does_not_end_the_pause(env: PollerEnv):
    """An API that is down has not accepted the key."""
    await track(env.store, env.clock, "t1", "t2", "t3", "t4")
    env.api.answers.extend([throttled(60), throttled(60), SILENCE])
    await env.poll(slots=2)
    env.clock.advance(MINUTE)

    assert await env.poll() == 1
    assert env.pause.state
    assert await env.poll() == 1
    assert env.pause.state is None


async def test_answer_that_an_id_is_unknown_ends_a_pause(env: PollerEnv):
    """The API looks an id up only after it has accepted the key."""
    await track(env.store, env.clock, "t1", "t2")
    env.api.answers.extend([REFUSED, REFUSED, UNKNOWN])
    await env.poll()
    env.clock.advance(MINUTE)
    await env.poll()

    assert env.pause.state is None
    assert await env.store.key_values.get(API_PAUSE_KEY) is None


async def test_pause_is_on_the_cards_after_ten_intervals_and_removed_at_its_end(env: PollerEnv):
    """Also on cards of tasks that are not polled; a short pause is not shown."""
    await track(env.store, env.clock, "t1", "t2")
    env.api.usual = lambda: REFUSED
    await env.run_for(9 * INTERVAL)
    assert env.cards == 0
    await env.run_for(10 * MINUTE)
    assert env.cards == 1
    stored = await env.store.key_values.get(API_PAUSE_KEY)
    assert stored is not None
    assert PauseState.from_text(stored).is_shown
    env.api.usual = lambda: QUEUED
    await env.run_for(10 * MINUTE)

    assert env.cards == 2
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
    """The loop sleeps until a poll is allowed."""
    env = PollerEnv(store, clock, rate=1)
    await track(store, clock, "t1", "t2")
    await env.poll()

    assert await env.poller.next_due() == clock() + SECOND
    assert await env.poll() == 0


async def test_nothing_tracked_means_nothing_due(env: PollerEnv):
    """The loop sleeps for its longest time."""
    assert await env.poller.next_due() is None
    assert await env.poll() == 0


@pytest.mark.parametrize("seed", range(3))
async def test_no_task_is_polled_faster_than_the_interval(store: Store, clock: FakeClock, seed: int):
    """Half an hour with every kind of answer."""
    chance = random.Random(seed)
    env = PollerEnv(store, clock)
    answers = [
        QUEUED,
        Answer(AnswerKind.WAITING, "processing"),
        SILENCE,
        Answer(AnswerKind.ERROR, retry_after=1, where="HTTP 503: busy"),
        throttled(2),
        throttled(0),
        REFUSED,
        FORBIDDEN,
        NOT_FOUND,
        UNKNOWN,
        Answer(AnswerKind.NO_VIDEO, "completed"),
    ]
    weights = [40, 40, 8, 4, 2, 1, 2, 1, 1, 1, 1]
    env.api.usual = lambda: chance.choices(answers, weights)[0]
    ids = [f"t{n}" for n in range(5)]
    await track(store, clock, *ids)
    end = clock() + HOUR // 2
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
    """No later either, because the user waits."""
    await track(env.store, env.clock)
    start = env.clock()
    while env.clock() < start + 15 * MINUTE:
        await env.poll()
        due = await env.poller.next_due()
        assert due is not None
        env.clock.now = due

    assert env.api.polls[TASK] == list(range(start, start + 15 * MINUTE, INTERVAL))


async def test_many_due_tasks_are_recorded_in_few_transactions(env: PollerEnv):
    """A commit costs an fsync: 200 answers that arrive together need about two."""
    for channel in range(10):
        ids = (f"t{channel}_{n}" for n in range(20))
        await track(env.store, env.clock, *ids, channel=channel, by=channel)

    assert await env.poll() == 200
    assert sum(env.queue.batches) == 200
    assert len(env.queue.batches) <= 3


async def test_deliveries_of_a_polled_batch_are_all_due(env: PollerEnv):
    ids = [f"t{n}" for n in range(20)]
    await track(env.store, env.clock, *ids)
    env.api.usual = lambda: COMPLETED
    await env.poll()

    assert {(await look_up(env.store, i)).delivery.state for i in ids} == {DeliveryState.DUE}
    assert env.changes == 1


async def test_bug_in_the_client_lets_the_next_probe_through(env: PollerEnv):
    """Otherwise the pause would never end."""
    await track(env.store, env.clock, "t1", "t2")
    env.api.answers.extend([REFUSED, REFUSED, LookupError("a bug")])
    await env.poll()
    env.clock.advance(MINUTE)
    with pytest.raises(LookupError):
        await env.poll()

    assert await env.poll() == 1


async def test_quarantined_task_is_polled_again_in_five_minutes(env: PollerEnv):
    """After a bug of ours; the operator sees it."""
    await track(env.store, env.clock)
    claim = await env.poller.claim(1, env.clock())
    await env.poller.quarantine(claim.lease, claim.work[0], "KeyError: 1")

    assert await env.store.tasks.next_due() == env.clock() + 5 * MINUTE


async def test_long_poll_keeps_its_lease(env: PollerEnv):
    """The loop renews leases through the poller."""
    await track(env.store, env.clock)
    claim = await env.poller.claim(1, env.clock())
    env.clock.advance(LEASE_TIME - SECOND)
    await env.poller.renew([claim.lease], env.clock())

    assert await env.store.tasks.next_due() == env.clock() + LEASE_TIME


@pytest.mark.parametrize("kind", AnswerKind)
async def test_poll_is_counted_once_by_its_answer(env: PollerEnv, kind: AnswerKind):
    """Every kind of answer, and no other series changes."""
    await track(env.store, env.clock)
    env.api.answers.append(Answer(kind, "word", video_url=URL))
    await env.poll()

    polls = {each: counted(env.metrics, "veo_polls_total", answer=each) for each in AnswerKind}
    assert polls == {each: float(each is kind) for each in AnswerKind}


async def test_pause_that_several_answers_cause_is_counted_once(env: PollerEnv):
    """Three 429 at once; a later pause is counted again."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.answers.extend(throttled(wish) for wish in (20, 60, 30))
    await env.poll()
    assert counted(env.metrics, "veo_wait_seconds_total", limiter="video_api") == 60

    env.clock.advance(2 * MINUTE)
    env.api.answers.append(throttled(90))
    await env.poll()

    assert counted(env.metrics, "veo_wait_seconds_total", limiter="video_api") == 150


async def test_late_429_does_not_count_the_pause_of_a_refused_key(env: PollerEnv):
    """The pause is for the key; no poll waits because of the throttling."""
    await track(env.store, env.clock, "t1", "t2", "t3")
    env.api.answers.extend([REFUSED, REFUSED, throttled(600)])
    await env.poll()

    assert counted(env.metrics, "veo_wait_seconds_total", limiter="video_api") == 0


# -- the recorder ----------------------------------------------------------------------------------


class HeldQueue(TaskQueue):
    """Holds each recording until `go` is set; it can also refuse it."""

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
    """The subscriber of these tests."""


def outcome(task_id: str) -> PollOutcome:
    return PollOutcome(make_task(id=task_id), 1, 0, make_waiting())


async def started(recorder: OutcomeRecorder, *ids: str) -> list[asyncio.Task[None]]:
    jobs = [asyncio.create_task(recorder.record(outcome(i))) for i in ids]
    for _ in range(3):
        await asyncio.sleep(0)
    return jobs


async def test_outcomes_that_come_during_a_transaction_share_the_next(clock: FakeClock):
    """The first outcome is written at once, the others wait only for that transaction."""
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
async def test_cancelled_job_does_not_affect_the_others_of_its_batch(
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
