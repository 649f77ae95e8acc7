"""The cards as a queue: edited after every change, and never with an older state."""

from typing import Any

import pytest

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.tasks import CardView, Claim, DeliveryState, Doubt, Trouble
from bot.core.verdicts import Verdict
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.factories import (
    CHANNEL,
    DONE,
    OTHER_CHANNEL,
    OWNER,
    TASK,
    alone,
    ask_about,
    make_waiting,
    mark_undeliverable,
    post_next,
    take_delivery,
    track,
)
from tests.timing import FakeClock

INTERVAL = 30 * SECOND


async def shown_card(store: Store, clock: FakeClock, *ids: str, channel: int = CHANNEL) -> int:
    registered = await track(store, clock, *ids, channel=channel)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900 + channel)
    return registered.card.card.id


async def due_cards(store: Store, clock: FakeClock) -> Claim[CardView]:
    return await store.cards.claim(10, clock())


async def ids(store: Store, clock: FakeClock) -> list[int]:
    return [view.card.id for view in (await due_cards(store, clock)).work]


async def test_new_card_shows_the_truth_already(store: Store, clock: FakeClock):
    """Nothing to edit."""
    await shown_card(store, clock)

    assert await ids(store, clock) == []
    assert await store.cards.next_due() is None


@pytest.mark.parametrize("verdict", [DONE, make_waiting(api_status="queued")], ids=["final", "status"])
async def test_change_makes_every_card_due_that_shows_the_task(
    store: Store, clock: FakeClock, verdict: Verdict
):
    """Both by a final state and by a new status of the API."""
    first = await shown_card(store, clock)
    second = await shown_card(store, clock, channel=OTHER_CHANNEL)
    await shown_card(store, clock, "other", channel=12)
    await ask_about(store, clock, verdict)

    assert await ids(store, clock) == [first, second]


async def test_same_status_makes_no_card_due(store: Store, clock: FakeClock):
    """An edit per poll would use up the channel's rate limit."""
    await shown_card(store, clock)
    await ask_about(store, clock, make_waiting(api_status="queued"))
    (lease, view) = await _only(store, clock)
    await store.cards.mark_edited(view.card, lease, clock())
    await ask_about(store, clock, make_waiting(api_status="queued"))

    assert await store.cards.next_due() is None


async def _only(store: Store, clock: FakeClock) -> tuple[int, CardView]:
    claim = await due_cards(store, clock)
    (view,) = claim.work
    return claim.lease, view


async def test_view_has_its_lines_in_the_order_asked_for(store: Store, clock: FakeClock):
    """With the state of the moment."""
    card = await shown_card(store, clock, "b", "a", "c")
    await ask_about(store, clock, task_id="a")

    _, view = await _only(store, clock)

    assert [row.task.id for row in view.rows] == ["b", "a", "c"]
    assert [row.delivery.state for row in view.rows] == ["open", "due", "open"]
    assert await store.cards.view(card) == view


async def test_card_waits_until_its_message_is_known(store: Store, clock: FakeClock):
    """It cannot be edited yet; what changed before is shown then."""
    registered = await track(store, clock)
    assert registered.card
    await ask_about(store, clock)
    assert await ids(store, clock) == []
    assert await store.cards.next_due() is None

    await store.cards.set_message(registered.card.card.id, 900)

    assert await store.cards.next_due() == clock()
    assert await ids(store, clock) == [registered.card.card.id]


async def test_card_waits_a_moment_for_the_result_of_a_task_that_ended(store: Store, clock: FakeClock):
    """Most results follow at once and show the end as well, in one edit. Else it is edited for the end."""
    await shown_card(store, clock)
    before = clock()
    await ask_about(store, clock)
    assert await store.cards.next_due() == before + RESULT_FOLLOWS

    await post_next(store, clock)
    assert await store.cards.next_due() == clock()


async def test_card_that_is_due_waits_no_longer_for_a_result(store: Store, clock: FakeClock):
    """Twenty tasks that end one after the other do not put it off again and again."""
    await shown_card(store, clock, "t1", "t2")
    await ask_about(store, clock, task_id="t1")
    due = await store.cards.next_due()
    await ask_about(store, clock, task_id="t2")

    assert await store.cards.next_due() == due


async def test_edited_card_is_not_due(store: Store, clock: FakeClock):
    """Until the next change."""
    await shown_card(store, clock)
    await ask_about(store, clock)
    lease, view = await _only(store, clock)

    assert await store.cards.mark_edited(view.card, lease, clock())
    clock.advance(LEASE_TIME)
    assert await ids(store, clock) == []


async def test_change_during_an_edit_makes_the_card_due_again(store: Store, clock: FakeClock):
    """The edit on its way shows what was true before; until it has ended, nobody else edits the message."""
    await shown_card(store, clock)
    await ask_about(store, clock)
    lease, view = await _only(store, clock)
    await post_next(store, clock)
    assert await ids(store, clock) == []

    assert not await store.cards.mark_edited(view.card, lease, clock())
    _, again = await _only(store, clock)
    assert again.rows[0].delivery.state is DeliveryState.POSTED


