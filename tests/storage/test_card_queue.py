"""The cards as a queue: edited after every change, and never with an older state."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.generation_time import UsualTime
from bot.core.tasks import CardView, Claim, DeliveryState, Doubt, TaskState, Trouble
from bot.core.tracking import WatchResult
from bot.core.verdicts import Final, Verdict
from bot.storage.card_queue import _latest_times
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.factories import (
    CHANNEL,
    DONE,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    alone,
    ask_about,
    make_waiting,
    mark_undeliverable,
    post_next,
    press_bell,
    take_delivery,
    track,
)
from tests.timing import FakeClock

INTERVAL = 30 * SECOND


async def shown_card(store: Store, clock: FakeClock, *ids: str, channel: int = CHANNEL) -> int:
    registered = await track(store, clock, *ids, channel=channel)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900 + channel, now=0)
    return registered.card.card.id


async def due_cards(store: Store, clock: FakeClock) -> Claim[CardView]:
    return await store.cards.claim(10, clock())


async def ids(store: Store, clock: FakeClock) -> list[int]:
    return [view.card.id for view in (await due_cards(store, clock)).work]


async def test_new_card_is_not_due(store: Store, clock: FakeClock):
    """It was sent with the current state."""
    await shown_card(store, clock)

    assert await ids(store, clock) == []
    assert await store.cards.next_due() is None


@pytest.mark.parametrize("verdict", [DONE, make_waiting(api_status="queued")], ids=["final", "status"])
async def test_change_makes_every_card_due_that_shows_the_task(
    store: Store, clock: FakeClock, verdict: Verdict
):
    """By a final state and by a new status of the API."""
    first = await shown_card(store, clock)
    second = await shown_card(store, clock, channel=OTHER_CHANNEL)
    await shown_card(store, clock, "other", channel=12)
    await ask_about(store, clock, verdict)

    assert await ids(store, clock) == [first, second]


async def test_model_that_becomes_known_makes_the_card_due_once(store: Store, clock: FakeClock):
    """The card says how long videos of it usually take."""
    await shown_card(store, clock)
    edits = []
    for model in (None, "veo3.1", "veo3.1"):
        status = make_waiting(api_status="queued", model=model)
        await ask_about(store, clock, status)
        claim = await due_cards(store, clock)
        edits.append(len(claim.work))
        for view in claim.work:
            await store.cards.mark_edited(view.card, claim.lease, clock())

    assert edits == [1, 1, 0]


async def test_same_status_makes_no_card_due(store: Store, clock: FakeClock):
    """An edit for each poll would use up the channel's rate limit."""
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


async def test_view_has_its_lines_in_the_order_of_the_command(store: Store, clock: FakeClock):
    """With the current states."""
    card = await shown_card(store, clock, "b", "a", "c")
    await ask_about(store, clock, task_id="a")

    _, view = await _only(store, clock)

    assert [row.task.id for row in view.rows] == ["b", "a", "c"]
    assert [row.delivery.state for row in view.rows] == ["open", "due", "open"]
    assert await store.cards.view(card) == view


async def test_card_waits_until_its_message_is_known(store: Store, clock: FakeClock):
    """It cannot be edited before that; then it shows the earlier changes."""
    registered = await track(store, clock)
    assert registered.card
    await ask_about(store, clock)
    assert await ids(store, clock) == []
    assert await store.cards.next_due() == clock() + LEASE_TIME

    await store.cards.set_message(registered.card.card.id, 900, now=0)

    assert await store.cards.next_due() == clock()
    assert await ids(store, clock) == [registered.card.card.id]


async def test_card_without_its_message_is_due_after_a_lease(store: Store, clock: FakeClock):
    """The process that posted it has had the time to store the id, so its message is looked for."""
    registered = await track(store, clock)
    assert registered.card
    await ask_about(store, clock)
    clock.advance(LEASE_TIME)

    assert await ids(store, clock) == [registered.card.card.id]


@pytest.mark.parametrize("changes", [False, True])
async def test_message_that_is_stored_late_makes_a_changed_card_due(
    store: Store, clock: FakeClock, changes: bool
):
    """Also when the message was looked for before, and not found."""
    registered = await track(store, clock)
    assert registered.card
    if changes:
        await ask_about(store, clock)
        clock.advance(LEASE_TIME)
        lease, view = await _only(store, clock)
        await store.cards.mark_edited(view.card, lease, clock())
    assert await store.cards.next_due() is None

    await store.cards.set_message(registered.card.card.id, 900, clock())

    assert await store.cards.next_due() == (clock() if changes else None)


