"""What people ask of the database: track, untrack, deliver again, watch."""

import asyncio

import pytest

from bot.core.clock import SECOND
from bot.core.tasks import DeliveryState, Doubt, TaskState
from bot.core.tracking import (
    MAX_WATCHERS,
    Limits,
    LimitScope,
    PressedButton,
    QuotaReached,
    TrackRequest,
    UntrackResult,
    WatchResult,
)
from bot.core.verdicts import PollOutcome, Verdict
from bot.storage.store import Store, open_database, open_store
from bot.storage.task_queue import RESULT_FOLLOWS
from bot.storage.tracking import TrackingQueries
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    GUILD,
    LOST,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    ask_about,
    look_up,
    make_request,
    make_task,
    make_waiting,
    mark_posted,
    mark_undeliverable,
    post_next,
    press_bell,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock

INTERVAL = 30 * SECOND


async def untrack(
    store: Store, clock: FakeClock, *, by: int = OWNER, channel: int = CHANNEL
) -> UntrackResult:
    return await store.tracking.cancel(channel, TASK, by, clock(), may_cancel_any=False)


# -- track -----------------------------------------------------------------------------------------


async def test_new_id_is_open_and_polled_at_once(store: Store, clock: FakeClock):
    """Committed before the user reads "tracking"."""
    registered = await track(store, clock, note="the red car")

    assert registered.card
    assert registered.existing == ()
    (row,) = registered.card.rows
    assert (row.task.id, row.task.state, row.task.due_at) == (TASK, TaskState.WAITING, clock())
    assert (row.delivery.state, row.delivery.due_at) == (DeliveryState.OPEN, None)
    assert (row.delivery.guild_id, row.delivery.channel_id) == (GUILD, CHANNEL)
    assert (row.delivery.requester_id, row.delivery.note) == (OWNER, "the red car")
    assert row.delivery.card_id == registered.card.card.id


async def test_registration_survives_the_process(clock: FakeClock, database_url: str):
    """It is on the disk, not only in memory."""
    limits = Limits(1, 1, 1)
    async with open_store(database_url, limits=limits, interval=INTERVAL) as store:
        registered = await track(store, clock)
    async with open_store(database_url, limits=limits, interval=INTERVAL) as store:
        assert registered.card
        assert await store.cards.view(registered.card.card.id) == registered.card


async def test_two_channels_that_want_one_task_have_it_polled_once(store: Store, clock: FakeClock):
    """One row per task, however many channels."""
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)

    claim = await store.tasks.claim(10, clock())

    assert [task.id for task in claim.work] == [TASK]


@pytest.mark.parametrize("state", ["open", "due", "posted", "undeliverable"])
async def test_same_id_twice_in_a_channel_is_found_and_stored_once(
    store: Store, clock: FakeClock, state: str
):
    """Already tracked: with the earlier delivery, and no new card."""
    first = await track(store, clock)
    assert first.card
    await store.cards.set_message(first.card.card.id, 900)
    if state != "open":
        await ask_about(store, clock)
    if state == "posted":
        await post_next(store, clock)
    if state == "undeliverable":
        lease, due = await take_delivery(store, clock)
        await mark_undeliverable(store, due, lease, clock())

    again = await track(store, clock, by=STRANGER)

    assert again.card is None
    (existing,) = again.existing
    assert (existing.delivery.state, existing.card_message_id) == (state, 900)
    assert existing == await look_up(store)


async def test_id_untracked_before_starts_a_new_delivery(store: Store, clock: FakeClock):
    """Whoever changed their mind may change it back."""
    await track(store, clock)
    old = await look_up(store)
    await untrack(store, clock)

    again = await track(store, clock)

    assert again.card
    new = again.card.rows[0].delivery
    assert new.state is DeliveryState.OPEN
    assert (new.id, new.nonce) != (old.delivery.id, old.delivery.nonce)


