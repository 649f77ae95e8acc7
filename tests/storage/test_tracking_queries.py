"""The queries of the commands: track, untrack, redeliver, watch."""

import asyncio

import pytest

from bot.core.clock import SECOND
from bot.core.language import Language
from bot.core.results import nonce_part
from bot.core.tasks import DeliveryState, Doubt, TaskState
from bot.core.tracking import (
    MAX_WATCHERS,
    CardToStop,
    Limits,
    LimitScope,
    PressedButton,
    QuotaReached,
    Registration,
    StopRefusal,
    StopResult,
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
    """It is committed before the user reads "tracking"."""
    registered = await track(store, clock, note="the red car")

    assert registered.card
    assert registered.existing == ()
    (row,) = registered.card.rows
    assert (row.task.id, row.task.state, row.task.due_at) == (TASK, TaskState.WAITING, clock())
    assert (row.delivery.state, row.delivery.due_at) == (DeliveryState.OPEN, None)
    assert (row.delivery.guild_id, row.delivery.channel_id) == (GUILD, CHANNEL)
    assert (row.delivery.requester_id, row.delivery.note) == (OWNER, "the red car")
    assert row.delivery.card_id == registered.card.card.id


async def test_language_of_the_request_is_that_of_its_deliveries(store: Store, clock: FakeClock):
    """Result messages and the card are written in it, also after a restart."""
    request = TrackRequest(GUILD, CHANNEL, OWNER, ("t1", "t2"), language=Language.CHINESE)
    registered = await store.tracking.register(request, clock())
    await track(store, clock, "t3")

    assert registered.card
    assert {row.delivery.language for row in registered.card.rows} == {Language.CHINESE}
    stored = [(await look_up(store, task_id)).delivery.language for task_id in ("t1", "t2", "t3")]
    assert stored == [Language.CHINESE, Language.CHINESE, Language.ENGLISH]


async def test_registration_survives_the_process(clock: FakeClock, database_url: str):
    """It is on disk."""
    limits = Limits(1, 1, 1)
    async with open_store(database_url, limits=limits, interval=INTERVAL) as store:
        registered = await track(store, clock)
    async with open_store(database_url, limits=limits, interval=INTERVAL) as store:
        assert registered.card
        assert await store.cards.view(registered.card.card.id) == registered.card


async def test_task_tracked_in_two_channels_is_polled_once(store: Store, clock: FakeClock):
    """One row per task."""
    await track(store, clock, channel=CHANNEL)
    await track(store, clock, channel=OTHER_CHANNEL)

    claim = await store.tasks.claim(10, clock())

    assert [task.id for task in claim.work] == [TASK]


@pytest.mark.parametrize("state", ["open", "due", "posted", "undeliverable"])
async def test_same_id_twice_in_a_channel_is_found_and_stored_once(
    store: Store, clock: FakeClock, state: str
):
    """The answer names the earlier delivery, and there is no new card."""
    first = await track(store, clock)
    assert first.card
    await store.cards.set_message(first.card.card.id, 900, now=0)
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
    await track(store, clock)
    old = await look_up(store)
    await untrack(store, clock)

    again = await track(store, clock)

    assert again.card
    new = again.card.rows[0].delivery
    assert new.state is DeliveryState.OPEN
    assert (new.id, new.nonce) != (old.delivery.id, old.delivery.nonce)


async def test_lost_id_is_polled_again_from_the_start(store: Store, clock: FakeClock):
    """Lost is our verdict, not the API's. Whether the API knew the id is kept."""
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


async def test_lost_id_with_a_due_result_is_already_tracked(store: Store, clock: FakeClock):
    await track_ended(store, clock, LOST)

    assert (await track(store, clock)).card is None


async def test_lost_id_with_a_due_result_elsewhere_is_not_polled_again(store: Store, clock: FakeClock):
    """The due message would lose its reason; this channel gets the same result."""
    await track_ended(store, clock, LOST)
    clock.advance(INTERVAL)
    again = await track(store, clock, channel=OTHER_CHANNEL)

    assert again.card
    (row,) = again.card.rows
    assert (row.task.state, row.task.reason, row.delivery.state) == ("lost", LOST.reason, "due")
    assert (await look_up(store)).task.state is TaskState.LOST


@pytest.mark.parametrize(("verdict", "state"), [(DONE, "completed"), (FAILED, "failed")])
async def test_task_that_has_ended_gives_a_due_delivery_at_once(
    store: Store, clock: FakeClock, verdict: Verdict, state: str
):
    """Another channel tracked it; no poll is needed."""
    await track_ended(store, clock, verdict)
    registered = await track(store, clock, channel=OTHER_CHANNEL)

    assert registered.card
    (row,) = registered.card.rows
    assert (row.task.state, row.delivery.state, row.delivery.due_at) == (state, "due", clock())
    assert await store.tasks.next_due() is None


async def test_mixed_request_gives_a_card_of_the_new_ids_only(store: Store, clock: FakeClock):
    """The answer names the earlier deliveries."""
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
    """Per user, per channel, per guild."""
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


async def test_quota_allows_exactly_its_number(clock: FakeClock, database_url: str):
    async with open_store(database_url, limits=Limits(3, 3, 3), interval=INTERVAL) as store:
        registered = await track(store, clock, "t1", "t2", "t3")

        assert registered.card
        assert len(registered.card.rows) == 3


async def test_ended_deliveries_do_not_count(clock: FakeClock, database_url: str):
    async with open_store(database_url, limits=Limits(1, 1, 1), interval=INTERVAL) as store:
        await track_ended(store, clock)
        await post_next(store, clock)

        assert (await track(store, clock, "t2")).card


async def test_known_ids_need_no_quota(clock: FakeClock, database_url: str):
    """Tracking an id again registers nothing."""
    async with open_store(database_url, limits=Limits(1, 1, 1), interval=INTERVAL) as store:
        await track(store, clock)

        assert len((await track(store, clock)).existing) == 1


async def test_id_tracked_twice_at_once_in_a_channel_is_one_open_delivery(
    store: Store, clock: FakeClock, database_url: str
):
    """Over two connections, like two processes."""
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
    """The user is recorded."""
    await track(store, clock)

    assert await untrack(store, clock) is UntrackResult.CANCELLED
    delivery = (await look_up(store)).delivery
    assert (delivery.state, delivery.cancelled_by, delivery.ended_at) == ("cancelled", OWNER, clock())


async def test_untrack_of_a_due_delivery_cancels(store: Store, clock: FakeClock):
    """It is not posted yet."""
    await track_ended(store, clock)

    assert await untrack(store, clock) is UntrackResult.CANCELLED
    assert await store.deliveries.next_due() is None


async def test_untrack_by_another_user_is_refused(store: Store, clock: FakeClock):
    await track(store, clock)
    before = await look_up(store)

    assert await untrack(store, clock, by=STRANGER) is UntrackResult.NOT_YOURS
    assert await look_up(store) == before


async def test_untrack_with_manage_messages_is_allowed(store: Store, clock: FakeClock):
    await track(store, clock)
    outcome = await store.tracking.cancel(CHANNEL, TASK, STRANGER, clock(), may_cancel_any=True)

    assert outcome is UntrackResult.CANCELLED
    assert (await look_up(store)).delivery.cancelled_by == STRANGER


async def test_untrack_in_another_channel_finds_nothing(store: Store, clock: FakeClock):
    await track(store, clock)

    assert await untrack(store, clock, channel=OTHER_CHANNEL) is UntrackResult.NOT_TRACKED


async def test_untrack_while_being_posted_is_refused(store: Store, clock: FakeClock):
    """The message may already be posted."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())

    assert await untrack(store, clock) is UntrackResult.BEING_POSTED
    assert await mark_posted(store, due, lease, 5000, clock())


async def test_untrack_between_two_attempts_to_post_cancels(store: Store, clock: FakeClock):
    """No message is being sent."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())
    await store.deliveries.postpone(due.delivery.id, lease, clock() + 1, attempt=1, last_error="no")

    assert await untrack(store, clock) is UntrackResult.CANCELLED


async def test_untrack_after_the_end_is_refused(store: Store, clock: FakeClock):
    """Posted, or cancelled before."""
    await track_ended(store, clock)
    await post_next(store, clock)

    assert await untrack(store, clock) is UntrackResult.ENDED


async def test_task_without_open_deliveries_is_not_polled(store: Store, clock: FakeClock):
    """The outcome of a poll in progress is discarded."""
    await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    await untrack(store, clock)

    outcome = PollOutcome(claim.work[0], claim.lease, clock(), make_waiting(api_status="queued"))
    await store.tasks.record([outcome], clock())

    assert await store.tasks.next_due() is None


async def test_task_with_an_open_delivery_in_another_channel_is_polled(store: Store, clock: FakeClock):
    await track(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL)
    await untrack(store, clock)

    assert await store.tasks.next_due() == clock()


@pytest.mark.parametrize(("pause", "wait"), [(0, INTERVAL), (10_000, 20_000), (INTERVAL, 0), (90_000, 0)])
async def test_task_tracked_again_is_polled_no_sooner_than_the_interval(
    store: Store, clock: FakeClock, pause: int, wait: int
):
    """Tracking and untracking must not poll faster."""
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


# -- stopping all of a card ------------------------------------------------------------------------


async def stop(
    store: Store, clock: FakeClock, registered: Registration, by: int = OWNER, *, may_cancel_any: bool = False
) -> StopResult:
    """By the button on the card, after the question how many would be stopped, which must agree."""
    assert registered.card
    card_id = registered.card.card.id
    pressed = PressedButton(0, nonce_part(registered.card.rows[0].delivery.nonce))
    right = {"may_cancel_any": may_cancel_any}
    question = await store.tracking.card_to_stop(card_id, by, pressed=pressed, **right)
    result = await store.tracking.cancel_card(card_id, by, clock(), pressed=pressed, **right)
    assert question == CardToStop(result.refusal, result.cancelled + result.being_posted)
    return result


@pytest.mark.parametrize(("by", "may_cancel_any"), [(OWNER, False), (STRANGER, True)])
async def test_card_is_stopped_whole(store: Store, clock: FakeClock, by: int, may_cancel_any: bool):
    """By the person who asked, or with Manage Messages; nothing is polled or posted for it."""
    registered = await track(store, clock, "t1", "t2", "t3")
    await ask_about(store, clock, task_id="t1")

    assert await stop(store, clock, registered, by, may_cancel_any=may_cancel_any) == StopResult(None, 3)

    for task_id in ("t1", "t2", "t3"):
        delivery = (await look_up(store, task_id)).delivery
        assert (delivery.state, delivery.cancelled_by, delivery.ended_at) == ("cancelled", by, clock())
    assert await store.tasks.next_due() is None
    assert await store.deliveries.next_due() is None


async def test_stopped_card_is_edited(store: Store, clock: FakeClock):
    """It shows who stopped it."""
    registered = await track(store, clock, "t1", "t2")
    await stop(store, clock, registered)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900, now=0)

    (view,) = (await store.cards.claim(10, clock())).work
    assert [row.delivery.cancelled_by for row in view.rows] == [OWNER, OWNER]


