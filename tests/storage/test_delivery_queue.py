"""The deliveries as a queue: one at a time per channel, and only the state changes of the table."""

import asyncio
import itertools

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import DAY, HOUR, MINUTE
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import DeliveryState, DueDelivery, TaskState
from bot.core.tracking import UntrackResult
from bot.storage.store import LEASE_TIME, Store
from bot.storage.tables import deliveries
from tests.conftest import INTERVAL
from tests.factories import (
    CHANNEL,
    FAILED,
    GUILD,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    alone,
    ask_about,
    look_up,
    mark_posted,
    mark_undeliverable,
    post_next,
    press_bell,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock


async def claimed(store: Store, clock: FakeClock) -> list[tuple[int, str]]:
    return [(due.delivery.channel_id, due.task.id) for due in (await store.deliveries.claim(1, clock())).work]


async def two_ended(store: Store, clock: FakeClock) -> None:
    """t1 and t2, both due in CHANNEL; t2 also in OTHER_CHANNEL."""
    await track(store, clock, "t1", "t2")
    await track(store, clock, "t2", channel=OTHER_CHANNEL)
    await ask_about(store, clock, task_id="t1")
    clock.advance(1)
    await ask_about(store, clock, task_id="t2")


async def test_claim_gives_the_longest_due_with_all_that_its_message_needs(store: Store, clock: FakeClock):
    """With its task and its watchers."""
    registered = await track(store, clock)
    assert registered.card
    await press_bell(store, registered, STRANGER)
    await ask_about(store, clock, FAILED)

    _, due = await take_delivery(store, clock)

    assert (due.task.id, due.task.state, due.task.reason) == (TASK, TaskState.FAILED, "content policy")
    assert (due.delivery.guild_id, due.delivery.channel_id) == (GUILD, CHANNEL)
    assert due.watchers == (STRANGER,)


async def test_open_delivery_is_not_claimed(store: Store, clock: FakeClock):
    """Its task is still waiting."""
    await track(store, clock)

    assert await claimed(store, clock) == []
    assert await store.deliveries.next_due() is None


async def test_busy_channel_delays_no_other_channel(store: Store, clock: FakeClock):
    """One delivery at a time per channel."""
    await two_ended(store, clock)

    assert await claimed(store, clock) == [(CHANNEL, "t1")]
    assert await claimed(store, clock) == [(OTHER_CHANNEL, "t2")]
    assert await claimed(store, clock) == []


async def test_channel_is_free_again_after_its_delivery_ended(store: Store, clock: FakeClock):
    await two_ended(store, clock)
    await post_next(store, clock)

    assert set(await claimed(store, clock) + await claimed(store, clock)) == {
        (CHANNEL, "t2"),
        (OTHER_CHANNEL, "t2"),
    }


async def test_channel_is_free_while_its_delivery_waits_for_a_retry(store: Store, clock: FakeClock):
    """A video that cannot be downloaded does not block the channel."""
    await two_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock() + HOUR, attempt=1, last_error="slow")

    assert (CHANNEL, "t2") in await claimed(store, clock) + await claimed(store, clock)


async def test_claimed_delivery_is_due_again_only_when_its_lease_ends(store: Store, clock: FakeClock):
    """A killed process loses nothing."""
    await track_ended(store, clock)
    assert await claimed(store, clock) == [(CHANNEL, TASK)]

    clock.advance(LEASE_TIME - 1)
    assert await claimed(store, clock) == []
    clock.advance(1)
    assert await claimed(store, clock) == [(CHANNEL, TASK)]


async def test_concurrent_claims_never_share_a_delivery(store: Store, clock: FakeClock):
    """Six channels, ten claims: each delivery once."""
    for channel in range(6):
        await track(store, clock, channel=channel)
    await ask_about(store, clock)

    shares = await asyncio.gather(*(claimed(store, clock) for _ in range(10)))

    assert sorted(itertools.chain(*shares)) == [(channel, TASK) for channel in range(6)]


async def test_sending_time_is_that_of_the_first_send(store: Store, clock: FakeClock):
    """Discord remembers the nonce from then on."""
    await track_ended(store, clock)
    first = clock()
    for _ in range(2):
        lease, due = await take_delivery(store, clock)
        assert await store.deliveries.begin_sending(due, lease, clock())
        await store.deliveries.postpone(due.delivery.id, lease, clock() + 1, attempt=1, last_error="cut")
        clock.advance(MINUTE)

    assert (await look_up(store)).delivery.first_sent_at == first


async def test_sending_does_not_begin_with_a_lost_lease(store: Store, clock: FakeClock):
    """Another process posts the result."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    assert not await store.deliveries.begin_sending(due, lease + 1, clock())
    assert (await look_up(store)).delivery.first_sent_at is None


async def test_sending_does_not_begin_after_untrack(store: Store, clock: FakeClock):
    """It was cancelled during the download."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)

    assert not await store.deliveries.begin_sending(due, lease, clock())