async def test_lost_id_is_polled_again_from_the_start(store: Store, clock: FakeClock):
    """Lost is our verdict, not the API's. Only that the API knew it is still true."""
    await track(store, clock)
    said = {"known": True, "api_status": "queued", "doubt": Doubt.UNKNOWN_ID, "words": "not exist"}
    sums = {"doubt_count": 9, "doubt_time": 9, "answered_time": 9, "silent_time": 9, "planned_delay": 9}
    row = make_waiting(**said, **sums, attempt=9, judged_at=clock(), model="veo3.1", created=clock())
    await ask_about(store, clock, row)
    await ask_about(store, clock, LOST)
    await post_next(store, clock)
    polled_at = (await look_up(store)).task.polled_at
    clock.advance(INTERVAL)

    again = await track(store, clock)

    assert again.card
    assert again.card.rows[0].task == make_task(
        registered_at=clock(), due_at=clock(), polled_at=polled_at, known=True
    )
    assert again.card.rows[0].delivery.state is DeliveryState.OPEN


async def test_lost_id_still_to_be_posted_is_already_tracked(store: Store, clock: FakeClock):
    """Its message is on the way."""
    await track_ended(store, clock, LOST)

    assert (await track(store, clock)).card is None


async def test_lost_id_still_to_be_posted_elsewhere_is_not_polled_again(store: Store, clock: FakeClock):
    """The other channel's message would have no reason left to give; this one gives the same."""
    await track_ended(store, clock, LOST)
    clock.advance(INTERVAL)
    again = await track(store, clock, channel=OTHER_CHANNEL)

    assert again.card
    (row,) = again.card.rows
    assert (row.task.state, row.task.reason, row.delivery.state) == ("lost", LOST.reason, "due")
    assert (await look_up(store)).task.state is TaskState.LOST


@pytest.mark.parametrize(("verdict", "state"), [(DONE, "completed"), (FAILED, "failed")])
async def test_task_known_as_ended_gives_a_due_delivery_at_once(
    store: Store, clock: FakeClock, verdict: Verdict, state: str
):
    """Another channel asked before; the API need not be polled again."""
    await track_ended(store, clock, verdict)
    registered = await track(store, clock, channel=OTHER_CHANNEL)

    assert registered.card
    (row,) = registered.card.rows
    assert (row.task.state, row.delivery.state, row.delivery.due_at) == (state, "due", clock())
    assert await store.tasks.next_due() is None


async def test_mixed_request_gives_a_card_of_the_new_ids_only(store: Store, clock: FakeClock):
    """And names the earlier ones."""
    await track(store, clock, "t1")
    registered = await track(store, clock, "t1", "t2")

    assert registered.card
    assert [row.task.id for row in registered.card.rows] == ["t2"]
    assert [existing.task.id for existing in registered.existing] == ["t1"]


@pytest.mark.parametrize(
    ("request_", "scope", "used", "limit"),
    [
        (make_request("n1", "n2", channel=99, guild=99), LimitScope.USER, 2, 3),
        (make_request("n1", "n2", "n3", by=99, guild=99), LimitScope.CHANNEL, 3, 5),
        (make_request("n1", "n2", "n3", by=99, channel=99), LimitScope.GUILD, 4, 6),
    ],
    ids=lambda value: str(value) if isinstance(value, LimitScope) else "",
)
async def test_quota_reached_is_raised_with_numbers_and_stores_nothing(
    clock: FakeClock, database_url: str, request_: TrackRequest, scope: LimitScope, used: int, limit: int
):
    """Per person, per channel, per guild."""
    async with open_store(database_url, limits=Limits(3, 5, 6), interval=INTERVAL) as store:
        await track(store, clock, "t1", "t2")
        await track(store, clock, "t3", by=STRANGER)
        await track(store, clock, "t4", by=STRANGER, channel=OTHER_CHANNEL)
        with pytest.raises(QuotaReached) as raised:
            await store.tracking.register(request_, clock())

        error = raised.value
        assert (error.scope, error.used, error.limit) == (scope, used, limit)
        assert error.wanted == len(request_.ids)
        assert await store.lookups.find(request_.channel_id, "n1") is None
        assert len((await store.tasks.claim(10, clock())).work) == 4


