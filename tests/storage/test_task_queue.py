"""The tasks as a queue: claimed by lease, recorded in one transaction, and final once ended."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import DeliveryState, Doubt, TaskState, Trouble
from bot.core.verdicts import Final, PollOutcome, Verdict
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
    make_task,
    make_waiting,
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
    """So that every task is polled in the end."""
    for number in (1, 2, 3):
        await track(store, clock, f"t{number}", channel=number)
        clock.advance(1)

    assert await claimed(store, clock, 2) == ["t1", "t2"]
    assert await claimed(store, clock, 2) == ["t3"]


async def test_claim_leaves_tasks_that_are_not_due(store: Store, clock: FakeClock):
    """The API requires the interval."""
    await track(store, clock)
    await ask_about(store, clock, make_waiting(api_status="queued", due_at=clock() + INTERVAL))

    clock.advance(INTERVAL - 1)
    assert await claimed(store, clock) == []
    clock.advance(1)
    assert await claimed(store, clock) == [TASK]


async def test_claim_stores_the_time_of_the_poll(store: Store, clock: FakeClock):
    """So that the next poll is not too early after a crash."""
    await track(store, clock)
    await claimed(store, clock)

    assert (await look_up(store)).task.polled_at == clock()


async def test_claimed_task_is_due_again_only_when_its_lease_ends(store: Store, clock: FakeClock):
    """A killed process loses nothing."""
    await track(store, clock)
    assert await claimed(store, clock) == [TASK]

    clock.advance(LEASE_TIME - 1)
    assert await claimed(store, clock) == []
    clock.advance(1)
    assert await claimed(store, clock) == [TASK]


async def test_concurrent_claims_never_share_a_task(store: Store, clock: FakeClock):
    """Twenty tasks, eight claims: each task once."""
    await track(store, clock, *(f"t{n}" for n in range(20)))

    shares = await asyncio.gather(*(claimed(store, clock, 3) for _ in range(8)))

    assert sorted(itertools.chain(*shares)) == sorted(f"t{n}" for n in range(20))


async def test_claims_have_different_leases(store: Store, clock: FakeClock):
    """The lease determines who may record."""
    await track(store, clock, "t1", "t2")

    first, second = await store.tasks.claim(1, clock()), await store.tasks.claim(1, clock())

    assert first.lease != second.lease


@pytest.mark.parametrize(
    "verdict",
    [DONE, make_waiting(api_status="queued"), make_waiting(attempt=1)],
    ids=["final", "status", "same"],
)
async def test_record_with_a_lost_lease_changes_nothing(store: Store, clock: FakeClock, verdict: Verdict):
    """The process that claimed the task later holds it."""
    await track(store, clock)
    late = await outcome(store, clock, verdict)
    clock.advance(LEASE_TIME)
    await claimed(store, clock)
    before = await look_up(store)

    assert await store.tasks.record([late], clock()) == 0
    assert await look_up(store) == before


async def test_postpone_with_a_lost_lease_changes_nothing(store: Store, clock: FakeClock):
    """It would take the task from its holder."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    before = await look_up(store)

    assert not await store.tasks.postpone(TASK, claim.lease + 1, clock())
    assert await look_up(store) == before


async def test_postponed_task_is_due_at_the_given_time(store: Store, clock: FakeClock):
    """Its lease has ended."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())

    assert await store.tasks.postpone(TASK, claim.lease, clock() + HOUR)
    assert await store.tasks.next_due() == clock() + HOUR
    assert not await store.tasks.postpone(TASK, claim.lease, clock())


async def test_renewed_lease_lasts_for_its_full_time_again(store: Store, clock: FakeClock):
    """A long poll keeps its task; other leases end."""
    await track(store, clock, "t1", "t2")
    kept = await store.tasks.claim(1, clock())
    await store.tasks.claim(1, clock())
    clock.advance(LEASE_TIME - 1)
    await store.tasks.renew([kept.lease], clock())

    clock.advance(LEASE_TIME - 1)
    assert await claimed(store, clock) == ["t2"]
    assert await store.tasks.postpone("t1", kept.lease, clock())


async def test_renewing_more_leases_than_one_statement_takes_works(store: Store, clock: FakeClock):
    """SQLite limits the parameters of a statement."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    await store.tasks.renew([*range(40_000), claim.lease], clock() + 5)

    assert await store.tasks.next_due() == clock() + 5 + LEASE_TIME


