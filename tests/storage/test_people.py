"""Forgetting a person: every row that names them goes, and nobody else's."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.registration import Forgotten, Held
from bot.core.tasks import DeliveryState
from bot.storage.store import Store
from bot.storage.tables import metadata
from tests.factories import (
    CHANNEL,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    ask_about,
    look_up,
    post_next,
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
    await store.registrations.watch(others.card.card.id, OWNER)
    await track(store, clock, "moderated", by=STRANGER)
    await store.registrations.cancel(CHANNEL, "moderated", OWNER, clock(), may_cancel_any=True)
    assert await store.people.held_about(OWNER) == Held(live=1, ended=1, watched=1)
    assert await named_anywhere(store, OWNER)

    assert await store.people.forget(OWNER, clock()) == Forgotten(deliveries=2, being_posted=0)

    assert await named_anywhere(store, OWNER) == []
    assert not await store.people.held_about(OWNER)
    assert await store.lookups.find(CHANNEL, "open") is None
    assert (await look_up(store, "theirs", OTHER_CHANNEL)).delivery.state is DeliveryState.OPEN
    assert (await look_up(store, "moderated")).delivery.ended_by is None


async def test_task_that_others_wait_for_goes_on(store: Store, clock: FakeClock):
    """One task, two channels, one of them forgotten."""
    await track(store, clock)
    await track(store, clock, channel=OTHER_CHANNEL, by=STRANGER)
    await store.people.forget(OWNER, clock())

    await ask_about(store, clock)
    due = await post_next(store, clock)

    assert due.delivery.channel_id == OTHER_CHANNEL


async def test_task_that_nobody_waits_for_is_asked_no_more(store: Store, clock: FakeClock):
    await track(store, clock)

    await store.people.forget(OWNER, clock())

    assert await store.tasks.next_due() is None


async def test_what_is_being_posted_stays_until_the_next_time(store: Store, clock: FakeClock):
    """Its outcome must find its row; nothing is posted for somebody who is half forgotten."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.begin_sending(due.delivery.id, lease, clock())

    assert await store.people.forget(OWNER, clock()) == Forgotten(deliveries=0, being_posted=1)
    assert await store.deliveries.posted(due, lease, 5000, clock())
    assert await store.people.forget(OWNER, clock()) == Forgotten(deliveries=1, being_posted=0)


async def test_claimed_delivery_that_is_forgotten_is_not_sent(store: Store, clock: FakeClock):
    """The download runs; the message never goes."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)

    await store.people.forget(OWNER, clock())

    assert not await store.deliveries.begin_sending(due.delivery.id, lease, clock())


async def test_card_is_redrawn_without_a_name_and_then_goes(store: Store, clock: FakeClock):
    """Discord still shows it; a card that was never shown goes at once."""
    shown = await track(store, clock)
    hidden = await track(store, clock, "vgen_other")
    assert shown.card
    assert hidden.card
    await store.cards.named(shown.card.card.id, 7000)

    await store.people.forget(OWNER, clock())

    claim = await store.cards.claim(10, clock())
    assert [(view.card.id, view.rows) for view in claim.work] == [(shown.card.card.id, ())]
    assert await store.cards.view(hidden.card.card.id) is None
    assert await store.cards.drawn(shown.card.card.id, claim.lease)
    assert await store.cards.view(shown.card.card.id) is None


async def test_stranger_to_the_bot_has_nothing_stored(store: Store, clock: FakeClock):
    await track(store, clock)

    assert not await store.people.held_about(STRANGER)
    assert await store.people.forget(STRANGER, clock()) == Forgotten(deliveries=0, being_posted=0)
    assert (await look_up(store, TASK)).delivery.requester_id == OWNER