async def test_stopping_a_card_leaves_everything_else(store: Store, clock: FakeClock):
    """Its ended tasks, the person's other card, and the same task in another channel."""
    registered = await track(store, clock, "t1", "t2")
    await track(store, clock, "t3")
    await track(store, clock, "t1", channel=OTHER_CHANNEL)
    await ask_about(store, clock, task_id="t2")
    await post_next(store, clock)

    assert await stop(store, clock, registered) == StopResult(None, 1)

    states = [(await look_up(store, task_id)).delivery.state for task_id in ("t1", "t2", "t3")]
    assert states == ["cancelled", "posted", "open"]
    assert (await look_up(store, "t1", OTHER_CHANNEL)).delivery.state is DeliveryState.OPEN
    polled = {task.id for task in (await store.tasks.claim(10, clock())).work}
    assert polled == {"t1", "t3"}


async def test_stopping_holds_back_all_but_what_is_being_posted(store: Store, clock: FakeClock):
    """A message that is on its way arrives."""
    registered = await track(store, clock, "t1", "t2")
    await ask_about(store, clock, task_id="t1")
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())

    assert await stop(store, clock, registered) == StopResult(None, 1, being_posted=1)
    assert await stop(store, clock, registered) == StopResult(None, 0, being_posted=1)
    assert await mark_posted(store, due, lease, 5000, clock())
    assert (await look_up(store, "t2")).delivery.state is DeliveryState.CANCELLED