async def test_renewing_a_finished_task_does_not_make_it_due(store: Store, clock: FakeClock):
    """Renewing may run at the same time as recording."""
    await track(store, clock)
    done = await ask_about(store, clock)
    await store.tasks.renew([done.lease], clock())

    assert await store.tasks.next_due() is None


async def test_next_due_is_the_earliest_due_time_or_end_of_a_lease(store: Store, clock: FakeClock):
    """The loop sleeps until then."""
    assert await store.tasks.next_due() is None
    await track(store, clock)
    assert await store.tasks.next_due() == clock()
    await claimed(store, clock)

    assert await store.tasks.next_due() == clock() + LEASE_TIME


@alone
async def test_orphans_are_not_polled_before_the_interval_is_over(store: Store, clock: FakeClock):
    """Repeated crashes must not poll faster."""
    await track(store, clock)
    polled_at = clock()
    await claimed(store, clock)
    clock.advance(5 * SECOND)

    assert await store.recover(clock(), INTERVAL) == 1
    assert await store.tasks.next_due() == polled_at + INTERVAL


async def test_old_orphans_are_due_at_once(store: Store, clock: FakeClock):
    """They do not wait for the rest of the lease."""
    await track(store, clock)
    await claimed(store, clock)
    clock.advance(INTERVAL + 1)
    await store.recover(clock(), INTERVAL)

    assert await claimed(store, clock) == [TASK]


@alone
async def test_orphan_release_ends_the_old_lease(store: Store, clock: FakeClock):
    """The outcome of the dead process cannot be recorded."""
    await track(store, clock)
    old = await outcome(store, clock, DONE)
    await store.recover(clock(), INTERVAL)

    assert await store.tasks.record([old], clock()) == 0
    assert (await look_up(store)).task.state is TaskState.WAITING


async def test_orphan_release_keeps_tasks_without_a_lease(store: Store, clock: FakeClock):
    await track(store, clock)

    assert await store.recover(clock() + HOUR, INTERVAL) == 0
    assert await store.tasks.next_due() == clock()


async def test_batch_of_mixed_verdicts_is_recorded_together(store: Store, clock: FakeClock):
    """A commit costs an fsync, so many outcomes share one."""
    verdicts: dict[str, Verdict] = {
        "done": DONE,
        "failed": FAILED,
        "lost": LOST,
        "status": make_waiting(
            api_status="processing",
            api_status_since=clock() + SECOND,
            due_at=clock() + INTERVAL,
            polled_at=clock() + SECOND - 1,
        ),
        "same": make_waiting(attempt=2, doubt_count=1, polled_at=clock() + SECOND - 1),
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
    assert (found["same"].attempt, found["same"].doubt_count, found["same"].api_status) == (2, 1, None)
    assert {task.polled_at for task in found.values()} == {clock() - 1}


@pytest.mark.parametrize("verdict", [DONE, FAILED, LOST], ids=lambda v: v.state)
async def test_final_verdict_makes_every_open_delivery_due(store: Store, clock: FakeClock, verdict: Final):
    """In the same transaction, so that a final task never has an open delivery."""
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)
    await ask_about(store, clock, verdict)

    for channel in (CHANNEL, OTHER_CHANNEL):
        delivery = (await look_up(store, channel=channel)).delivery
        assert (delivery.state, delivery.due_at) == (DeliveryState.DUE, clock() - RESULT_FOLLOWS)


async def test_final_verdict_keeps_a_cancelled_delivery_as_it_is(store: Store, clock: FakeClock):
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)
    await store.tracking.cancel(CHANNEL, TASK, 100, clock(), may_cancel_any=False)
    await ask_about(store, clock)

    assert (await look_up(store)).delivery.state is DeliveryState.CANCELLED


