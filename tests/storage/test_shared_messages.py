"""Ids of one command that the API never knew share one message, which is decided before it is sent."""

import pytest
import sqlalchemy as sa

from bot.core.clock import MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode
from bot.core.results import Sending
from bot.core.tasks import DeliveryState, Doubt, DueDelivery, TaskState
from bot.core.tracking import UntrackResult
from bot.core.verdicts import Final
from bot.storage.store import Store
from bot.storage.tables import deliveries
from tests.factories import (
    CHANNEL,
    FAILED,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    ask_about,
    look_up,
    make_task,
    make_waiting,
    mark_posted,
    mark_undeliverable,
    post_next,
    press_bell,
    take_delivery,
    track,
)
from tests.timing import FakeClock

UNKNOWN = Final(TaskState.LOST, cause=Problem(ProblemCode.UNKNOWN_ID))
IDS = ("a", "b", "c")


async def never_known(store: Store, clock: FakeClock, *ids: str, channel: int = CHANNEL) -> None:
    await track(store, clock, *ids, channel=channel)
    for task_id in ids:
        await ask_about(store, clock, UNKNOWN, task_id=task_id)


async def lead(store: Store, clock: FakeClock) -> tuple[int, DueDelivery, Sending]:
    """The next due delivery, with its sending begun."""
    lease, due = await take_delivery(store, clock)
    sending = await store.deliveries.begin_sending(due, lease, clock())
    assert sending
    return lease, due, sending


async def is_nothing_due(store: Store, clock: FakeClock) -> bool:
    return not (await store.deliveries.claim(1, clock())).work


async def untrack(store: Store, clock: FakeClock, task_id: str) -> UntrackResult:
    return await store.tracking.cancel(CHANNEL, task_id, OWNER, clock(), may_cancel_any=False)


async def states(store: Store, *ids: str) -> list[DeliveryState]:
    return [(await look_up(store, task_id)).delivery.state for task_id in ids]


async def test_first_that_is_sent_leads_the_others_of_its_card(store: Store, clock: FakeClock):
    """The others cannot be claimed while it is being sent."""
    await never_known(store, clock, *IDS)

    _, due, sending = await lead(store, clock)

    assert (due.task.id, sending.shared_ids) == ("a", ("b", "c"))
    assert await is_nothing_due(store, clock)
    assert [(await look_up(store, task_id)).delivery.due_at for task_id in IDS[1:]] == [None, None]
    leaders = [(await look_up(store, task_id)).delivery.leader_id for task_id in IDS]
    assert leaders == [None, due.delivery.id, due.delivery.id]


async def test_end_of_the_leader_is_the_end_of_all(store: Store, clock: FakeClock):
    """In one transaction, with one message."""
    await never_known(store, clock, *IDS)
    lease, due, _ = await lead(store, clock)

    assert await mark_posted(store, due, lease, 5000, clock())

    assert await states(store, *IDS) == [DeliveryState.POSTED] * 3
    assert {(await look_up(store, task_id)).delivery.message_id for task_id in IDS} == {5000}
    assert await is_nothing_due(store, clock)


async def test_deleted_message_is_gone_for_all_that_it_named(store: Store, clock: FakeClock):
    """Its button carries the number of the leader; another message stays."""
    await never_known(store, clock, *IDS)
    lease, due, _ = await lead(store, clock)
    await mark_posted(store, due, lease, 5000, clock())
    await never_known(store, clock, "other")
    await post_next(store, clock)

    assert await store.tracking.mark_deleted(due.delivery.id, clock())

    deleted = [(await look_up(store, task_id)).delivery.deleted_at for task_id in (*IDS, "other")]
    assert deleted == [clock(), clock(), clock(), None]


async def test_set_is_fixed_with_the_first_send(store: Store, clock: FakeClock):
    """An id that ends between two attempts gets another message, because the first may be posted."""
    await track(store, clock, *IDS)
    for task_id in ("a", "b"):
        await ask_about(store, clock, UNKNOWN, task_id=task_id)
    lease, due, first = await lead(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock(), attempt=1)
    await ask_about(store, clock, UNKNOWN, task_id="c")
    for _ in range(2):
        lease, due, sending = await lead(store, clock)
        if due.task.id == "a":
            assert sending.shared_ids == first.shared_ids == ("b",)
        else:
            assert (due.task.id, sending.shared_ids) == ("c", ())
        await mark_posted(store, due, lease, 5000 + due.delivery.id, clock())

    messages = [(await look_up(store, task_id)).delivery.message_id for task_id in IDS]
    assert messages[0] == messages[1] != messages[2]


