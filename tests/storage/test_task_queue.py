"""The tasks as a queue: claimed by lease, recorded in one transaction, final for good."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.tasks import DeliveryState, TaskState
from bot.core.verdicts import Final, PollOutcome, StillWaiting, Verdict
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    LOST,
    OTHER_CHANNEL,
    TASK,
    URL,
    alone,
    ask_about,
    look_up,
    track,
)
from tests.timing import FakeClock

INTERVAL = 30 * SECOND


async def claimed(store: Store, clock: FakeClock, limit: int = 10) -> list[str]:
    return [task.id for task in (await store.tasks.claim(limit, clock())).work]


async def outcome(store: Store, clock: FakeClock, verdict: Verdict) -> PollOutcome:
    """TASK, claimed, with a verdict that is not recorded yet."""
    claim = await store.tasks.claim(1, clock())
    return PollOutcome(claim.work[0], claim.lease, clock(), verdict)


async def test_claim_gives_the_longest_due_first_and_no_more_than_asked(store: Store, clock: FakeClock):
    """Nobody starves."""
    for number in (1, 2, 3):
        await track(store, clock, f"t{number}", channel=number)
        clock.advance(1)

    assert await claimed(store, clock, 2) == ["t1", "t2"]
    assert await claimed(store, clock, 2) == ["t3"]


async def test_claim_leaves_what_is_not_due_yet(store: Store, clock: FakeClock):
    """The interval is the API's rule, too."""
    await track(store, clock)
    await ask_about(store, clock, StillWaiting("queued", clock() + INTERVAL))

    clock.advance(INTERVAL - 1)
    assert await claimed(store, clock) == []
    clock.advance(1)
    assert await claimed(store, clock) == [TASK]


async def test_claim_writes_when_the_task_is_polled(store: Store, clock: FakeClock):
    """After a crash in the middle of it, the next one is not too early."""
    await track(store, clock)
    await claimed(store, clock)

    assert (await look_up(store)).task.polled_at == clock()


async def test_claimed_task_comes_back_only_when_its_lease_ends(store: Store, clock: FakeClock):
    """A killed process loses nothing."""
    await track(store, clock)
    assert await claimed(store, clock) == [TASK]

    clock.advance(LEASE_TIME - 1)
    assert await claimed(store, clock) == []
    clock.advance(1)
    assert await claimed(store, clock) == [TASK]


async def test_claimers_at_once_never_share_a_task(store: Store, clock: FakeClock):
    """Twenty tasks, eight claimers: each task once."""
    await track(store, clock, *(f"t{n}" for n in range(20)))

    shares = await asyncio.gather(*(claimed(store, clock, 3) for _ in range(8)))

    assert sorted(itertools.chain(*shares)) == sorted(f"t{n}" for n in range(20))


async def test_claims_have_leases_of_their_own(store: Store, clock: FakeClock):
    """A lease names who may record."""
    await track(store, clock, "t1", "t2")

    first, second = await store.tasks.claim(1, clock()), await store.tasks.claim(1, clock())

    assert first.lease != second.lease


@pytest.mark.parametrize(
    "verdict",
    [DONE, StillWaiting("queued", 1), StillWaiting(None, 1, attempt=1)],
    ids=["final", "status", "same"],
)
async def test_record_with_a_foreign_lease_changes_nothing(store: Store, clock: FakeClock, verdict: Verdict):
    """Whoever claimed it later holds it now."""
    await track(store, clock)
    late = await outcome(store, clock, verdict)
    clock.advance(LEASE_TIME)
    await claimed(store, clock)
    before = await look_up(store)

    assert await store.tasks.record([late], clock()) == 0
    assert await look_up(store) == before


async def test_postpone_with_a_foreign_lease_changes_nothing(store: Store, clock: FakeClock):
    """Giving back what is not ours would take it from its holder."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    before = await look_up(store)

    assert not await store.tasks.postpone(TASK, claim.lease + 1, clock())
    assert await look_up(store) == before


async def test_postponed_task_is_due_when_it_was_said(store: Store, clock: FakeClock):
    """Given back, its lease ended."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())

    assert await store.tasks.postpone(TASK, claim.lease, clock() + HOUR)
    assert await store.tasks.next_due() == clock() + HOUR
    assert not await store.tasks.postpone(TASK, claim.lease, clock())


async def test_renewed_lease_lasts_another_whole_time(store: Store, clock: FakeClock):
    """A long poll keeps its task; other leases run out."""
    await track(store, clock, "t1", "t2")
    kept = await store.tasks.claim(1, clock())
    await store.tasks.claim(1, clock())
    clock.advance(LEASE_TIME - 1)
    await store.tasks.renew([kept.lease], clock())

    clock.advance(LEASE_TIME - 1)
    assert await claimed(store, clock) == ["t2"]
    assert await store.tasks.postpone("t1", kept.lease, clock())