@pytest.mark.parametrize("verdict", [FAILED, LOST, make_waiting(api_status="queued"), make_waiting()])
async def test_task_that_ended_stays_ended(store: Store, clock: FakeClock, verdict: Verdict):
    """A poll under an older lease is recorded after the end."""
    await track(store, clock)
    late = await outcome(store, clock, verdict)
    clock.advance(LEASE_TIME)
    await ask_about(store, clock, DONE)
    before = await look_up(store)

    assert await store.tasks.record([late], clock()) == 0
    assert await look_up(store) == before


async def test_final_task_cannot_end_again_under_the_same_lease(store: Store, clock: FakeClock):
    """A batch is written twice if the database's answer was lost."""
    await track(store, clock)
    done = await ask_about(store, clock)

    assert await store.tasks.record([done, replace(done, verdict=FAILED)], clock()) == 0
    assert (await look_up(store)).task.state is TaskState.COMPLETED


async def test_empty_batch_records_nothing(store: Store, clock: FakeClock):
    assert await store.tasks.record([], clock()) == 0


# -- the stored state of a task ----------------------------------------------------------------------


async def test_everything_that_a_verdict_decided_is_stored(store: Store, clock: FakeClock):
    """The next verdict is decided from the row only."""
    await track(store, clock)
    judged = make_task(
        polled_at=clock(),
        judged_at=clock(),
        due_at=clock() + MINUTE,
        planned_delay=MINUTE,
        attempt=3,
        known=True,
        api_status="processing",
        api_status_since=clock() - 1,
        doubt=Doubt.REFUSED,
        doubt_count=4,
        doubt_time=5 * MINUTE,
        answered_time=6 * MINUTE,
        silent_time=7 * MINUTE,
        words="no access",
        trouble=Trouble.REFUSED,
        model="veo3.1",
        created=clock() - HOUR,
    )
    await ask_about(store, clock, make_waiting(judged))

    assert (await look_up(store)).task == judged


async def test_verdict_that_ends_a_doubt_clears_it_in_the_row(store: Store, clock: FakeClock):
    """Earlier sums are not added to later ones."""
    await track(store, clock)
    doubted = {"doubt": Doubt.UNKNOWN_ID, "doubt_count": 2, "doubt_time": 5, "silent_time": 5, "attempt": 1}
    await ask_about(
        store, clock, make_waiting(**doubted, words="no", trouble=Trouble.SILENCE, due_at=clock())
    )
    await ask_about(store, clock, make_waiting(known=True))

    assert (await look_up(store)).task == make_task(known=True, polled_at=clock())


async def test_everything_of_a_final_verdict_is_stored(store: Store, clock: FakeClock):
    """Reason, cause, link and its end, and the API's data about the clip."""
    cause = Problem(ProblemCode.PAST_DEADLINE, {"deadline": 6, "api_status": "queued"})
    verdict = Final(
        TaskState.LOST,
        reason="its words",
        cause=cause,
        video_url=URL,
        seconds=8.5,
        model="veo3.1",
        created=clock() - HOUR,
        link_ends_at=clock() + HOUR,
        took=90_000,
    )
    await track(store, clock)
    await ask_about(store, clock, verdict)

    task = (await look_up(store)).task
    assert (task.state, task.reason, task.cause) == (TaskState.LOST, "its words", cause.to_text())
    assert (task.video_url, task.link_ends_at) == (URL, clock() - RESULT_FOLLOWS + HOUR)
    assert (task.seconds, task.model, task.took) == (8.5, "veo3.1", 90_000)
    assert task.created == clock() - RESULT_FOLLOWS - HOUR


# -- the poll of an API pause --------------------------------------------------------------------------


async def test_claim_one_claims_only_that_task(store: Store, clock: FakeClock):
    """Although another has been due for longer."""
    await track(store, clock, "t1", "t2", "t3")
    claim = await store.tasks.claim_one("t2", clock())

    assert [task.id for task in claim.work] == ["t2"]
    assert claim.work[0].polled_at == clock()
    assert sorted(await claimed(store, clock)) == ["t1", "t3"]
    assert await store.tasks.postpone("t2", claim.lease, clock())