async def test_ids_that_do_not_fit_go_into_the_next_message(store: Store, clock: FakeClock):
    """Twenty ids of 128 characters are longer than one message."""
    ids = tuple(f"vgen_{number:0>123}" for number in range(20))
    await never_known(store, clock, *ids)
    sent: list[str] = []
    messages = 0
    while sending := await _next_message(store, clock):
        sent += sending
        messages += 1

    assert sorted(sent) == sorted(ids)
    assert messages == 2


async def _next_message(store: Store, clock: FakeClock) -> list[str]:
    claim = await store.deliveries.claim(1, clock())
    for due in claim.work:
        sending = await store.deliveries.begin_sending(due, claim.lease, clock())
        assert sending
        await mark_posted(store, due, claim.lease, due.delivery.id, clock())
        return [due.task.id, *sending.shared_ids]
    return []


async def test_only_never_known_ids_of_the_same_card_share(store: Store, clock: FakeClock):
    """A failed task has its own reason; other commands and channels have their own message."""
    await track(store, clock, "a", "b", "failed")
    await track(store, clock, "other_card")
    await track(store, clock, "a", "elsewhere", channel=OTHER_CHANNEL)
    for task_id in ("a", "b", "other_card", "elsewhere"):
        await ask_about(store, clock, UNKNOWN, task_id=task_id)
    await ask_about(store, clock, FAILED, task_id="failed")

    _, due, sending = await lead(store, clock)

    assert (due.delivery.channel_id, due.task.id, sending.shared_ids) == (CHANNEL, "a", ("b",))


async def test_redeliveries_have_no_card_and_share_nothing(store: Store, clock: FakeClock):
    both = ((CHANNEL, "a"), (OTHER_CHANNEL, "b"))
    for channel, task_id in both:
        await never_known(store, clock, task_id, channel=channel)
        await lead_and_post(store, clock)
    for channel, task_id in both:
        existing = await look_up(store, task_id, channel)
        assert await store.tracking.redeliver(existing, STRANGER, clock())

    _, due, sending = await lead(store, clock)
    assert (due.task.id, sending.shared_ids) == ("a", ())
    _, due, sending = await lead(store, clock)
    assert (due.task.id, sending.shared_ids) == ("b", ())


async def test_watchers_of_all_are_mentioned_once(store: Store, clock: FakeClock):
    """The bell on the card is for all its tasks."""
    registered = await track(store, clock, *IDS)
    await press_bell(store, registered, STRANGER)
    for task_id in IDS:
        await ask_about(store, clock, UNKNOWN, task_id=task_id)

    _, _, sending = await lead(store, clock)

    assert sending.watchers == (STRANGER,)


@pytest.mark.parametrize("task_id", ["a", "b"], ids=["leader", "follower"])
@pytest.mark.parametrize("is_postponed", [False, True], ids=["being sent", "between two attempts"])
async def test_id_that_a_message_may_already_name_cannot_be_cancelled(
    store: Store, clock: FakeClock, task_id: str, is_postponed: bool
):
    """The answer to the first attempt may be lost, so another message could name the id again."""
    await never_known(store, clock, *IDS)
    lease, due, _ = await lead(store, clock)
    if is_postponed:
        await store.deliveries.postpone(due.delivery.id, lease, clock() + MINUTE, attempt=1)

    assert await untrack(store, clock, task_id) is UntrackResult.BEING_POSTED
    assert await states(store, *IDS) == [DeliveryState.DUE] * 3


async def test_undeliverable_leader_shares_its_end_and_its_return(store: Store, clock: FakeClock):
    """They return together, in one message."""
    await never_known(store, clock, *IDS)
    lease, due, _ = await lead(store, clock)
    assert await mark_undeliverable(store, due, lease, clock())
    assert await states(store, *IDS) == [DeliveryState.UNDELIVERABLE] * 3
    ids = [row.delivery_id for row in await store.guilds.refused(1)]
    assert len(ids) == 3

    assert await store.guilds.revive(ids, clock()) == 3

    due_at = [(await look_up(store, task_id)).delivery.due_at for task_id in IDS]
    assert due_at == [clock(), None, None]
    _, due, sending = await lead(store, clock)
    assert (due.task.id, sending.shared_ids) == ("a", ("b", "c"))
    assert await is_nothing_due(store, clock)


