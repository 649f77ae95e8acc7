"""Erasing a user: every row that names them is removed, and no row of others."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import MINUTE, SECOND
from bot.core.tasks import DeliveryState
from bot.core.tracking import ErasureResult, StoredData
from bot.storage.store import Store
from bot.storage.tables import metadata, tasks
from tests.conftest import INTERVAL
from tests.factories import (
    CHANNEL,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    ask_about,
    look_up,
    make_waiting,
    mark_posted,
    post_next,
    press_bell,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock


async def named_anywhere(store: Store, user_id: int) -> list[str]:
    """The tables and columns that hold the id."""

    async def work(connection: AsyncConnection) -> list[str]:
        found = []
        for table in metadata.tables.values():
            for column in table.columns:
                rows = sa.select(sa.func.count()).where(sa.cast(column, sa.Text) == str(user_id))
                if (await connection.execute(rows)).scalar_one():
                    found.append(f"{table.name}.{column.name}")
        return found

    return await store.people._database.run(work)


async def test_every_row_that_names_a_user_is_removed(store: Store, clock: FakeClock):
    """Open, due and ended deliveries, mentions on cards of others, and what the user untracked."""
    await track(store, clock, "ended", note="my note")
    await ask_about(store, clock, task_id="ended")
    await post_next(store, clock)
    await track(store, clock, "open")
    others = await track(store, clock, "theirs", by=STRANGER, channel=OTHER_CHANNEL)
    assert others.card
    await press_bell(store, others, OWNER)
    await track(store, clock, "moderated", by=STRANGER)
    await store.tracking.cancel(CHANNEL, "moderated", OWNER, clock(), may_cancel_any=True)
    assert await store.people.stored_about(OWNER) == StoredData(live=1, ended=1, watched=1, stopped=1)
    assert await named_anywhere(store, OWNER)

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=2, being_posted=0)

    assert await named_anywhere(store, OWNER) == []
    assert not await store.people.stored_about(OWNER)
    assert await store.lookups.find(CHANNEL, "open") is None
    assert (await look_up(store, "theirs", OTHER_CHANNEL)).delivery.state is DeliveryState.OPEN
    assert (await look_up(store, "moderated")).delivery.cancelled_by is None


async def test_task_that_a_person_asked_for_again_counts_once_and_goes_whole(store: Store, clock: FakeClock):
    """Redelivered, or tracked again after they stopped it; in another channel it is another one."""
    await track_ended(store, clock)
    await post_next(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL)
    await post_next(store, clock)
    await track(store, clock, "stopped")
    await store.tracking.cancel(CHANNEL, "stopped", OWNER, clock(), may_cancel_any=False)
    await track(store, clock, "stopped")
    counts = [await store.people.stored_about(OWNER)]
    assert await store.tracking.redeliver(await look_up(store), OWNER, clock())
    counts.append(await store.people.stored_about(OWNER))
    await post_next(store, clock)
    counts.append(await store.people.stored_about(OWNER))

    assert [(stored.live, stored.ended) for stored in counts] == [(1, 2), (2, 1), (1, 2)]
    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=5, being_posted=0)
    assert await named_anywhere(store, OWNER) == []


async def test_task_that_other_users_track_goes_on(store: Store, clock: FakeClock):
    """One task in two channels, one of them erased."""
    await track(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL, by=STRANGER)
    await store.people.erase(OWNER, clock())

    await ask_about(store, clock)
    due = await post_next(store, clock)

    assert due.delivery.channel_id == OTHER_CHANNEL


async def test_task_without_other_users_is_not_polled(store: Store, clock: FakeClock):
    await track(store, clock)

    await store.people.erase(OWNER, clock())

    assert await store.tasks.next_due() is None


async def test_delivery_that_is_being_posted_is_erased_only_later(store: Store, clock: FakeClock):
    """Its outcome must find its row."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=0, being_posted=1)
    assert await mark_posted(store, due, lease, 5000, clock())
    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=1, being_posted=0)


