"""The durable loop over a scripted source: it wakes, it sleeps, and nothing ends it but `stop`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from bot.core.errors import StorageUnavailable, TokenRefused, VideoApiUnavailable
from bot.core.tasks import Claim
from bot.work.loop import DurableLoop
from tests.timing import FakeClock, eventually

Handler = Callable[[str], Awaitable[None]]


async def at_once(work: str) -> None:
    """The usual handler: done."""


class ScriptedSource:
    """Gives the works that a test puts into it, and writes down what the loop does."""

    name = "scripted"

    def __init__(self, *works: str, handler: Handler = at_once) -> None:
        self.works = list(works)
        self.handler = handler
        self.due: int | None = None
        self.claim_errors: list[Exception] = []
        self.due_errors: list[Exception] = []
        self.aside_error: Exception | None = None
        self.renew_errors: list[Exception] = []
        self.rooms: list[int] = []
        self.handled: list[str] = []
        self.aside: list[str] = []
        self.renewed: list[set[int]] = []
        self.running = 0
        self.most_running = 0

    async def claim(self, room: int) -> Claim[str]:
        self.rooms.append(room)
        if self.claim_errors:
            raise self.claim_errors.pop(0)
        taken, self.works = self.works[:room], self.works[room:]
        return Claim(len(self.rooms), tuple(taken))

    async def handle(self, lease: int, work: str) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.handler(work)
        finally:
            self.running -= 1
        self.handled.append(work)

    async def set_aside(self, lease: int, work: str, why: str) -> None:
        self.aside.append(work)
        if self.aside_error:
            raise self.aside_error

    async def next_due(self) -> int | None:
        if self.due_errors:
            raise self.due_errors.pop(0)
        return self.due

    async def renew(self, leases: Iterable[int]) -> None:
        self.renewed.append(set(leases))
        if self.renew_errors:
            raise self.renew_errors.pop(0)


def make_loop(
    source: ScriptedSource,
    *,
    room: int = 4,
    grace: float = 5,
    may_cancel: bool = False,
    renew_every: float = 20,
) -> DurableLoop[str]:
    clock = FakeClock()
    return DurableLoop(
        source, room=room, clock=clock, grace=grace, may_cancel=may_cancel, renew_every=renew_every
    )


@asynccontextmanager
async def running(loop: DurableLoop[str]) -> AsyncIterator[asyncio.Event]:
    """The loop in a job of its own; stopped and awaited at the end."""
    stop = asyncio.Event()
    job = asyncio.create_task(loop.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await job


class Gate:
    """A handler that holds every work until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, work: str) -> None:
        self.inside.append(work)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(work)
            raise


async def test_loop_handles_all_that_is_there_and_ends_on_stop():
    """The plain case."""
    source = ScriptedSource("a", "b", "c")
    async with running(make_loop(source)):
        await eventually(lambda: len(source.handled) == 3)

    assert sorted(source.handled) == ["a", "b", "c"]


async def test_loop_asleep_wakes_when_told_of_new_work():
    """It would sleep for 30 s; a registration wakes it."""
    source = ScriptedSource()
    loop = make_loop(source)
    async with running(loop):
        await eventually(lambda: source.rooms)
        source.works.append("new")
        loop.wake()
        await eventually(lambda: source.handled, within=2)

    assert source.handled == ["new"]


async def test_loop_asleep_wakes_when_the_next_work_is_due():
    """Without being told."""
    source = ScriptedSource()
    source.due = FakeClock().now + 50
    async with running(make_loop(source)):
        await eventually(lambda: source.rooms)
        source.works.append("due")
        await eventually(lambda: source.handled, within=2)

    assert source.handled == ["due"]


async def test_loop_with_something_due_but_nothing_to_claim_does_not_spin():
    """Its channel may be busy: once a second is enough."""
    source = ScriptedSource()
    source.due = FakeClock().now
    async with running(make_loop(source)):
        await eventually(lambda: source.rooms)
        for _ in range(50):
            await asyncio.sleep(0)

    assert len(source.rooms) == 1


async def test_stopped_loop_claims_no_more():
    """What is left is for the next process."""
    source = ScriptedSource()
    loop = make_loop(source)
    async with running(loop) as stop:
        await eventually(lambda: source.rooms)
        source.works.append("late")
        stop.set()

    assert source.works == ["late"]


async def test_bad_work_is_set_aside_and_the_others_go_on(caplog: pytest.LogCaptureFixture):
    """One bad item never ends the loop; the operator sees the traceback."""

    async def handler(work: str) -> None:
        if work == "bad":
            raise LookupError("a bug")

    source = ScriptedSource("a", "bad", "b", handler=handler)
    loop = make_loop(source)
    async with running(loop):
        await eventually(lambda: len(source.handled) == 2 and source.aside)
        source.works.append("later")
        loop.wake()
        await eventually(lambda: "later" in source.handled)

    assert source.aside == ["bad"]
    assert "a bug in handling 'bad'" in caplog.text
    assert "LookupError" in caplog.text