async def test_quota_can_be_used_up_whole(clock: FakeClock, database_url: str):
    """The limit is the last number that is allowed."""
    async with open_store(database_url, limits=Limits(3, 3, 3), interval=INTERVAL) as store:
        registered = await track(store, clock, "t1", "t2", "t3")

        assert registered.card
        assert len(registered.card.rows) == 3


async def test_ended_deliveries_do_not_count(clock: FakeClock, database_url: str):
    """Only what is still owed."""
    async with open_store(database_url, limits=Limits(1, 1, 1), interval=INTERVAL) as store:
        await track_ended(store, clock)
        await post_next(store, clock)

        assert (await track(store, clock, "t2")).card


async def test_known_ids_need_no_quota(clock: FakeClock, database_url: str):
    """Asking twice is not registering."""
    async with open_store(database_url, limits=Limits(1, 1, 1), interval=INTERVAL) as store:
        await track(store, clock)

        assert len((await track(store, clock)).existing) == 1


async def test_two_who_ask_at_once_in_one_channel_leave_one_live_delivery(
    store: Store, clock: FakeClock, database_url: str
):
    """Over two connections, as two processes would."""
    database = open_database(database_url)
    other = TrackingQueries(database, limits=Limits(20, 50, 200), interval=INTERVAL, run=1)

    answers = await asyncio.gather(
        *(who.register(make_request(), clock()) for who in (store.tracking, other) * 4)
    )
    await database.close()

    assert len([answer for answer in answers if answer.card]) == 1
    assert len((await store.lookups.overview(CHANNEL, max_ended=10)).live) == 1


# -- untrack ---------------------------------------------------------------------------------------


async def test_untrack_by_the_owner_cancels(store: Store, clock: FakeClock):
    """And is written down with who did it."""
    await track(store, clock)

    assert await untrack(store, clock) is UntrackResult.CANCELLED
    delivery = (await look_up(store)).delivery
    assert (delivery.state, delivery.cancelled_by, delivery.ended_at) == ("cancelled", OWNER, clock())


async def test_untrack_of_a_due_delivery_cancels(store: Store, clock: FakeClock):
    """Not posted yet is not too late."""
    await track_ended(store, clock)

    assert await untrack(store, clock) is UntrackResult.CANCELLED
    assert await store.deliveries.next_due() is None


async def test_untrack_by_a_stranger_is_refused(store: Store, clock: FakeClock):
    """It is not theirs."""
    await track(store, clock)
    before = await look_up(store)

    assert await untrack(store, clock, by=STRANGER) is UntrackResult.NOT_YOURS
    assert await look_up(store) == before


async def test_untrack_by_who_may_cancel_any_is_allowed(store: Store, clock: FakeClock):
    """Manage Messages."""
    await track(store, clock)
    outcome = await store.tracking.cancel(CHANNEL, TASK, STRANGER, clock(), may_cancel_any=True)

    assert outcome is UntrackResult.CANCELLED
    assert (await look_up(store)).delivery.cancelled_by == STRANGER


async def test_untrack_in_another_channel_finds_nothing(store: Store, clock: FakeClock):
    """A channel knows only its own."""
    await track(store, clock)

    assert await untrack(store, clock, channel=OTHER_CHANNEL) is UntrackResult.NOT_TRACKED


async def test_untrack_while_being_posted_is_refused(store: Store, clock: FakeClock):
    """A message that is on its way cannot be held back."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())

    assert await untrack(store, clock) is UntrackResult.BEING_POSTED
    assert await mark_posted(store, due, lease, 5000, clock())


async def test_untrack_between_two_attempts_to_post_cancels(store: Store, clock: FakeClock):
    """Nobody is sending it at the moment."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())
    await store.deliveries.postpone(due.delivery.id, lease, clock() + 1, attempt=1, last_error="no")

    assert await untrack(store, clock) is UntrackResult.CANCELLED


async def test_untrack_after_the_end_is_refused(store: Store, clock: FakeClock):
    """Posted, or cancelled already."""
    await track_ended(store, clock)
    await post_next(store, clock)

    assert await untrack(store, clock) is UntrackResult.ENDED