async def test_card_waits_a_moment_for_the_result_of_a_task_that_ended(store: Store, clock: FakeClock):
    """Most results follow at once, so that one edit shows both. Else the card is edited for the end."""
    await shown_card(store, clock)
    before = clock()
    await ask_about(store, clock)
    assert await store.cards.next_due() == before + RESULT_FOLLOWS

    await post_next(store, clock)
    assert await store.cards.next_due() == clock()


async def test_card_that_is_due_is_not_delayed_by_another_end(store: Store, clock: FakeClock):
    """Twenty tasks that end one after the other must not delay it repeatedly."""
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
    """The current edit shows the state before. No other edit begins until it has ended."""
    await shown_card(store, clock)
    await ask_about(store, clock)
    lease, view = await _only(store, clock)
    await post_next(store, clock)
    assert await ids(store, clock) == []

    assert not await store.cards.mark_edited(view.card, lease, clock())
    _, again = await _only(store, clock)
    assert again.rows[0].delivery.state is DeliveryState.POSTED


async def test_postponed_card_keeps_its_attempts_until_something_changes(store: Store, clock: FakeClock):
    """A change resets the count."""
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


async def test_lost_lease_neither_ends_nor_postpones_an_edit(store: Store, clock: FakeClock):
    """The process that claimed the card later edits it."""
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
    """After a restart."""
    card = await shown_card(store, clock)
    await ask_about(store, clock)
    await due_cards(store, clock)

    assert await store.recover(clock(), INTERVAL) == 1
    assert await ids(store, clock) == [card]


async def test_end_of_a_delivery_makes_its_card_due(store: Store, clock: FakeClock):
    """Posted, undeliverable and cancelled."""
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
    """For example for a button on a card of another database."""
    assert await store.cards.view(4711) is None


async def test_delivery_tracked_again_is_no_line_of_the_first_card(store: Store, clock: FakeClock):
    """The new card shows it; the old one keeps the cancelled delivery."""
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
    """At once, but not with every poll."""
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
    """One error about an id is shown only if it lasts."""
    await shown_card(store, clock)
    await ask_about(store, clock, make_waiting(doubt=Doubt.REFUSED, doubt_count=1, words="no access"))

    assert await store.cards.next_due() is None


async def test_card_carries_the_api_pause(store: Store, clock: FakeClock):
    """Also a card that is claimed for another reason."""
    await shown_card(store, clock)
    state = PauseState(PauseReason.THROTTLED, clock(), clock() + 1, is_shown=True)
    await store.key_values.put(API_PAUSE_KEY, state.to_text())
    await ask_about(store, clock, make_waiting(api_status="queued"))

    assert (await _only(store, clock))[1].pause == state


# -- people who are mentioned as well, and how long a video usually takes ---------------------------


async def test_card_says_how_many_people_are_mentioned_for_what_is_still_live(store: Store, clock: FakeClock):
    """Each once, however many tasks the card has."""
    registered = await track(store, clock, "t1", "t2")
    assert registered.card
    assert registered.card.watchers == 0
    for person in (STRANGER, STRANGER + 1):
        await press_bell(store, registered, person)
    await ask_about(store, clock, task_id="t1")
    await post_next(store, clock)
    card_id = registered.card.card.id
    live = await store.cards.view(card_id)
    await ask_about(store, clock, task_id="t2")
    await post_next(store, clock)
    ended = await store.cards.view(card_id)

    assert live
    assert ended
    assert (live.watchers, ended.watchers) == (2, 0)


async def test_watchers_of_one_card_are_not_counted_on_another(store: Store, clock: FakeClock):
    """The same task in another channel."""
    watched = await track(store, clock)
    other = await track(store, clock, channel=OTHER_CHANNEL)
    await press_bell(store, watched, STRANGER)

    assert other.card
    view = await store.cards.view(other.card.card.id)
    assert view
    assert view.watchers == 0


@pytest.mark.parametrize("presses", [1, 2])
async def test_bell_makes_the_card_due(store: Store, clock: FakeClock, presses: int):
    """Its count is edited, up and down."""
    registered = await track(store, clock)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900, now=0)
    for _ in range(presses):
        await press_bell(store, registered, STRANGER, message_id=900)
        lease, view = await _only(store, clock)
        await store.cards.mark_edited(view.card, lease, clock())

    assert view.watchers == presses % 2
    assert await store.cards.next_due() is None