async def test_claim_one_claims_no_other_task_instead(store: Store, clock: FakeClock):
    """If the task is held, not due, ended or unknown."""
    await track(store, clock, "held", "later", "ended", "other")
    await ask_about(store, clock, make_waiting(due_at=clock() + INTERVAL), task_id="later")
    await ask_about(store, clock, task_id="ended")
    clock.advance(-RESULT_FOLLOWS)
    await store.tasks.claim_one("held", clock())

    for task_id in ("held", "later", "ended", "unknown"):
        assert (await store.tasks.claim_one(task_id, clock())).work == ()
    assert await claimed(store, clock) == ["other"]


async def test_claim_unrefused_prefers_a_task_that_the_api_does_not_refuse(store: Store, clock: FakeClock):
    """However long the refused one has been due. Other doubts are no refusals."""
    await track(store, clock, "refused", "unknown")
    await ask_about(store, clock, make_waiting(doubt=Doubt.REFUSED, due_at=clock() - HOUR), task_id="refused")
    await ask_about(store, clock, make_waiting(doubt=Doubt.UNKNOWN_ID), task_id="unknown")

    taken = [(await store.tasks.claim_unrefused(clock())).work for _ in range(3)]

    assert [[task.id for task in work] for work in taken] == [["unknown"], ["refused"], []]


async def test_is_other_waiting_ignores_itself_and_refused_and_ended_tasks(store: Store, clock: FakeClock):
    """Only another task can show whether the key is valid."""
    await track(store, clock, TASK, "refused", "ended")
    await ask_about(store, clock, make_waiting(doubt=Doubt.REFUSED), task_id="refused")
    await ask_about(store, clock, task_id="ended")
    assert not await store.tasks.is_other_waiting(TASK)
    assert await store.tasks.is_other_waiting("refused")

    await track(store, clock, "other", channel=OTHER_CHANNEL)
    assert await store.tasks.is_other_waiting(TASK)
    await store.tracking.cancel(OTHER_CHANNEL, "other", 100, clock(), may_cancel_any=False)
    assert not await store.tasks.is_other_waiting(TASK)


async def test_is_other_known_id_unknown_counts_only_known_waiting_ids(store: Store, clock: FakeClock):
    """A mistyped id of another user says nothing about the API."""
    await track(store, clock, TASK, "other")
    await ask_about(store, clock, make_waiting(known=True, doubt=Doubt.UNKNOWN_ID))
    assert not await store.tasks.is_other_known_id_unknown(TASK)
    assert await store.tasks.is_other_known_id_unknown("other")

    for row, expected in (
        (make_waiting(known=False, doubt=Doubt.UNKNOWN_ID), False),
        (make_waiting(known=True), False),
        (make_waiting(known=True, doubt=Doubt.NOT_FOUND), True),
        (make_waiting(known=True, doubt=Doubt.UNKNOWN_ID), True),
        (LOST, False),
    ):
        await ask_about(store, clock, row, task_id="other")
        assert await store.tasks.is_other_known_id_unknown(TASK) is expected


async def test_show_pause_makes_the_cards_of_waiting_tasks_due(store: Store, clock: FakeClock):
    """Cards of ended tasks stay as they are."""
    waiting = await track(store, clock, "waiting")
    ended = await track(store, clock, "ended")
    await ask_about(store, clock, task_id="ended")
    for number, registered in enumerate((waiting, ended)):
        assert registered.card
        await store.cards.set_message(registered.card.card.id, 900 + number, now=0)
    claim = await store.cards.claim(10, clock())
    for view in claim.work:
        await store.cards.mark_edited(view.card, claim.lease, clock())
    await store.tasks.show_pause(clock())

    assert [view.rows[0].task.id for view in (await store.cards.claim(10, clock())).work] == ["waiting"]


# -- a wrong clock -------------------------------------------------------------------------------------


