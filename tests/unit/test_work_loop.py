"""The durable loop over a scripted queue: when it wakes, when it sleeps, and that only `stop` ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from bot.core.errors import DownloadInterrupted, StorageUnavailable, TokenRefused
from bot.core.tasks import Claim
from bot.work.loop import DurableLoop
from sandbox.patience import PATIENCE
from tests.timing import FakeClock, eventually, loop_time_by_hand, turns

Handler = Callable[[str], Awaitable[None]]


async def at_once(work: str) -> None:
    """The usual handler: does nothing."""


class ScriptedQueue:
    """A queue and its handler in one: a test adds the work, and the calls are recorded."""

    name = "scripted"

    def __init__(self, *works: str, handler: Handler = at_once) -> None:
        self.works = list(works)
        self.handler = handler
        self.due: int | None = None
        self.while_claiming: Callable[[], object] = lambda: None
        self.claim_errors: list[Exception] = []
        self.due_errors: list[Exception] = []
        self.quarantine_error: Exception | None = None
        self.renew_errors: list[Exception] = []
        self.limits: list[int] = []
        self.handled: list[str] = []
        self.quarantined: list[str] = []
        self.renewed: list[set[int]] = []
        self.planned_too_far: list[str] = []
        self.pull_back_errors: list[Exception] = []
        self.pulled_back = 0
        self.running = 0
        self.most_running = 0

    async def claim(self, limit: int, now: int) -> Claim[str]:
        self.limits.append(limit)
        self.while_claiming()
        if self.claim_errors:
            raise self.claim_errors.pop(0)
        taken, self.works = self.works[:limit], self.works[limit:]
        return Claim(len(self.limits), tuple(taken))

    async def handle(self, lease: int, work: str) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.handler(work)
        finally:
            self.running -= 1
        self.handled.append(work)

    async def quarantine(self, lease: int, work: str, reason: str) -> None:
        self.quarantined.append(work)
        if self.quarantine_error:
            raise self.quarantine_error

    async def next_due(self) -> int | None:
        if self.due_errors:
            raise self.due_errors.pop(0)
        return self.due

    async def renew(self, leases: Iterable[int], now: int) -> None:
        self.renewed.append(set(leases))
        if self.renew_errors:
            raise self.renew_errors.pop(0)

    async def pull_back(self, now: int) -> int:
        self.pulled_back += 1
        if self.pull_back_errors:
            raise self.pull_back_errors.pop(0)
        pulled, self.planned_too_far = self.planned_too_far, []
        self.works += pulled
        return len(pulled)


def make_loop(
    queue: ScriptedQueue,
    *,
    slots: int = 4,
    shutdown_timeout: float = 5,
    may_cancel: bool = False,
    renew_interval: float = 20,
    clock: FakeClock | None = None,
) -> DurableLoop[str]:
    return DurableLoop(
        queue,
        queue,
        slots=slots,
        clock=clock or FakeClock(),
        shutdown_timeout=shutdown_timeout,
        may_cancel=may_cancel,
        renew_interval=renew_interval,
    )


@asynccontextmanager
async def running(loop: DurableLoop[str]) -> AsyncIterator[asyncio.Event]:
    """Runs the loop in a job; stopped and awaited at the end."""
    stop = asyncio.Event()
    job = asyncio.create_task(loop.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await job


class HoldingHandler:
    """Holds every piece of work until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, work: str) -> None:
        self.running.append(work)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(work)
            raise


async def test_loop_handles_all_work_and_ends_on_stop():
    queue = ScriptedQueue("a", "b", "c")
    async with running(make_loop(queue)):
        await eventually(lambda: len(queue.handled) == 3)

    assert sorted(queue.handled) == ["a", "b", "c"]


async def test_sleeping_loop_is_woken_for_new_work():
    """Without `wake` it would sleep for 30 s."""
    queue = ScriptedQueue()
    loop = make_loop(queue)
    async with running(loop):
        await eventually(lambda: queue.limits)
        queue.works.append("new")
        loop.wake()
        await eventually(lambda: queue.handled, within=20)

    assert queue.handled == ["new"]


async def test_sleeping_loop_wakes_when_the_next_work_is_due():
    """Without a call of `wake`."""
    queue = ScriptedQueue()
    queue.due = FakeClock().now + 50
    async with running(make_loop(queue)):
        await eventually(lambda: queue.limits)
        queue.works.append("due")
        await eventually(lambda: queue.handled, within=20)

    assert queue.handled == ["due"]