async def test_bell_that_changes_nothing_makes_no_card_due(store: Store, clock: FakeClock):
    """The requester is mentioned anyway."""
    registered = await track(store, clock)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900, now=0)
    assert await press_bell(store, registered, OWNER, message_id=900) is WatchResult.OWN

    assert await store.cards.next_due() is None


async def test_card_is_due_when_a_person_on_it_is_erased(store: Store, clock: FakeClock):
    """One fewer is mentioned."""
    registered = await track(store, clock)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900, now=0)
    await press_bell(store, registered, STRANGER, message_id=900)
    lease, view = await _only(store, clock)
    await store.cards.mark_edited(view.card, lease, clock())
    await store.people.erase(STRANGER, clock())

    _, view = await _only(store, clock)
    assert view.watchers == 0


async def finish_videos(store: Store, clock: FakeClock, model: str, *times: int) -> None:
    """Completed tasks of a model, in this order; nobody waits for them any longer."""
    for number, took in enumerate(times):
        task_id = f"{model}-{number}"
        await track(store, clock, task_id)
        await ask_about(store, clock, replace(DONE, model=model, took=took), task_id=task_id)
        await post_next(store, clock)


async def view_waiting(store: Store, clock: FakeClock, model: str | None = "veo3.1") -> CardView:
    card = await shown_card(store, clock)
    await ask_about(store, clock, make_waiting(api_status="queued", model=model, due_at=clock()))
    view = await store.cards.view(card)
    assert view
    return view


async def test_waiting_card_says_how_long_videos_of_its_model_usually_take(store: Store, clock: FakeClock):
    """Of the latest fifty that were completed; other models and failures say nothing about it."""
    await finish_videos(store, clock, "veo3.1", *[HOUR] * 5, *[MINUTE] * 50)
    await finish_videos(store, clock, "other", *[HOUR] * 10)
    await track(store, clock, "failed")
    await ask_about(store, clock, Final(TaskState.FAILED, model="veo3.1", took=HOUR), task_id="failed")
    await post_next(store, clock)

    view = await view_waiting(store, clock)

    assert view.usual == UsualTime(MINUTE, MINUTE, 50)
    assert view in (await store.cards.claim(100, clock())).work


@pytest.mark.parametrize(("videos", "model"), [(9, "veo3.1"), (10, "another"), (10, None)])
async def test_card_says_nothing_of_what_is_not_known(
    store: Store, clock: FakeClock, videos: int, model: str | None
):
    """Too few videos of that model, or the API has not named one."""
    await finish_videos(store, clock, "veo3.1", *[MINUTE] * videos)

    assert (await view_waiting(store, clock, model)).usual is None


async def test_card_on_which_nothing_waits_says_nothing_of_what_is_usual(store: Store, clock: FakeClock):
    """Also while the task waits for another channel."""
    await finish_videos(store, clock, "veo3.1", *[MINUTE] * 10)
    view = await view_waiting(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)
    cancelled = await store.cards.view(view.card.id)

    assert view.usual
    assert cancelled
    assert cancelled.usual is None


@pytest.mark.parametrize(("model", "queries"), [("veo3.1", 4), (None, 3)])
async def test_usual_time_costs_one_query_where_it_may_be_known(
    store: Store, clock: FakeClock, model: str | None, queries: int
):
    """The card, its lines, the pause with the watchers; and the usual time."""
    view = await view_waiting(store, clock, model)
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    engine = store.database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", count)
    await store.cards.view(view.card.id)
    sa.event.remove(engine, "before_cursor_execute", count)

    assert len([each for each in statements if "FROM " in each]) == queries


async def test_usual_time_is_read_from_its_index_in_order(store: Store):
    """Neither database reads all tasks, nor sorts them."""
    store_dialect = store.database._engine.dialect
    statement, values = _latest_times("veo3.1")
    query = statement.params(**values).compile(dialect=store_dialect, compile_kwargs={"literal_binds": True})

    async def plan(connection: AsyncConnection) -> str:
        explain = "EXPLAIN QUERY PLAN"
        if store.database.is_shared:
            explain = "EXPLAIN"
            # Of an empty table it would read all rows anyway.
            await connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
            await connection.execute(sa.text("SET LOCAL enable_bitmapscan = off"))
        rows = await connection.execute(sa.text(f"{explain} {query}"))
        return "\n".join(str(tuple(row)) for row in rows)

    found = await store.database.run(plan)
    assert "tasks_by_model" in found
    assert "sort" not in found.lower()
    assert "temp" not in found.lower()
