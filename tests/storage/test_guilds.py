"""Servers that the bot left, and undeliverable results that can be posted after all."""

import pytest

from bot.core.clock import DAY
from bot.core.tasks import DeliveryState
from bot.storage.store import Store
from tests.factories import (
    CHANNEL,
    DONE,
    GUILD,
    LOST,
    OTHER_CHANNEL,
    OWNER,
    TASK,
    ask_about,
    look_up,
    make_request,
    mark_undeliverable,
    post_next,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock

OTHER_GUILD = 2


def everywhere(guild_id: int) -> bool:
    """A shard that is told of every server."""
    return guild_id > 0


async def undeliverable(store: Store, clock: FakeClock) -> None:
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await mark_undeliverable(store, due, lease, clock())


async def test_ready_reports_missing_and_returned_servers_once(store: Store, clock: FakeClock):
    await track(store, clock)
    await store.tracking.register(make_request("other", channel=99, guild=OTHER_GUILD), clock())

    assert await store.guilds.known() == {GUILD, OTHER_GUILD}
    assert await store.guilds.compare([GUILD, 3], everywhere, clock()) == ({OTHER_GUILD}, set())
    assert await store.guilds.compare([GUILD], everywhere, clock()) == (set(), set())
    assert await store.guilds.compare([GUILD, OTHER_GUILD], everywhere, clock()) == (set(), {OTHER_GUILD})
    assert await store.guilds.compare([GUILD, OTHER_GUILD], everywhere, clock()) == (set(), set())


async def test_server_of_another_shard_is_not_missing(store: Store, clock: FakeClock):
    """READY of this shard does not name it; its own shard, perhaps in another process, does."""
    await track(store, clock)
    await store.tracking.register(make_request("other", channel=99, guild=OTHER_GUILD), clock())

    assert await store.guilds.compare([], lambda guild: guild == OTHER_GUILD, clock()) == (
        {OTHER_GUILD},
        set(),
    )
    assert await store.guilds.compare([OTHER_GUILD], lambda guild: guild == OTHER_GUILD, clock()) == (
        set(),
        {OTHER_GUILD},
    )
    assert await store.guilds.purge(clock() + 1, clock()) == 0


async def test_thousands_of_servers_are_compared_at_once(store: Store, clock: FakeClock):
    """More than the number of parameters that one statement may have."""
    await track(store, clock)

    assert await store.guilds.compare(range(10, 50_000), everywhere, clock()) == ({GUILD}, set())


async def test_rows_of_a_left_server_are_kept_for_the_given_time(store: Store, clock: FakeClock):
    """A bot that was removed by mistake finds everything when it returns within a month."""
    await track(store, clock)
    await store.tracking.register(make_request("other", channel=99, guild=OTHER_GUILD), clock())
    await store.guilds.left(GUILD, clock())
    left_at = clock()
    clock.advance(30 * DAY)

    assert await store.guilds.purge(left_at, clock()) == 0
    assert await store.lookups.find(CHANNEL, TASK)
    assert await store.guilds.purge(left_at + 1, clock()) == 1
    assert await store.guilds.known() == {OTHER_GUILD}
    assert await store.lookups.find(CHANNEL, TASK) is None
    assert await store.lookups.find(99, "other")
    assert await store.guilds.purge(clock(), clock()) == 0


async def test_rows_of_a_server_are_removed_in_several_batches(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bot.storage.people.MAX_DELETED_AT_ONCE", 3)
    await track(store, clock, *(f"t{n}" for n in range(10)))
    await store.guilds.left(GUILD, clock())

    await store.guilds.purge(clock() + 1, clock())

    assert await store.guilds.known() == set()
    assert await store.tasks.next_due() is None


async def test_return_while_rows_are_removed_keeps_what_is_tracked_since(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """The bot is invited again between two batches."""
    monkeypatch.setattr("bot.storage.people.MAX_DELETED_AT_ONCE", 1)
    await track(store, clock, "old")
    await store.guilds.left(GUILD, clock())
    one_batch = store.guilds._purge_batch

    async def then_come_back(guild_id: int, before: int, now: int) -> bool:
        more = await one_batch(guild_id, before, now)
        if await store.lookups.find(CHANNEL, "new") is None:
            await store.guilds.present([GUILD])
            await track(store, clock, "new")
        return more

    monkeypatch.setattr(store.guilds, "_purge_batch", then_come_back)
    await store.guilds.purge(clock() + 1, clock())

    assert await store.lookups.find(CHANNEL, "old") is None
    assert (await look_up(store, "new")).delivery.state is DeliveryState.OPEN
    assert await store.guilds.known() == {GUILD}


async def test_task_that_another_server_waits_for_outlives_the_one_that_was_left(
    store: Store, clock: FakeClock
):
    await track(store, clock)
    await store.tracking.register(make_request(TASK, channel=99, guild=OTHER_GUILD), clock())
    await store.guilds.left(GUILD, clock())

    await store.guilds.purge(clock() + 1, clock())

    await ask_about(store, clock)
    assert (await post_next(store, clock)).delivery.guild_id == OTHER_GUILD


async def test_return_before_the_month_is_over_keeps_everything(store: Store, clock: FakeClock):
    await track(store, clock)
    await store.guilds.left(GUILD, clock())
    await store.guilds.left(GUILD, clock())
    await store.guilds.present([GUILD])

    assert await store.guilds.purge(clock() + 1, clock()) == 0
    assert await store.lookups.find(CHANNEL, TASK)


async def test_leaving_a_server_without_rows_leaves_no_trace(store: Store, clock: FakeClock):
    await store.guilds.left(GUILD, clock())

    assert await store.guilds.compare([GUILD], everywhere, clock()) == (set(), set())


async def test_undeliverable_result_becomes_due_again(store: Store, clock: FakeClock):
    """With its first nonce, because it was never posted."""
    await undeliverable(store, clock)
    before = (await look_up(store)).delivery
    assert [row.delivery_id for row in await store.guilds.refused(GUILD)] == [before.id]

    assert await store.guilds.revive([before.id, before.id + 1], clock()) == 1

    after = (await look_up(store)).delivery
    assert (after.state, after.nonce, after.due_at) == (DeliveryState.DUE, before.nonce, clock())
    assert after.ended_at == before.ended_at
    assert await store.guilds.refused(GUILD) == []
    assert await store.guilds.revive([before.id], clock()) == 0


async def test_undeliverable_result_that_was_redelivered_stays_ended(store: Store, clock: FakeClock):
    """After /veo redeliver one message is enough."""
    await undeliverable(store, clock)
    first = (await look_up(store)).delivery.id
    assert await store.tracking.redeliver(await look_up(store), OWNER, clock())

    assert await store.guilds.revive([first], clock()) == 0
    await post_next(store, clock)
    assert await store.guilds.revive([first], clock()) == 0


async def test_undeliverable_result_of_a_task_that_is_polled_again_stays_ended(
    store: Store, clock: FakeClock
):
    """The task was lost and is tracked again elsewhere; until it ends there is nothing to post."""
    await track_ended(store, clock, LOST)
    lease, due = await take_delivery(store, clock)
    await mark_undeliverable(store, due, lease, clock())
    clock.advance(DAY)
    await track(store, clock, channel=OTHER_CHANNEL)

    assert await store.guilds.revive([due.delivery.id], clock()) == 0
    await ask_about(store, clock)
    assert await store.guilds.revive([due.delivery.id], clock()) == 1


async def test_revived_delivery_has_its_card_edited(store: Store, clock: FakeClock):
    shown = await track(store, clock)
    assert shown.card
    await store.cards.set_message(shown.card.card.id, 7000, now=0)
    await ask_about(store, clock)
    lease, due = await take_delivery(store, clock)
    await mark_undeliverable(store, due, lease, clock())
    claim = await store.cards.claim(10, clock())
    assert await store.cards.mark_edited(claim.work[0].card, claim.lease, clock())

    await store.guilds.revive([due.delivery.id], clock())

    claim = await store.cards.claim(10, clock())
    assert [view.rows[0].delivery.state for view in claim.work] == [DeliveryState.DUE]


async def test_undeliverable_result_older_than_a_month_stays_ended(store: Store, clock: FakeClock):
    await undeliverable(store, clock)
    clock.advance(30 * DAY)

    assert await store.guilds.revive([(await look_up(store)).delivery.id], clock()) == 0


async def test_channels_of_other_servers_stay_as_they_are(store: Store, clock: FakeClock):
    await track(store, clock)
    await ask_about(store, clock, DONE)

    assert await store.guilds.refused(OTHER_GUILD) == []
    assert await store.guilds.refused(GUILD) == []