async def test_loop_with_due_work_that_cannot_be_claimed_waits_a_second():
    """For example because the channel is busy."""
    queue = ScriptedQueue()
    queue.due = FakeClock().now
    with loop_time_by_hand():
        async with running(make_loop(queue)):
            await turns()
            assert len(queue.limits) == 1


async def test_work_that_becomes_due_during_a_claim_is_claimed_at_once():
    """Without the wait of a second."""
    queue, clock = ScriptedQueue(), FakeClock()
    queue.due = clock.now + 1
    queue.while_claiming = lambda: clock.advance(2)
    with loop_time_by_hand():
        async with running(make_loop(queue, clock=clock)):
            await turns()
            assert len(queue.limits) == 2

    assert clock() == queue.due + 3


async def test_stopped_loop_claims_no_more():
    """The next process handles the rest."""
    queue = ScriptedQueue()
    loop = make_loop(queue)
    async with running(loop) as stop:
        await eventually(lambda: queue.limits)
        queue.works.append("late")
        stop.set()

    assert queue.works == ["late"]


async def test_work_that_raises_is_quarantined_and_the_loop_goes_on(caplog: pytest.LogCaptureFixture):
    """The traceback is logged."""

    async def handler(work: str) -> None:
        if work == "bad":
            raise LookupError("a bug")

    queue = ScriptedQueue("a", "bad", "b", handler=handler)
    loop = make_loop(queue)
    async with running(loop):
        await eventually(lambda: len(queue.handled) == 2 and queue.quarantined)
        queue.works.append("later")
        loop.wake()
        await eventually(lambda: "later" in queue.handled)

    assert queue.quarantined == ["bad"]
    assert "a bug in handling str" in caplog.text
    assert "LookupError" in caplog.text


async def test_work_that_cannot_be_quarantined_does_not_end_the_loop():
    """It is due again when its lease ends."""

    async def handler(work: str) -> None:
        if work == "bad":
            raise LookupError("a bug")

    queue = ScriptedQueue("bad", "good", handler=handler)
    queue.quarantine_error = StorageUnavailable("locked")
    async with running(make_loop(queue)):
        await eventually(lambda: queue.quarantined and queue.handled)

    assert queue.handled == ["good"]


async def test_work_that_raises_try_later_is_left_to_its_lease():
    """It is no bug, so nothing is quarantined."""

    async def handler(work: str) -> None:
        raise DownloadInterrupted("502")

    queue = ScriptedQueue("a", handler=handler)
    async with running(make_loop(queue)):
        await eventually(lambda: queue.running == 0 and len(queue.limits) > 1)

    assert queue.quarantined == []


@pytest.mark.parametrize(
    "error", [StorageUnavailable("locked"), LookupError("a bug")], ids=["try later", "bug"]
)
async def test_failing_claim_is_tried_again(error: Exception, caplog: pytest.LogCaptureFixture):
    """After about a second; a bug is logged with its traceback."""
    queue = ScriptedQueue("a")
    queue.claim_errors = [error]
    async with running(make_loop(queue)):
        await eventually(lambda: queue.handled)

    assert queue.handled == ["a"]
    (record,) = [r for r in caplog.records if "could not claim work" in r.message]
    assert bool(record.exc_info) is isinstance(error, LookupError)


async def test_failing_query_of_the_next_due_time_is_tried_again():
    """The database fails between two queries."""
    queue = ScriptedQueue()
    queue.due_errors = [StorageUnavailable("locked")]
    async with running(make_loop(queue)):
        await eventually(lambda: not queue.due_errors)
        queue.works.append("a")
        await eventually(lambda: queue.handled)

    assert queue.handled == ["a"]


async def test_loop_never_runs_more_jobs_than_it_has_slots():
    """It claims no more either."""
    held = HoldingHandler()
    queue = ScriptedQueue(*map(str, range(10)), handler=held)
    async with running(make_loop(queue, slots=3)):
        await eventually(lambda: len(held.running) == 3)
        held.go.set()
        await eventually(lambda: len(queue.handled) == 10)

    assert queue.most_running == 3
    assert max(queue.limits) == 3