async def test_card_of_another_person_is_not_stopped(store: Store, clock: FakeClock):
    """It is not theirs."""
    registered = await track(store, clock, "t1", "t2")
    before = await look_up(store, "t1")

    assert await stop(store, clock, registered, STRANGER) == StopResult(StopRefusal.NOT_YOURS)
    assert await look_up(store, "t1") == before


@pytest.mark.parametrize("by", [OWNER, STRANGER])
async def test_card_that_has_ended_is_not_stopped(store: Store, clock: FakeClock, by: int):
    """Posted, and stopped already."""
    registered = await track(store, clock, "t1", "t2")
    await ask_about(store, clock, task_id="t1")
    await post_next(store, clock)
    await stop(store, clock, registered)

    assert await stop(store, clock, registered, by) == StopResult(StopRefusal.ENDED)


async def test_card_of_another_database_is_not_stopped(store: Store, clock: FakeClock):
    """Its number may be that of another card here."""
    registered = await track(store, clock)
    assert registered.card
    card_id = registered.card.card.id
    foreign = PressedButton(900, "otherone")

    for number in (card_id, card_id + 1):
        result = await store.tracking.cancel_card(
            number, OWNER, clock(), may_cancel_any=True, pressed=foreign
        )
        assert result == StopResult(StopRefusal.UNKNOWN_CARD)
    assert (await look_up(store)).delivery.state is DeliveryState.OPEN