async def test_posted_delivery_has_ended_with_its_message(store: Store, clock: FakeClock):
    """It is recorded only after Discord has answered with an id."""
    await track_ended(store, clock)
    await post_next(store, clock, 5000)

    delivery = (await look_up(store)).delivery
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, 5000)
    assert (delivery.due_at, delivery.ended_at) == (None, clock())
    assert await store.deliveries.next_due() is None


async def test_posted_clears_the_error_of_earlier_attempts(store: Store, clock: FakeClock):
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock(), attempt=1, last_error="slow")
    assert (await look_up(store)).delivery.last_error == "slow"
    await post_next(store, clock)

    assert (await look_up(store)).delivery.last_error is None


async def test_undeliverable_delivery_keeps_its_reason(store: Store, clock: FakeClock):
    """/veo status shows it."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    assert await mark_undeliverable(store, due, lease, clock())
    delivery = (await look_up(store)).delivery
    assert (delivery.state, delivery.last_error) == (
        DeliveryState.UNDELIVERABLE,
        Problem(ProblemCode.NO_ACCESS).to_text(),
    )
    assert (delivery.due_at, delivery.ended_at) == (None, clock())


async def test_recording_with_a_lost_lease_changes_nothing(store: Store, clock: FakeClock):
    """Posted, undeliverable, postponed, given back."""
    await track_ended(store, clock)
    old, due = await take_delivery(store, clock)
    clock.advance(LEASE_TIME)
    await take_delivery(store, clock)
    before = await look_up(store)

    queue = store.deliveries
    assert not await mark_posted(store, due, old, 5000, clock())
    assert not await mark_undeliverable(store, due, old, clock())
    assert not await queue.postpone(due.delivery.id, old, clock(), attempt=9, last_error="no")
    assert not await queue.postpone(due.delivery.id, old, clock())
    assert await look_up(store) == before


async def test_posted_delivery_cannot_be_recorded_again_under_the_same_lease(store: Store, clock: FakeClock):
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await mark_posted(store, due, lease, 5000, clock())

    assert not await mark_posted(store, due, lease, 6000, clock())
    assert not await mark_undeliverable(store, due, lease, clock())
    assert (await look_up(store)).delivery.message_id == 5000


async def test_cancelled_delivery_cannot_be_posted_under_its_old_lease(store: Store, clock: FakeClock):
    """Untracking ends the lease."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    cancelled = await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)

    assert cancelled is UntrackResult.CANCELLED
    assert not await mark_posted(store, due, lease, 5000, clock())
    assert (await look_up(store)).delivery.state is DeliveryState.CANCELLED


async def test_given_back_delivery_is_due_at_once_and_lost_no_attempt(store: Store, clock: FakeClock):
    """The process stopped before it tried anything."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    assert await store.deliveries.postpone(due.delivery.id, lease, clock())
    _, again = await take_delivery(store, clock)
    assert again.delivery.attempt == 0


async def test_renewed_lease_keeps_a_long_upload(store: Store, clock: FakeClock):
    """512 MiB take longer than a lease."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    clock.advance(LEASE_TIME - 1)
    await store.deliveries.renew([lease], clock())
    clock.advance(LEASE_TIME - 1)

    assert await claimed(store, clock) == []
    assert await mark_posted(store, due, lease, 5000, clock())


@alone
async def test_orphaned_delivery_is_due_at_once(store: Store, clock: FakeClock):
    """After a restart."""
    await track_ended(store, clock)
    await take_delivery(store, clock)

    assert await store.recover(clock(), INTERVAL) == 1
    assert await claimed(store, clock) == [(CHANNEL, TASK)]


async def test_task_is_needed_until_every_channel_has_its_end(store: Store, clock: FakeClock):
    """The file is kept as long."""
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)
    assert await store.deliveries.is_owed(TASK, clock())
    await ask_about(store, clock)
    await post_next(store, clock)
    assert await store.deliveries.is_owed(TASK, clock())
    await post_next(store, clock)

    assert not await store.deliveries.is_owed(TASK, clock())


async def test_tasks_to_keep_are_completed_with_an_open_delivery(store: Store, clock: FakeClock):
    """Failed, waiting and posted tasks need no file."""
    await track(store, clock, "open", "failed", "posted", "owed")
    await ask_about(store, clock, task_id="posted")
    await post_next(store, clock)
    await ask_about(store, clock, task_id="owed")
    await ask_about(store, clock, FAILED, task_id="failed")

    assert await store.deliveries.tasks_to_keep(clock()) == {"owed"}