async def test_follower_that_returns_alone_is_posted_alone(store: Store, clock: FakeClock):
    """Its leader was redelivered before."""
    await never_known(store, clock, "a", "b")
    lease, due, _ = await lead(store, clock)
    await mark_undeliverable(store, due, lease, clock())
    assert await store.tracking.redeliver(await look_up(store, "a"), OWNER, clock())
    ids = [row.delivery_id for row in await store.guilds.refused(1)]

    assert await store.guilds.revive(ids, clock()) == 1

    assert (await look_up(store, "b")).delivery.leader_id is None
    sent = {(await lead_and_post(store, clock)), (await lead_and_post(store, clock))}
    assert sent == {("a", ()), ("b", ())}


async def lead_and_post(store: Store, clock: FakeClock) -> tuple[str, tuple[str, ...]]:
    lease, due, sending = await lead(store, clock)
    await mark_posted(store, due, lease, due.delivery.id, clock())
    return due.task.id, sending.shared_ids


# -- waiting for the others ------------------------------------------------------------------------


async def doubted(store: Store, clock: FakeClock, task_id: str, **changes: object) -> None:
    verdict = make_waiting(make_task(id=task_id), **{"doubt": Doubt.UNKNOWN_ID, "doubt_count": 1} | changes)
    await ask_about(store, clock, verdict, task_id=task_id)


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, True),
        ({"doubt": Doubt.NOT_FOUND}, True),
        ({"doubt": None, "doubt_count": 0}, False),
        ({"known": True}, False),
    ],
    ids=["unknown", "bare 404", "no doubt", "known"],
)
async def test_result_waits_for_others_that_may_share_its_message(
    store: Store, clock: FakeClock, changes: dict[str, object], waits: bool
):
    """Those that are probably unknown as well, and not longer than given."""
    await track(store, clock, "a", "late")
    await doubted(store, clock, "late", **changes)
    await ask_about(store, clock, UNKNOWN, task_id="a")
    lease, due = await take_delivery(store, clock)
    until = clock() + 30 * SECOND

    assert await store.deliveries.wait_for_card(due, lease, until) is waits
    if waits:
        assert await store.deliveries.next_due() == until


async def test_result_does_not_wait_for_another_card(store: Store, clock: FakeClock):
    await never_known(store, clock, "a")
    await track(store, clock, "late")
    await doubted(store, clock, "late")
    lease, due = await take_delivery(store, clock)

    assert not await store.deliveries.wait_for_card(due, lease, clock() + SECOND)


async def test_lost_lease_does_not_postpone(store: Store, clock: FakeClock):
    """Another process decides."""
    await track(store, clock, "a", "late")
    await doubted(store, clock, "late")
    await ask_about(store, clock, UNKNOWN, task_id="a")
    lease, due = await take_delivery(store, clock)

    assert not await store.deliveries.wait_for_card(due, lease + 1, clock() + SECOND)
    assert await store.deliveries.begin_sending(due, lease + 1, clock()) is None


# -- the stored state of an attempt ----------------------------------------------------------------


async def test_first_send_is_proven_only_once_and_only_in_its_process(store: Store, clock: FakeClock):
    """In a restored database or another process's row the message is looked up."""
    await never_known(store, clock, "a")
    lease, due = await take_delivery(store, clock)
    assert due.is_first_send
    await store.deliveries.begin_sending(due, lease, clock())
    await store.deliveries.postpone(due.delivery.id, lease, clock())
    assert not (await take_delivery(store, clock))[1].is_first_send

    await never_known(store, clock, "b", channel=OTHER_CHANNEL)
    await store.database.run(lambda c: c.execute(sa.update(deliveries).values(run=7)))
    assert not (await take_delivery(store, clock))[1].is_first_send


async def test_time_of_the_first_refusal_stays(store: Store, clock: FakeClock):
    """The month and the three days count from then, however often the delivery is revived."""
    await never_known(store, clock, "a")
    first = clock()
    for _ in range(3):
        lease, due = await take_delivery(store, clock)
        await mark_undeliverable(store, due, lease, clock())
        assert (await look_up(store, "a")).delivery.ended_at == first
        clock.advance(MINUTE)
        await store.guilds.revive([due.delivery.id], clock())


async def test_direct_message_is_marked_before_and_after(store: Store, clock: FakeClock):
    """A second process looks up a message that the first may have sent."""
    await never_known(store, clock, "a")
    lease, due = await take_delivery(store, clock)
    queue, number, began = store.deliveries, due.delivery.id, clock()

    first = await queue.begin_telling(number, lease, began)
    again = await queue.begin_telling(number, lease, clock.advance(SECOND))
    await queue.mark_told(number, lease, clock())
    over = await queue.begin_telling(number, lease, clock())

    assert first
    assert again
    assert over
    assert (first.since, first.is_over) == (None, False)
    assert (again.since, again.is_over) == (began, False)
    assert over.is_over
    assert await queue.begin_telling(number, lease + 1, clock()) is None