# -- a result message that was deleted -------------------------------------------------------------


async def test_deleted_result_is_marked_once_and_its_card_edited(store: Store, clock: FakeClock):
    """The card's link to it would lead nowhere."""
    registered = await track(store, clock)
    assert registered.card
    await ask_about(store, clock)
    due = await post_next(store, clock)
    await store.cards.set_message(registered.card.card.id, 900, now=0)
    claim = await store.cards.claim(1, clock())
    await store.cards.mark_edited(claim.work[0].card, claim.lease, clock())

    deleted_at = clock.advance(SECOND)
    assert await store.tracking.mark_deleted(due.delivery.id, deleted_at)
    assert not await store.tracking.mark_deleted(due.delivery.id, clock.advance(SECOND))

    (view,) = (await store.cards.claim(10, deleted_at)).work
    delivery = view.rows[0].delivery
    assert (delivery.state, delivery.deleted_at) == (DeliveryState.POSTED, deleted_at)


@pytest.mark.parametrize("is_known", [True, False])
async def test_result_that_was_not_posted_is_not_marked_as_deleted(
    store: Store, clock: FakeClock, is_known: bool
):
    """A button of another database may carry any number."""
    await track_ended(store, clock)
    number = (await look_up(store)).delivery.id + (0 if is_known else 1)

    assert not await store.tracking.mark_deleted(number, clock())
    assert (await look_up(store)).delivery.deleted_at is None


# -- redeliver -------------------------------------------------------------------------------------


async def test_redelivery_is_a_second_row_with_a_new_nonce(store: Store, clock: FakeClock):
    """With the first nonce Discord would return the first message."""
    await track_ended(store, clock)
    first = await post_next(store, clock)
    clock.advance(1)
    assert await store.tracking.redeliver(await look_up(store), STRANGER, clock())

    _, second = await take_delivery(store, clock)

    assert second.delivery.id != first.delivery.id
    assert second.delivery.nonce != first.delivery.nonce
    assert (second.delivery.requester_id, second.delivery.card_id) == (STRANGER, None)


async def test_redelivery_is_in_the_language_of_the_person_who_asks_for_it(store: Store, clock: FakeClock):
    """Not in that of the first one."""
    await track_ended(store, clock)
    await post_next(store, clock)
    assert await store.tracking.redeliver(await look_up(store), STRANGER, clock(), Language.CHINESE)

    assert (await look_up(store)).delivery.language is Language.CHINESE


async def test_two_redeliveries_at_once_are_one(store: Store, clock: FakeClock):
    """Both users saw a posted delivery."""
    await track_ended(store, clock)
    await post_next(store, clock)
    seen = await look_up(store)

    planned = await asyncio.gather(*(store.tracking.redeliver(seen, by, clock()) for by in (OWNER, STRANGER)))

    assert sorted(planned) == [False, True]
    assert len((await store.lookups.overview(CHANNEL, max_ended=10)).live) == 1


async def test_redelivery_of_a_task_that_is_polled_again_is_refused(store: Store, clock: FakeClock):
    """It was lost when it was looked up, and another channel has tracked it again."""
    await track_ended(store, clock, LOST)
    await post_next(store, clock)
    seen = await look_up(store)
    await track(store, clock, channel=OTHER_CHANNEL)

    assert not await store.tracking.redeliver(seen, OWNER, clock())
    assert (await look_up(store)).delivery == seen.delivery


async def test_redelivery_counts_against_the_quota(clock: FakeClock, database_url: str):
    async with open_store(database_url, limits=Limits(1, 9, 9), interval=INTERVAL) as store:
        await track_ended(store, clock)
        await post_next(store, clock)
        await track(store, clock, "t2")

        with pytest.raises(QuotaReached):
            await store.tracking.redeliver(await look_up(store), OWNER, clock())
        assert (await look_up(store)).delivery.state is DeliveryState.POSTED