async def test_task_that_nobody_waits_for_is_not_polled(store: Store, clock: FakeClock):
    """Not even by who is polling right now: the answer is thrown away."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    await untrack(store, clock)

    outcome = PollOutcome(claim.work[0], claim.lease, clock(), make_waiting(api_status="queued"))
    await store.tasks.record([outcome], clock())

    assert await store.tasks.next_due() is None


async def test_task_that_another_channel_waits_for_is_polled(store: Store, clock: FakeClock):
    """One of two cancels."""
    await track(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL)
    await untrack(store, clock)

    assert await store.tasks.next_due() == clock()


@pytest.mark.parametrize(("pause", "wait"), [(0, INTERVAL), (10_000, 20_000), (INTERVAL, 0), (90_000, 0)])
async def test_task_tracked_again_is_polled_no_sooner_than_the_interval(
    store: Store, clock: FakeClock, pause: int, wait: int
):
    """Tracking and untracking is no way to poll faster."""
    await track(store, clock)
    await store.tasks.claim(1, clock())
    await untrack(store, clock)
    clock.advance(pause)
    await track(store, clock)

    assert await store.tasks.next_due() == clock() + wait


async def test_task_tracked_again_and_lost_is_polled_no_sooner_than_the_interval(
    store: Store, clock: FakeClock
):
    """The same for an id that the API does not know."""
    await track_ended(store, clock, LOST)
    await post_next(store, clock)
    await track(store, clock)

    assert await store.tasks.next_due() == clock() - RESULT_FOLLOWS + INTERVAL


# -- redeliver -------------------------------------------------------------------------------------


async def test_redelivery_is_a_second_row_with_a_nonce_of_its_own(store: Store, clock: FakeClock):
    """The first nonce would bring the first message back."""
    await track_ended(store, clock)
    first = await post_next(store, clock)
    clock.advance(1)
    assert await store.tracking.redeliver(await look_up(store), STRANGER, clock())

    _, second = await take_delivery(store, clock)

    assert second.delivery.id != first.delivery.id
    assert second.delivery.nonce != first.delivery.nonce
    assert (second.delivery.requester_id, second.delivery.card_id) == (STRANGER, None)


async def test_two_who_redeliver_at_once_plan_one(store: Store, clock: FakeClock):
    """Both saw a posted delivery; only one may owe it again."""
    await track_ended(store, clock)
    await post_next(store, clock)
    seen = await look_up(store)

    planned = await asyncio.gather(*(store.tracking.redeliver(seen, by, clock()) for by in (OWNER, STRANGER)))

    assert sorted(planned) == [False, True]
    assert len((await store.lookups.overview(CHANNEL, max_ended=10)).live) == 1


async def test_redelivery_of_a_task_that_is_polled_again_is_not_planned(store: Store, clock: FakeClock):
    """It was lost when looked up; another channel has it polled again meanwhile."""
    await track_ended(store, clock, LOST)
    await post_next(store, clock)
    seen = await look_up(store)
    await track(store, clock, channel=OTHER_CHANNEL)

    assert not await store.tracking.redeliver(seen, OWNER, clock())
    assert (await look_up(store)).delivery == seen.delivery


async def test_redelivery_counts_against_the_quota(clock: FakeClock, database_url: str):
    """It owes something again."""
    async with open_store(database_url, limits=Limits(1, 9, 9), interval=INTERVAL) as store:
        await track_ended(store, clock)
        await post_next(store, clock)
        await track(store, clock, "t2")

        with pytest.raises(QuotaReached):
            await store.tracking.redeliver(await look_up(store), OWNER, clock())
        assert (await look_up(store)).delivery.state is DeliveryState.POSTED


# -- watch -----------------------------------------------------------------------------------------


async def test_watch_is_added_and_removed_by_pressing_again(store: Store, clock: FakeClock):
    """A toggle, for all that is still to come on the card."""
    registered = await track(store, clock, "t1", "t2")

    assert await press_bell(store, registered, STRANGER) is WatchResult.ADDED
    assert await press_bell(store, registered, STRANGER) is WatchResult.REMOVED
    assert await press_bell(store, registered, STRANGER) is WatchResult.ADDED
    await ask_about(store, clock, task_id="t2")
    assert (await take_delivery(store, clock))[1].watchers == (STRANGER,)


async def test_watch_by_the_owner_is_needless(store: Store, clock: FakeClock):
    """They are mentioned anyway."""
    assert await press_bell(store, await track(store, clock), OWNER) is WatchResult.OWN


async def test_watch_on_an_ended_card_is_too_late(store: Store, clock: FakeClock):
    """Nothing on it is still to come."""
    registered = await track(store, clock)
    await ask_about(store, clock)
    await post_next(store, clock)

    assert await press_bell(store, registered, STRANGER) is WatchResult.ENDED


async def test_watch_is_full_at_its_limit_and_whoever_is_on_it_can_leave(store: Store, clock: FakeClock):
    """All mentions must fit one message."""
    registered = await track(store, clock)
    for user in range(MAX_WATCHERS):
        assert await press_bell(store, registered, 1000 + user) is WatchResult.ADDED

    assert await press_bell(store, registered, STRANGER) is WatchResult.FULL
    assert await press_bell(store, registered, 1000) is WatchResult.REMOVED
    assert await press_bell(store, registered, STRANGER) is WatchResult.ADDED


# -- the pace of one person ------------------------------------------------------------------------


async def first_polls(store: Store, *ids: str) -> list[int | None]:
    return [(await look_up(store, task_id)).task.due_at for task_id in ids]


async def test_twenty_new_ids_of_a_person_are_polled_at_once_and_then_one_a_second(
    database_url: str, clock: FakeClock
):
    """Nobody's list fills everybody's time at the API."""
    async with open_store(database_url, limits=Limits(100, 100, 100), interval=INTERVAL) as store:
        first, second = [f"a{n}" for n in range(20)], [f"b{n}" for n in range(20)]
        await track(store, clock, *first)
        now = clock()
        await track(store, clock, *second)

        assert await first_polls(store, *first) == [now] * 20
        assert await first_polls(store, *second) == [now + n * SECOND for n in range(1, 21)]


async def test_pace_of_one_person_holds_up_no_other(database_url: str, clock: FakeClock):
    """Their first id is polled at once."""
    async with open_store(database_url, limits=Limits(100, 100, 100), interval=INTERVAL) as store:
        await track(store, clock, *(f"a{n}" for n in range(20)))
        await track(store, clock, *(f"b{n}" for n in range(20)))
        await track(store, clock, "theirs", by=STRANGER)

        assert await first_polls(store, "theirs") == [clock()]


async def test_pace_recovers_by_one_id_a_second(database_url: str, clock: FakeClock):
    """Twenty seconds later twenty more are polled at once."""
    async with open_store(database_url, limits=Limits(100, 100, 100), interval=INTERVAL) as store:
        await track(store, clock, *(f"a{n}" for n in range(20)))
        clock.advance(20 * SECOND)
        again = [f"b{n}" for n in range(20)]
        await track(store, clock, *again)

        assert await first_polls(store, *again) == [clock()] * 20


async def test_button_of_another_database_changes_nobody_s_card(store: Store, clock: FakeClock):
    """A database that was put back gives a card's number again."""
    registered = await track(store, clock)
    assert registered.card
    card_id = registered.card.card.id
    foreign = PressedButton(900, "otherone")
    assert await store.tracking.watch(card_id, STRANGER, foreign) is WatchResult.UNKNOWN_CARD
    await store.cards.set_message(card_id, 900)

    assert await press_bell(store, registered, STRANGER, message_id=901) is WatchResult.UNKNOWN_CARD
    assert await store.tracking.watch(card_id, STRANGER, PressedButton(900, "")) is WatchResult.ADDED
    assert await store.tracking.watch(card_id + 1, STRANGER, foreign) is WatchResult.UNKNOWN_CARD