async def test_full_loop_claims_more_as_soon_as_a_job_ends():
    first = HoldingHandler()

    async def handler(work: str) -> None:
        if work == "slow":
            await first(work)

    queue = ScriptedQueue("slow", "next", handler=handler)
    async with running(make_loop(queue, slots=1)):
        await eventually(lambda: first.running)
        assert queue.handled == []
        first.go.set()
        await eventually(lambda: len(queue.handled) == 2)

    assert queue.handled == ["slow", "next"]


async def test_stop_lets_running_jobs_finish():
    """For example a result that is being posted."""
    held = HoldingHandler()
    queue = ScriptedQueue("a", handler=held)
    async with running(make_loop(queue)) as stop:
        await eventually(lambda: held.running)
        stop.set()
        await asyncio.sleep(0)
        held.go.set()

    assert (queue.handled, held.cancelled) == (["a"], [])


@pytest.mark.parametrize(("may_cancel", "cancelled"), [(True, ["a"]), (False, [])])
async def test_job_that_outlasts_the_shutdown_timeout_is_cancelled_only_if_it_may(
    may_cancel: bool, cancelled: list[str]
):
    """A call to Discord is never cancelled: it would block every later one."""
    held = HoldingHandler()
    queue = ScriptedQueue("a", handler=held)
    async with running(make_loop(queue, shutdown_timeout=0.02, may_cancel=may_cancel)) as stop:
        await eventually(lambda: held.running)
        stop.set()

    assert held.cancelled == cancelled
    held.go.set()
    await eventually(lambda: queue.running == 0)


async def test_refused_token_in_a_job_ends_the_loop():
    """No later job can succeed; the process ends with its exit code."""

    async def handler(work: str) -> None:
        raise TokenRefused("Discord refused the token")

    queue = ScriptedQueue("a", handler=handler)
    with pytest.raises(TokenRefused):
        async with asyncio.timeout(PATIENCE):
            await make_loop(queue).run(asyncio.Event())

    assert queue.quarantined == []


async def test_lease_of_a_long_job_is_renewed_and_that_of_a_short_one_is_not():
    """A job is long if two rounds of renewal see it."""
    held = HoldingHandler()

    async def handler(work: str) -> None:
        if work == "long":
            await held(work)

    queue = ScriptedQueue("long", handler=handler)
    loop = make_loop(queue, renew_interval=0.01)
    async with running(loop):
        await eventually(lambda: len(queue.renewed) >= 2)
        held.go.set()

    assert set.union(*queue.renewed) == {1}


@pytest.mark.parametrize(
    "error", [StorageUnavailable("locked"), LookupError("a bug")], ids=["try later", "bug"]
)
async def test_failing_renewal_is_tried_again(error: Exception):
    """If renewal stopped, two processes would do the same work."""
    held = HoldingHandler()
    queue = ScriptedQueue("long", handler=held)
    queue.renew_errors = [error]
    async with running(make_loop(queue, renew_interval=0.01)):
        await eventually(lambda: len(queue.renewed) >= 2)
        held.go.set()

    assert queue.renewed[:2] == [{1}, {1}]


async def test_work_that_a_wrong_clock_planned_is_pulled_back(caplog: pytest.LogCaptureFixture):
    """At the start and regularly, so that the loop does not sleep until then."""
    queue = ScriptedQueue()
    queue.planned_too_far = ["old"]
    async with running(make_loop(queue, renew_interval=0.01)):
        await eventually(lambda: queue.handled == ["old"])
        queue.planned_too_far = ["new"]
        await eventually(lambda: queue.handled == ["old", "new"])

    told = [record.message for record in caplog.records if "clock was wrong" in record.message]
    assert told == ["scripted: the clock was wrong: 1 pieces of work are due now"] * 2


@pytest.mark.parametrize(
    "error", [StorageUnavailable("locked"), LookupError("a bug")], ids=["try later", "bug"]
)
async def test_failing_pull_back_is_tried_again(error: Exception):
    """Leases are renewed nevertheless."""
    held = HoldingHandler()
    queue = ScriptedQueue("long", handler=held)
    queue.pull_back_errors = [error]
    async with running(make_loop(queue, renew_interval=0.01)):
        await eventually(lambda: queue.pulled_back >= 3 and queue.renewed)
        held.go.set()

    assert queue.renewed[0] == {1}