# -- watch -----------------------------------------------------------------------------------------


async def test_watch_is_added_and_removed_by_pressing_again(store: Store, clock: FakeClock):
    """For all open deliveries of the card."""
    registered = await track(store, clock, "t1", "t2")

    assert await press_bell(store, registered, STRANGER) is WatchResult.ADDED
    assert await press_bell(store, registered, STRANGER) is WatchResult.REMOVED
    assert await press_bell(store, registered, STRANGER) is WatchResult.ADDED
    await ask_about(store, clock, task_id="t2")
    assert (await take_delivery(store, clock))[1].watchers == (STRANGER,)


async def test_watch_by_the_owner_is_unnecessary(store: Store, clock: FakeClock):
    """They are mentioned anyway."""
    assert await press_bell(store, await track(store, clock), OWNER) is WatchResult.OWN


async def test_watch_on_an_ended_card_is_too_late(store: Store, clock: FakeClock):
    """It has no open delivery."""
    registered = await track(store, clock)
    await ask_about(store, clock)
    await post_next(store, clock)

    assert await press_bell(store, registered, STRANGER) is WatchResult.ENDED


async def test_watch_is_refused_at_its_limit_but_can_be_removed(store: Store, clock: FakeClock):
    """All mentions must fit one message."""
    registered = await track(store, clock)
    for user in range(MAX_WATCHERS):
        assert await press_bell(store, registered, 1000 + user) is WatchResult.ADDED

    assert await press_bell(store, registered, STRANGER) is WatchResult.FULL
    assert await press_bell(store, registered, 1000) is WatchResult.REMOVED
    assert await press_bell(store, registered, STRANGER) is WatchResult.ADDED


# -- the poll rate of one user ---------------------------------------------------------------------


async def first_polls(store: Store, *ids: str) -> list[int | None]:
    return [(await look_up(store, task_id)).task.due_at for task_id in ids]


async def test_twenty_new_ids_of_a_user_are_polled_at_once_and_then_one_a_second(
    database_url: str, clock: FakeClock
):
    """One user's list must not use up the poll rate."""
    async with open_store(database_url, limits=Limits(100, 100, 100), interval=INTERVAL) as store:
        first, second = [f"a{n}" for n in range(20)], [f"b{n}" for n in range(20)]
        await track(store, clock, *first)
        now = clock()
        await track(store, clock, *second)

        assert await first_polls(store, *first) == [now] * 20
        assert await first_polls(store, *second) == [now + n * SECOND for n in range(1, 21)]


async def test_many_ids_of_one_user_do_not_delay_another_user(database_url: str, clock: FakeClock):
    """The first id of the other user is polled at once."""
    async with open_store(database_url, limits=Limits(100, 100, 100), interval=INTERVAL) as store:
        await track(store, clock, *(f"a{n}" for n in range(20)))
        await track(store, clock, *(f"b{n}" for n in range(20)))
        await track(store, clock, "theirs", by=STRANGER)

        assert await first_polls(store, "theirs") == [clock()]


async def test_allowance_of_a_user_recovers_by_one_id_a_second(database_url: str, clock: FakeClock):
    """Twenty seconds later twenty more are polled at once."""
    async with open_store(database_url, limits=Limits(100, 100, 100), interval=INTERVAL) as store:
        await track(store, clock, *(f"a{n}" for n in range(20)))
        clock.advance(20 * SECOND)
        again = [f"b{n}" for n in range(20)]
        await track(store, clock, *again)

        assert await first_polls(store, *again) == [clock()] * 20


async def test_button_of_another_database_changes_no_card(store: Store, clock: FakeClock):
    """A restored database reuses the number of a card."""
    registered = await track(store, clock)
    assert registered.card
    card_id = registered.card.card.id
    foreign = PressedButton(900, "otherone")
    assert await store.tracking.watch(card_id, STRANGER, foreign, clock()) is WatchResult.UNKNOWN_CARD
    await store.cards.set_message(card_id, 900, now=0)

    assert await press_bell(store, registered, STRANGER, message_id=901) is WatchResult.UNKNOWN_CARD
    assert await store.tracking.watch(card_id, STRANGER, PressedButton(900, ""), clock()) is WatchResult.ADDED
    assert await store.tracking.watch(card_id + 1, STRANGER, foreign, clock()) is WatchResult.UNKNOWN_CARD