async def test_renewing_more_leases_than_one_statement_takes_works(store: Store, clock: FakeClock):
    """SQLite bounds the parameters of a statement."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    await store.tasks.renew([*range(40_000), claim.lease], clock() + 5)

    assert await store.tasks.next_due() == clock() + 5 + LEASE_TIME


async def test_renewing_a_finished_task_does_not_make_it_due(store: Store, clock: FakeClock):
    """Renewing races with recording."""
    await track(store, clock)
    done = await ask_about(store, clock)
    await store.tasks.renew([done.lease], clock())

    assert await store.tasks.next_due() is None


async def test_next_due_is_the_earliest_with_leases_counted_by_their_end(store: Store, clock: FakeClock):
    """The loop sleeps until then."""
    assert await store.tasks.next_due() is None
    await track(store, clock)
    assert await store.tasks.next_due() == clock()
    await claimed(store, clock)

    assert await store.tasks.next_due() == clock() + LEASE_TIME


@alone
async def test_orphans_are_not_polled_before_the_interval_is_over(store: Store, clock: FakeClock):
    """A crash loop must not become a way to poll faster."""
    await track(store, clock)
    polled_at = clock()
    await claimed(store, clock)
    clock.advance(5 * SECOND)

    assert await store.recover(clock(), INTERVAL) == 1
    assert await store.tasks.next_due() == polled_at + INTERVAL


async def test_orphans_of_long_ago_are_due_at_once(store: Store, clock: FakeClock):
    """No need to wait for the rest of the lease."""
    await track(store, clock)
    await claimed(store, clock)
    clock.advance(INTERVAL + 1)
    await store.recover(clock(), INTERVAL)

    assert await claimed(store, clock) == [TASK]


@alone
async def test_orphan_release_ends_the_old_lease(store: Store, clock: FakeClock):
    """What the dead process knew is worth nothing."""
    await track(store, clock)
    old = await outcome(store, clock, DONE)
    await store.recover(clock(), INTERVAL)

    assert await store.tasks.record([old], clock()) == 0
    assert (await look_up(store)).task.state is TaskState.WAITING


async def test_orphan_release_keeps_free_tasks_as_they_are(store: Store, clock: FakeClock):
    """Only leases are ended."""
    await track(store, clock)

    assert await store.recover(clock() + HOUR, INTERVAL) == 0
    assert await store.tasks.next_due() == clock()


async def test_batch_of_mixed_verdicts_is_recorded_whole(store: Store, clock: FakeClock):
    """A commit costs a disk's fsync, so many share one."""
    verdicts: dict[str, Verdict] = {
        "done": DONE,
        "failed": FAILED,
        "lost": LOST,
        "status": StillWaiting("processing", clock() + INTERVAL),
        "same": StillWaiting(None, clock() + MINUTE, attempt=2, doubts=1),
    }
    await track(store, clock, *verdicts)
    claim = await store.tasks.claim(10, clock())
    clock.advance(SECOND)
    batch = [PollOutcome(task, claim.lease, clock() - 1, verdicts[task.id]) for task in claim.work]

    assert await store.tasks.record(batch, clock()) == 3

    found = {task_id: (await look_up(store, task_id)).task for task_id in verdicts}
    assert [found[i].state for i in verdicts] == ["completed", "failed", "lost", "waiting", "waiting"]
    assert (found["done"].video_url, found["done"].seconds, found["done"].finished_at) == (URL, 8.0, clock())
    assert (found["failed"].reason, found["failed"].due_at) == ("content policy", None)
    assert (found["status"].api_status, found["status"].api_status_since) == ("processing", clock())
    assert found["status"].due_at == clock() - SECOND + INTERVAL
    assert (found["same"].attempt, found["same"].doubts, found["same"].api_status) == (2, 1, None)
    assert {task.polled_at for task in found.values()} == {clock() - 1}


@pytest.mark.parametrize("verdict", [DONE, FAILED, LOST], ids=lambda v: v.state)
async def test_final_verdict_makes_every_open_delivery_due(store: Store, clock: FakeClock, verdict: Final):
    """In the same transaction: a final task never leaves a delivery open."""
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)
    await ask_about(store, clock, verdict)

    for channel in (CHANNEL, OTHER_CHANNEL):
        delivery = (await look_up(store, channel=channel)).delivery
        assert (delivery.state, delivery.due_at) == (DeliveryState.DUE, clock() - RESULT_FOLLOWS)


async def test_final_verdict_keeps_a_cancelled_delivery_as_it_is(store: Store, clock: FakeClock):
    """Who untracked it is owed nothing."""
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)
    await store.tracking.cancel(CHANNEL, TASK, 100, clock(), may_cancel_any=False)
    await ask_about(store, clock)

    assert (await look_up(store)).delivery.state is DeliveryState.CANCELLED


@pytest.mark.parametrize("verdict", [FAILED, LOST, StillWaiting("queued", 1), StillWaiting(None, 1)])
async def test_task_that_ended_stays_ended(store: Store, clock: FakeClock, verdict: Verdict):
    """Somebody polled under an older lease, and records after the end."""
    await track(store, clock)
    late = await outcome(store, clock, verdict)
    clock.advance(LEASE_TIME)
    await ask_about(store, clock, DONE)
    before = await look_up(store)

    assert await store.tasks.record([late], clock()) == 0
    assert await look_up(store) == before


async def test_final_task_cannot_end_again_even_under_its_own_lease(store: Store, clock: FakeClock):
    """The batch is written twice after an answer of the database got lost."""
    await track(store, clock)
    done = await ask_about(store, clock)

    assert await store.tasks.record([done, replace(done, verdict=FAILED)], clock()) == 0
    assert (await look_up(store)).task.state is TaskState.COMPLETED


async def test_empty_batch_records_nothing(store: Store, clock: FakeClock):
    """Harmless."""
    assert await store.tasks.record([], clock()) == 0