async def test_bad_work_that_cannot_even_be_set_aside_does_not_end_the_loop():
    """It is due again when the lease ends."""

    async def handler(work: str) -> None:
        if work == "bad":
            raise LookupError("a bug")

    source = ScriptedSource("bad", "good", handler=handler)
    source.aside_error = StorageUnavailable("locked")
    async with running(make_loop(source)):
        await eventually(lambda: source.aside and source.handled)

    assert source.handled == ["good"]


async def test_work_that_must_wait_is_left_to_its_lease():
    """The world is in the way: nothing to set aside."""

    async def handler(work: str) -> None:
        raise VideoApiUnavailable("502")

    source = ScriptedSource("a", handler=handler)
    async with running(make_loop(source)):
        await eventually(lambda: source.running == 0 and len(source.rooms) > 1)

    assert source.aside == []


@pytest.mark.parametrize("error", [StorageUnavailable("locked"), LookupError("a bug")], ids=["world", "bug"])
async def test_failing_claim_is_tried_again_by_itself(error: Exception, caplog: pytest.LogCaptureFixture):
    """After a second or so; a bug is logged with its traceback."""
    source = ScriptedSource("a")
    source.claim_errors = [error]
    async with running(make_loop(source)):
        await eventually(lambda: source.handled, within=5)

    assert source.handled == ["a"]
    (record,) = [r for r in caplog.records if "could not look for work" in r.message]
    assert bool(record.exc_info) is isinstance(error, LookupError)


async def test_failing_look_at_the_next_due_time_is_tried_again():
    """The database went away between two questions."""
    source = ScriptedSource()
    source.due_errors = [StorageUnavailable("locked")]
    async with running(make_loop(source)):
        await eventually(lambda: not source.due_errors)
        source.works.append("a")
        await eventually(lambda: source.handled, within=5)

    assert source.handled == ["a"]


async def test_loop_never_runs_more_jobs_than_it_has_room_for():
    """And asks for no more than fits."""
    gate = Gate()
    source = ScriptedSource(*map(str, range(10)), handler=gate)
    async with running(make_loop(source, room=3)):
        await eventually(lambda: len(gate.inside) == 3)
        gate.open.set()
        await eventually(lambda: len(source.handled) == 10)

    assert source.most_running == 3
    assert max(source.rooms) == 3


async def test_full_loop_takes_more_as_soon_as_a_job_ends():
    """It sleeps on nothing but the end of a job."""
    first = Gate()

    async def handler(work: str) -> None:
        if work == "slow":
            await first(work)

    source = ScriptedSource("slow", "next", handler=handler)
    async with running(make_loop(source, room=1)):
        await eventually(lambda: first.inside)
        assert source.handled == []
        first.open.set()
        await eventually(lambda: len(source.handled) == 2)

    assert source.handled == ["slow", "next"]


async def test_stop_lets_running_jobs_finish():
    """What is being posted is posted."""
    gate = Gate()
    source = ScriptedSource("a", handler=gate)
    async with running(make_loop(source)) as stop:
        await eventually(lambda: gate.inside)
        stop.set()
        await asyncio.sleep(0)
        gate.open.set()

    assert (source.handled, gate.cancelled) == (["a"], [])


@pytest.mark.parametrize(("may_cancel", "cancelled"), [(True, ["a"]), (False, [])])
async def test_job_that_outlasts_the_grace_is_cancelled_only_if_it_may(
    may_cancel: bool, cancelled: list[str]
):
    """A call to Discord never is: it would freeze every later one."""
    gate = Gate()
    source = ScriptedSource("a", handler=gate)
    async with running(make_loop(source, grace=0.02, may_cancel=may_cancel)) as stop:
        await eventually(lambda: gate.inside)
        stop.set()

    assert gate.cancelled == cancelled
    gate.open.set()
    await eventually(lambda: source.running == 0)


async def test_refused_token_in_a_job_ends_the_loop():
    """No later job can work: the process leaves with its exit code."""

    async def handler(work: str) -> None:
        raise TokenRefused("Discord refused the token")

    source = ScriptedSource("a", handler=handler)
    with pytest.raises(TokenRefused):
        async with asyncio.timeout(5):
            await make_loop(source).run(asyncio.Event())

    assert source.aside == []


async def test_lease_of_a_long_job_is_renewed_and_that_of_a_short_one_is_not():
    """Only what was seen on two rounds takes long."""
    gate = Gate()

    async def handler(work: str) -> None:
        if work == "long":
            await gate(work)

    source = ScriptedSource("long", handler=handler)
    loop = make_loop(source, renew_every=0.01)
    async with running(loop):
        await eventually(lambda: len(source.renewed) >= 2)
        gate.open.set()

    assert set.union(*source.renewed) == {1}


@pytest.mark.parametrize("error", [StorageUnavailable("locked"), LookupError("a bug")], ids=["world", "bug"])
async def test_failing_renewal_is_tried_again(error: Exception):
    """A renewal that died quietly would let two do the same work."""
    gate = Gate()
    source = ScriptedSource("long", handler=gate)
    source.renew_errors = [error]
    async with running(make_loop(source, renew_every=0.01)):
        await eventually(lambda: len(source.renewed) >= 2, within=3)
        gate.open.set()

    assert source.renewed[:2] == [{1}, {1}]