async def test_postponed_card_keeps_its_attempts_until_something_changes(store: Store, clock: FakeClock):
    """A change starts the count again."""
    await shown_card(store, clock)
    await ask_about(store, clock)
    lease, view = await _only(store, clock)
    assert await store.cards.postpone(view.card.id, lease, clock() + HOUR, attempt=3)
    assert await store.cards.next_due() == clock() + HOUR
    clock.advance(HOUR)
    lease, view = await _only(store, clock)
    assert view.attempt == 3
    assert await store.cards.postpone(view.card.id, lease, clock() + HOUR, attempt=4)
    await post_next(store, clock)

    _, fresh = await _only(store, clock)
    assert fresh.attempt == 0


async def test_foreign_lease_neither_ends_nor_postpones_an_edit(store: Store, clock: FakeClock):
    """Whoever claimed it later edits it."""
    card = await shown_card(store, clock)
    await ask_about(store, clock)
    lease, view = await _only(store, clock)

    assert not await store.cards.mark_edited(view.card, lease + 1, clock())
    assert not await store.cards.postpone(card, lease + 1, clock(), attempt=1)
    assert await store.cards.next_due() == clock() + LEASE_TIME


async def test_renewed_edit_is_not_claimed_by_others(store: Store, clock: FakeClock):
    """An edit may wait long for a rate limit."""
    await shown_card(store, clock)
    await ask_about(store, clock)
    lease, _ = await _only(store, clock)
    clock.advance(LEASE_TIME - 1)
    await store.cards.renew([lease], clock())
    clock.advance(LEASE_TIME - 1)

    assert await ids(store, clock) == []


@alone
async def test_orphaned_card_is_due_at_once(store: Store, clock: FakeClock):
    """A restart goes on where the dead process stopped."""
    card = await shown_card(store, clock)
    await ask_about(store, clock)
    await due_cards(store, clock)

    assert await store.recover(clock(), INTERVAL) == 1
    assert await ids(store, clock) == [card]


async def test_end_of_a_delivery_makes_its_card_due(store: Store, clock: FakeClock):
    """Posted, undeliverable, cancelled: all are shown."""
    card = await shown_card(store, clock, "t1", "t2")
    await ask_about(store, clock, task_id="t1")
    lease, due = await take_delivery(store, clock)
    claimed_lease, view = await _only(store, clock)
    await store.cards.mark_edited(view.card, claimed_lease, clock())
    await mark_undeliverable(store, due, lease, clock())
    assert await store.cards.next_due() == clock()
    claimed_lease, view = await _only(store, clock)
    await store.cards.mark_edited(view.card, claimed_lease, clock())

    await store.tracking.cancel(CHANNEL, "t2", OWNER, clock(), may_cancel_any=False)

    assert await ids(store, clock) == [card]


async def test_view_of_an_unknown_card_is_none(store: Store):
    """Somebody pressed a button on a card of another database."""
    assert await store.cards.view(4711) is None


async def test_delivery_asked_for_again_is_no_line_of_the_first_card(store: Store, clock: FakeClock):
    """The new card shows it; the old one keeps the cancelled one."""
    first = await shown_card(store, clock)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)
    second = await shown_card(store, clock)

    old, new = await store.cards.view(first), await store.cards.view(second)
    assert old
    assert new
    assert [row.delivery.state for row in (*old.rows, *new.rows)] == ["cancelled", "open"]


async def test_card_that_is_due_further_ahead_than_an_hour_is_due_now(store: Store, clock: FakeClock):
    """A wrong clock planned its edit."""
    card = await shown_card(store, clock)
    await ask_about(store, clock, make_waiting(api_status="queued"))
    lease, _ = await _only(store, clock)
    await store.cards.postpone(card, lease, clock() + HOUR + MINUTE)
    assert await store.cards.pull_back(clock()) == 0

    assert await store.cards.pull_back(clock() - 1) == 1
    assert await ids(store, clock) == [card]


@pytest.mark.parametrize(
    "change",
    [
        {"doubt": Doubt.UNKNOWN_ID},
        {"doubt": Doubt.NOT_FOUND},
        {"trouble": Trouble.SILENCE},
        {"trouble": Trouble.REFUSED, "doubt": Doubt.REFUSED, "words": "no access"},
    ],
    ids=lambda change: "-".join(change),
)
async def test_doubt_and_trouble_make_the_card_due_once_and_again_at_their_end(
    store: Store, clock: FakeClock, change: dict[str, Any]
):
    """People read of it at once, not with every poll."""
    await shown_card(store, clock)
    edits = []
    for verdict in (make_waiting(), make_waiting(**change), make_waiting(**change), make_waiting()):
        await ask_about(store, clock, verdict)
        claim = await due_cards(store, clock)
        edits.append(len(claim.work))
        for view in claim.work:
            await store.cards.mark_edited(view.card, claim.lease, clock())

    assert edits == [0, 1, 0, 1]


async def test_refused_poll_makes_no_card_due(store: Store, clock: FakeClock):
    """One error about an id is shown only when it lasts."""
    await shown_card(store, clock)
    await ask_about(store, clock, make_waiting(doubt=Doubt.REFUSED, doubt_count=1, words="no access"))

    assert await store.cards.next_due() is None


async def test_card_carries_the_api_pause(store: Store, clock: FakeClock):
    """Also one that is claimed for another reason."""
    await shown_card(store, clock)
    state = PauseState(PauseReason.THROTTLED, clock(), clock() + 1, is_shown=True)
    await store.key_values.put(API_PAUSE_KEY, state.to_text())
    await ask_about(store, clock, make_waiting(api_status="queued"))

    assert (await _only(store, clock))[1].pause == state