async def test_claimed_delivery_that_is_erased_is_not_sent(store: Store, clock: FakeClock):
    """Its download may be running."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    await store.people.erase(OWNER, clock())

    assert not await store.deliveries.begin_sending(due, lease, clock())


async def test_card_is_edited_without_the_name_and_then_removed(store: Store, clock: FakeClock):
    """Discord still shows it; a card that was never shown is removed at once."""
    shown = await track(store, clock)
    hidden = await track(store, clock, "vgen_other")
    assert shown.card
    assert hidden.card
    await store.cards.set_message(shown.card.card.id, 7000, now=0)

    await store.people.erase(OWNER, clock())

    claim = await store.cards.claim(10, clock())
    assert [(view.card.id, view.rows) for view in claim.work] == [(shown.card.card.id, ())]
    assert await store.cards.view(hidden.card.card.id) is None
    assert await store.cards.mark_edited(claim.work[0].card, claim.lease, clock())
    assert await store.cards.view(shown.card.card.id) is None


async def test_moderator_who_only_untracked_others_is_erased(store: Store, clock: FakeClock):
    """The name is also removed from the card in Discord."""
    shown = await track(store, clock, by=STRANGER)
    assert shown.card
    card_id = shown.card.card.id
    await store.cards.set_message(card_id, 7000, now=0)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=True)
    claim = await store.cards.claim(10, clock())
    assert await store.cards.mark_edited(claim.work[0].card, claim.lease, clock())
    assert await store.people.stored_about(OWNER) == StoredData(live=0, ended=0, watched=0, stopped=1)

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=0, being_posted=0)

    claim = await store.cards.claim(10, clock())
    assert [(view.card.id, view.rows[0].delivery.cancelled_by) for view in claim.work] == [(card_id, None)]
    assert not await store.people.stored_about(OWNER)


async def test_note_is_removed_from_redeliveries_by_others(store: Store, clock: FakeClock):
    """A redelivery keeps the note of the first user."""
    await track(store, clock, note="my words")
    await ask_about(store, clock)
    await post_next(store, clock)
    assert await store.tracking.redeliver(await look_up(store), STRANGER, clock())
    assert (await look_up(store)).delivery.note == "my words"

    await store.people.erase(OWNER, clock())

    again = (await look_up(store)).delivery
    assert (again.requester_id, again.note) == (STRANGER, None)


async def test_equal_note_of_another_user_stays(store: Store, clock: FakeClock):
    """In another channel, or written earlier."""
    await track(store, clock, note="a car", by=STRANGER)
    await ask_about(store, clock)
    await post_next(store, clock)
    assert await store.tracking.redeliver(await look_up(store), OWNER, clock())
    await track(store, clock, note="a car", by=STRANGER, channel=OTHER_CHANNEL)

    await store.people.erase(OWNER, clock())

    for channel in (CHANNEL, OTHER_CHANNEL):
        left = (await look_up(store, channel=channel)).delivery
        assert (left.requester_id, left.note) == (STRANGER, "a car")


async def test_user_with_more_rows_than_one_statement_takes_is_erased(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """In batches, but in one transaction."""
    monkeypatch.setattr("bot.storage.people.MAX_DELETED_AT_ONCE", 3)
    await track(store, clock, *(f"t{number}" for number in range(10)))
    await track(store, clock, "t0", by=STRANGER, channel=OTHER_CHANNEL)

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=10, being_posted=0)

    assert await named_anywhere(store, OWNER) == []
    assert [task.id for task in (await store.tasks.claim(99, clock())).work] == ["t0"]


async def test_erasing_is_one_transaction(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch):
    await track(store, clock, "t1", "t2", note="mine")
    before = await look_up(store, "t1"), await look_up(store, "t2")

    async def breaks(_connection: AsyncConnection) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("bot.storage.people._delete_unseen_cards", breaks)
    with pytest.raises(RuntimeError):
        await store.people.erase(OWNER, clock())

    assert (await look_up(store, "t1"), await look_up(store, "t2")) == before


async def test_unknown_user_has_nothing_stored(store: Store, clock: FakeClock):
    await track(store, clock)

    assert not await store.people.stored_about(STRANGER)
    assert await store.people.erase(STRANGER, clock()) == ErasureResult(deliveries=0, being_posted=0)
    assert (await look_up(store, TASK)).delivery.requester_id == OWNER


async def test_tracked_erased_and_tracked_again_keeps_the_interval(store: Store, clock: FakeClock):
    """The API's interval is per task."""
    await track(store, clock)
    await ask_about(store, clock, make_waiting(api_status="queued", due_at=clock() + INTERVAL))
    polled_at = clock()
    clock.advance(SECOND)
    await store.people.erase(OWNER, clock())
    await track(store, clock)

    assert await store.tasks.next_due() == polled_at + INTERVAL


async def test_task_without_deliveries_is_removed_by_housekeeping(store: Store, clock: FakeClock):
    await track(store, clock)
    await ask_about(store, clock)
    await store.people.erase(OWNER, clock())
    assert await task_ids(store) == [TASK]

    clock.advance(10 * MINUTE)
    await store.guilds.purge(0, clock())

    assert await task_ids(store) == []


async def task_ids(store: Store) -> list[str]:
    found = await store.people._database.run(lambda connection: connection.execute(sa.select(tasks.c.id)))
    return list(found.scalars())