async def test_video_of_an_undeliverable_result_is_kept_for_three_days(store: Store, clock: FakeClock):
    """The channel may accept it again after the API's link has expired."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await mark_undeliverable(store, due, lease, clock())

    clock.advance(3 * DAY - 1)
    assert await store.deliveries.is_owed(TASK, clock())
    assert await store.deliveries.tasks_to_keep(clock()) == {TASK}
    clock.advance(1)
    assert not await store.deliveries.is_owed(TASK, clock())
    assert await store.deliveries.tasks_to_keep(clock()) == set()


async def test_users_take_turns_however_much_one_of_them_tracks(store: Store, clock: FakeClock):
    """Fifty videos that were completed first must not delay the one of another user."""
    many = [f"vgen_many{n:04d}" for n in range(10)]
    for number, task_id in enumerate(many):
        await track(store, clock, task_id, channel=CHANNEL + number)
    await track(store, clock, "vgen_one", by=STRANGER, channel=999)
    for task_id in [*many, "vgen_one"]:
        await ask_about(store, clock, task_id=task_id)
        clock.advance(1)

    served = []
    for _ in range(3):
        served.append((await post_next(store, clock)).delivery.requester_id)
        clock.advance(1)

    assert served == [OWNER, STRANGER, OWNER]


async def test_quarantine_reason_is_kept_until_an_attempt_succeeds(store: Store, clock: FakeClock):
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.postpone(
        due.delivery.id, lease, clock(), attempt=1, last_error="a bug", quarantine_reason="KeyError: 1"
    )
    assert await quarantine_reasons(store) == ["KeyError: 1"]

    await post_next(store, clock)

    assert await quarantine_reasons(store) == []


async def quarantine_reasons(store: Store) -> list[str]:
    database = store.deliveries._database
    return await database.run(read_reasons)


async def read_reasons(connection: AsyncConnection) -> list[str]:
    found = sa.select(deliveries.c.quarantine_reason).where(deliveries.c.quarantine_reason.is_not(None))
    return list((await connection.execute(found)).scalars())


async def test_delivery_that_is_due_further_ahead_than_an_hour_is_due_now(store: Store, clock: FakeClock):
    """A wrong clock planned it: an hour is the longest pause, plus a minute for clocks that differ."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock() + HOUR + MINUTE)
    assert await store.deliveries.pull_back(clock()) == 0

    assert await store.deliveries.pull_back(clock() - 1) == 1
    assert await store.deliveries.next_due() == clock() - 1


# -- preparing (download before the channel is needed) ---------------------------------------------


async def take_and_prepare(store: Store, clock: FakeClock) -> tuple[int, DueDelivery]:
    lease, due = await take_delivery(store, clock)
    assert await store.deliveries.begin_preparing(due.delivery.id, lease, clock()) is not None
    return lease, due


async def test_channel_is_free_while_its_delivery_is_prepared(store: Store, clock: FakeClock):
    """A slow host delays no other result of the channel."""
    await two_ended(store, clock)
    _, due = await take_and_prepare(store, clock)
    assert (await look_up(store, due.task.id, due.delivery.channel_id)).delivery.is_preparing

    assert set(await claimed(store, clock) + await claimed(store, clock)) == {
        (CHANNEL, "t2"),
        (OTHER_CHANNEL, "t2"),
    }
    assert await claimed(store, clock) == []


async def test_delivery_that_is_prepared_keeps_its_lease(store: Store, clock: FakeClock):
    """It is renewed like any other."""
    await track_ended(store, clock)
    lease, due = await take_and_prepare(store, clock)
    clock.advance(LEASE_TIME - 1)
    await store.deliveries.renew([lease], clock())
    clock.advance(LEASE_TIME - 1)

    assert await claimed(store, clock) == []
    assert await mark_posted(store, due, lease, 5000, clock())


async def test_channel_is_held_again_once_the_prepared_delivery_is_sent(store: Store, clock: FakeClock):
    """Look-up, upload and message happen one at a time per channel."""
    await track(store, clock, "t1", "t2")
    await ask_about(store, clock, task_id="t1")
    lease, due = await take_and_prepare(store, clock)
    assert await store.deliveries.begin_sending(due, lease, clock())
    assert not (await look_up(store, "t1")).delivery.is_preparing
    await ask_about(store, clock, task_id="t2")

    assert await claimed(store, clock) == []
    await mark_posted(store, due, lease, 5000, clock())
    assert await claimed(store, clock) == [(CHANNEL, "t2")]


async def test_delivery_of_a_process_that_died_while_preparing_holds_its_channel(
    store: Store, clock: FakeClock
):
    """The next process that claims it decides anew."""
    await track_ended(store, clock)
    await take_and_prepare(store, clock)
    clock.advance(LEASE_TIME)

    _, due = await take_delivery(store, clock)

    assert not due.delivery.is_preparing
    assert not (await look_up(store)).delivery.is_preparing


