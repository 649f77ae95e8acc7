"""Erasing a person: every row that names them goes, and nobody else's."""

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
    """The tables and columns in which the id stands."""

    async def work(connection: AsyncConnection) -> list[str]:
        found = []
        for table in metadata.tables.values():
            for column in table.columns:
                rows = sa.select(sa.func.count()).where(sa.cast(column, sa.Text) == str(user_id))
                if (await connection.execute(rows)).scalar_one():
                    found.append(f"{table.name}.{column.name}")
        return found

    return await store.people._database.run(work)


async def test_everything_that_names_a_person_goes(store: Store, clock: FakeClock):
    """Open, due and ended; their mentions on others' cards; what they untracked."""
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


async def test_task_that_others_wait_for_goes_on(store: Store, clock: FakeClock):
    """One task, two channels, one of them erased."""
    await track(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL, by=STRANGER)
    await store.people.erase(OWNER, clock())

    await ask_about(store, clock)
    due = await post_next(store, clock)

    assert due.delivery.channel_id == OTHER_CHANNEL


async def test_task_that_nobody_waits_for_is_polled_no_more(store: Store, clock: FakeClock):
    await track(store, clock)

    await store.people.erase(OWNER, clock())

    assert await store.tasks.next_due() is None


async def test_what_is_being_posted_stays_until_the_next_time(store: Store, clock: FakeClock):
    """Its outcome must find its row; nothing is posted for somebody who is half erased."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due, lease, clock())

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=0, being_posted=1)
    assert await mark_posted(store, due, lease, 5000, clock())
    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=1, being_posted=0)


async def test_claimed_delivery_that_is_erased_is_not_sent(store: Store, clock: FakeClock):
    """The download runs; the message never goes."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    await store.people.erase(OWNER, clock())

    assert not await store.deliveries.begin_sending(due, lease, clock())


async def test_card_is_edited_without_a_name_and_then_goes(store: Store, clock: FakeClock):
    """Discord still shows it; a card that was never shown goes at once."""
    shown = await track(store, clock)
    hidden = await track(store, clock, "vgen_other")
    assert shown.card
    assert hidden.card
    await store.cards.set_message(shown.card.card.id, 7000)

    await store.people.erase(OWNER, clock())

    claim = await store.cards.claim(10, clock())
    assert [(view.card.id, view.rows) for view in claim.work] == [(shown.card.card.id, ())]
    assert await store.cards.view(hidden.card.card.id) is None
    assert await store.cards.mark_edited(claim.work[0].card, claim.lease, clock())
    assert await store.cards.view(shown.card.card.id) is None


async def test_moderator_who_only_stopped_others_is_known_and_erased(store: Store, clock: FakeClock):
    """Their name goes from the card as well: Discord shows it there."""
    shown = await track(store, clock, by=STRANGER)
    assert shown.card
    card_id = shown.card.card.id
    await store.cards.set_message(card_id, 7000)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=True)
    claim = await store.cards.claim(10, clock())
    assert await store.cards.mark_edited(claim.work[0].card, claim.lease, clock())
    assert await store.people.stored_about(OWNER) == StoredData(live=0, ended=0, watched=0, stopped=1)

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=0, being_posted=0)

    claim = await store.cards.claim(10, clock())
    assert [(view.card.id, view.rows[0].delivery.cancelled_by) for view in claim.work] == [(card_id, None)]
    assert not await store.people.stored_about(OWNER)


async def test_note_goes_also_where_somebody_had_it_delivered_again(store: Store, clock: FakeClock):
    """A redelivery keeps the note, in the words of whoever wrote it."""
    await track(store, clock, note="my words")
    await ask_about(store, clock)
    await post_next(store, clock)
    assert await store.tracking.redeliver(await look_up(store), STRANGER, clock())
    assert (await look_up(store)).delivery.note == "my words"

    await store.people.erase(OWNER, clock())

    again = (await look_up(store)).delivery
    assert (again.requester_id, again.note) == (STRANGER, None)


async def test_same_words_of_somebody_else_stay(store: Store, clock: FakeClock):
    """In another channel, or written before."""
    await track(store, clock, note="a car", by=STRANGER)
    await ask_about(store, clock)
    await post_next(store, clock)
    assert await store.tracking.redeliver(await look_up(store), OWNER, clock())
    await track(store, clock, note="a car", by=STRANGER, channel=OTHER_CHANNEL)

    await store.people.erase(OWNER, clock())

    for channel in (CHANNEL, OTHER_CHANNEL):
        left = (await look_up(store, channel=channel)).delivery
        assert (left.requester_id, left.note) == (STRANGER, "a car")


async def test_more_rows_than_fit_one_statement_go_all(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """In batches, and still in one transaction."""
    monkeypatch.setattr("bot.storage.people.MAX_DELETED_AT_ONCE", 3)
    await track(store, clock, *(f"t{number}" for number in range(10)))
    await track(store, clock, "t0", by=STRANGER, channel=OTHER_CHANNEL)

    assert await store.people.erase(OWNER, clock()) == ErasureResult(deliveries=10, being_posted=0)

    assert await named_anywhere(store, OWNER) == []
    assert [task.id for task in (await store.tasks.claim(99, clock())).work] == ["t0"]


async def test_erasing_fails_whole_or_succeeds_whole(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """Nobody is left half erased."""
    await track(store, clock, "t1", "t2", note="mine")
    before = await look_up(store, "t1"), await look_up(store, "t2")

    async def breaks(_connection: AsyncConnection) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("bot.storage.people._delete_unseen_cards", breaks)
    with pytest.raises(RuntimeError):
        await store.people.erase(OWNER, clock())

    assert (await look_up(store, "t1"), await look_up(store, "t2")) == before


async def test_stranger_to_the_bot_has_nothing_stored(store: Store, clock: FakeClock):
    await track(store, clock)

    assert not await store.people.stored_about(STRANGER)
    assert await store.people.erase(STRANGER, clock()) == ErasureResult(deliveries=0, being_posted=0)
    assert (await look_up(store, TASK)).delivery.requester_id == OWNER


async def test_tracked_erased_and_tracked_again_keeps_the_interval(store: Store, clock: FakeClock):
    """The API's thirty seconds are per task, whoever asks."""
    await track(store, clock)
    await ask_about(store, clock, make_waiting(api_status="queued", due_at=clock() + INTERVAL))
    polled_at = clock()
    clock.advance(SECOND)
    await store.people.erase(OWNER, clock())
    await track(store, clock)

    assert await store.tasks.next_due() == polled_at + INTERVAL


async def test_task_that_is_nobodys_goes_with_the_housekeeping(store: Store, clock: FakeClock):
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