async def test_task_that_is_due_further_ahead_than_any_pause_is_due_now(store: Store, clock: FakeClock):
    """Two intervals or ten minutes, plus a minute for clocks that differ; nearer times stay."""
    await track(store, clock, "near", "far")
    await ask_about(store, clock, make_waiting(due_at=clock() + 11 * MINUTE), task_id="near")
    await ask_about(store, clock, make_waiting(due_at=clock() + 11 * MINUTE + 1), task_id="far")

    assert await store.tasks.pull_back(clock()) == 1
    assert await claimed(store, clock) == ["far"]
    assert await store.tasks.pull_back(clock()) == 0
    assert await store.tasks.next_due() == clock() + LEASE_TIME


async def test_lease_that_a_wrong_clock_gave_ends_now(store: Store, clock: FakeClock):
    """The process died while its clock was an hour ahead."""
    await track(store, clock)
    await store.tasks.claim(1, clock() + HOUR)

    assert await store.tasks.pull_back(clock()) == 1
    assert await claimed(store, clock) == [TASK]


async def test_ended_task_is_never_pulled_back(store: Store, clock: FakeClock):
    """It is never due."""
    await track(store, clock)
    await ask_about(store, clock)

    assert await store.tasks.pull_back(clock() - 9 * HOUR) == 0
    assert await store.tasks.next_due() is None


# -- fresh links -----------------------------------------------------------------------------------


async def test_link_poll_is_stored_before_it_is_made(store: Store, clock: FakeClock):
    """The interval counts from it. The caller gets the task as it was."""
    await track(store, clock)
    await ask_about(store, clock)
    before = (await look_up(store)).task
    clock.advance(INTERVAL)

    assert await store.tasks.begin_link_poll(TASK, clock(), INTERVAL) == before
    assert (await look_up(store)).task == replace(before, polled_at=clock())


async def test_link_poll_within_the_interval_is_refused(store: Store, clock: FakeClock):
    """The poll before still counts."""
    await track(store, clock)
    await ask_about(store, clock)
    polled_at = (await look_up(store)).task.polled_at
    assert polled_at is not None
    clock.now = polled_at + INTERVAL - 1

    task = await store.tasks.begin_link_poll(TASK, clock(), INTERVAL)

    assert task is not None
    assert task.polled_at == (await look_up(store)).task.polled_at == polled_at


async def test_link_poll_in_the_future_is_ignored(store: Store, clock: FakeClock):
    """A wrong clock stored it."""
    await track(store, clock)
    await ask_about(store, clock)
    clock.advance(-HOUR)

    await store.tasks.begin_link_poll(TASK, clock(), INTERVAL)

    assert (await look_up(store)).task.polled_at == clock()


@pytest.mark.parametrize("verdict", [make_waiting(), FAILED, LOST], ids=["waiting", "failed", "lost"])
async def test_link_poll_is_for_completed_tasks_only(store: Store, clock: FakeClock, verdict: Verdict):
    """Other tasks have no link."""
    await track(store, clock)
    await ask_about(store, clock, verdict)
    before = await look_up(store)

    assert await store.tasks.begin_link_poll(TASK, clock(), INTERVAL) is None
    assert await store.tasks.begin_link_poll("vgen_never", clock(), INTERVAL) is None
    assert await look_up(store) == before


async def test_only_one_of_concurrent_link_polls_is_allowed(store: Store, clock: FakeClock):
    await track(store, clock)
    await ask_about(store, clock)
    clock.advance(INTERVAL)

    found = await asyncio.gather(*(store.tasks.begin_link_poll(TASK, clock(), INTERVAL) for _ in range(5)))

    assert sum(task is not None and task.polled_at != clock() for task in found) == 1


async def test_replaced_link_changes_nothing_else(store: Store, clock: FakeClock):
    """The task is not polled because of it."""
    await track(store, clock)
    await ask_about(store, clock)
    before = await look_up(store)

    task = await store.tasks.replace_link(TASK, "https://cdn.example/v/2.mp4", clock() + HOUR)

    assert task == replace(before.task, video_url="https://cdn.example/v/2.mp4", link_ends_at=clock() + HOUR)
    assert await look_up(store) == replace(before, task=task)
    assert await store.tasks.next_due() is None