async def test_preparing_time_is_that_of_the_first_try(store: Store, clock: FakeClock):
    """The two hours and the ten minutes count from then."""
    await track_ended(store, clock)
    first = clock()
    for _ in range(3):
        lease, due = await take_delivery(store, clock)
        assert await store.deliveries.begin_preparing(due.delivery.id, lease, clock()) == first
        await store.deliveries.postpone(due.delivery.id, lease, clock(), is_preparing=False)
        clock.advance(MINUTE)

    assert (await look_up(store)).delivery.download_since == first


async def test_preparing_does_not_begin_with_a_lost_lease(store: Store, clock: FakeClock):
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    assert await store.deliveries.begin_preparing(due.delivery.id, lease + 1, clock()) is None
    delivery = (await look_up(store)).delivery
    assert (delivery.is_preparing, delivery.download_since) == (False, None)


async def test_preparing_does_not_begin_after_untrack(store: Store, clock: FakeClock):
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)

    assert await store.deliveries.begin_preparing(due.delivery.id, lease, clock()) is None


async def test_tries_of_a_download_are_stored_in_the_row(store: Store, clock: FakeClock):
    """Stored when it is given back, so that the next process continues to count."""
    await track_ended(store, clock)
    lease, due = await take_and_prepare(store, clock)
    numbers = {"download_attempt": 3, "download_tries": 4, "fresh_links": 2}
    await store.deliveries.postpone(due.delivery.id, lease, clock(), is_preparing=False, **numbers)

    _, again = await take_delivery(store, clock)

    found = again.delivery
    assert (found.download_attempt, found.download_tries, found.fresh_links) == (3, 4, 2)
    assert (found.download_since, found.attempt, found.is_preparing) == (clock(), 0, False)


async def test_revived_delivery_has_no_tries(store: Store, clock: FakeClock):
    """Its two hours are over, and the channel accepts messages again."""
    await track_ended(store, clock)
    lease, due = await take_and_prepare(store, clock)
    numbers = {"download_attempt": 3, "download_tries": 4, "fresh_links": 2}
    await store.deliveries.postpone(due.delivery.id, lease, clock(), **numbers)
    lease, due = await take_and_prepare(store, clock)
    await mark_undeliverable(store, due, lease, clock())

    assert await store.guilds.revive([due.delivery.id], clock()) == 1

    delivery = (await look_up(store)).delivery
    assert delivery.state is DeliveryState.DUE
    assert (delivery.is_preparing, delivery.download_since) == (False, None)
    assert (delivery.download_attempt, delivery.download_tries, delivery.fresh_links) == (0, 0, 0)


async def test_redelivery_has_no_tries(store: Store, clock: FakeClock):
    """It is another row."""
    await track_ended(store, clock)
    lease, due = await take_and_prepare(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock(), download_tries=5, fresh_links=3)
    await post_next(store, clock)

    assert await store.tracking.redeliver(await look_up(store), OWNER, clock())

    delivery = (await look_up(store)).delivery
    assert (delivery.download_since, delivery.download_tries, delivery.fresh_links) == (None, 0, 0)


async def test_fresh_link_is_tried_by_every_delivery_as_often_as_the_first(store: Store, clock: FakeClock):
    """Also by deliveries that did not poll for it."""
    await track_ended(store, clock)
    lease, due = await take_and_prepare(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock(), download_tries=5, fresh_links=1)

    await store.tasks.replace_link(TASK, "https://cdn.example/v/2.mp4", clock() + HOUR)

    delivery = (await look_up(store)).delivery
    assert (delivery.download_tries, delivery.fresh_links) == (0, 1)


async def test_show_link_makes_the_cards_of_its_task_due(store: Store, clock: FakeClock):
    """In every channel, no other card, and at the given time."""
    shown = [await track(store, clock, TASK, channel=channel) for channel in (CHANNEL, OTHER_CHANNEL)]
    other = await track(store, clock, "vgen_other", channel=99)
    for number, registration in enumerate([*shown, other]):
        assert registration.card
        await store.cards.set_message(registration.card.card.id, 900 + number, now=0)
    claim = await store.cards.claim(10, clock())
    for view in claim.work:
        await store.cards.mark_edited(view.card, claim.lease, clock())
    assert await store.cards.next_due() is None

    await store.deliveries.show_link(TASK, clock() + MINUTE)

    assert await store.cards.next_due() == clock() + MINUTE
    due = await store.cards.claim(10, clock() + MINUTE)
    assert sorted(view.card.channel_id for view in due.work) == [CHANNEL, OTHER_CHANNEL]
