"""What commands read, and the key-value store."""

import pytest

from bot.storage.store import Store
from tests.factories import (
    CHANNEL,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    ask_about,
    look_up,
    post_next,
    track,
    track_ended,
)
from tests.timing import FakeClock


async def suggested(store: Store, part: str, channel: int = CHANNEL, limit: int = 25) -> list[str]:
    return [existing.task.id for existing in await store.lookups.suggest(channel, part, limit=limit)]


async def test_find_shows_nothing_of_another_channel(store: Store, clock: FakeClock):
    """Nor do the overview and the suggestions."""
    await track(store, clock, note="secret")

    assert await store.lookups.find(OTHER_CHANNEL, TASK) is None
    overview = await store.lookups.overview(OTHER_CHANNEL, max_ended=10)
    assert (overview.live, overview.ended) == ((), ())
    assert await suggested(store, "", OTHER_CHANNEL) == []


async def test_find_gives_the_latest_delivery(store: Store, clock: FakeClock):
    """The task of a cancelled one may be tracked again."""
    await track(store, clock, note="first")
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)
    await track(store, clock, note="second")

    assert (await look_up(store)).delivery.note == "second"


async def test_delivery_is_found_by_its_id(store: Store, clock: FakeClock):
    """The buttons on a result message hold it."""
    await track(store, clock)
    existing = await look_up(store)

    assert await store.lookups.delivery(existing.delivery.id) == existing
    assert await store.lookups.delivery(existing.delivery.id + 1) is None


async def test_redelivered_task_is_found_without_a_card(store: Store, clock: FakeClock):
    """It came from another command."""
    await track_ended(store, clock)
    await post_next(store, clock)
    await store.tracking.redeliver(await look_up(store), OWNER, clock())

    assert (await look_up(store)).card_message_id is None


async def test_overview_has_live_ones_oldest_first_and_ended_ones_newest_first(
    store: Store, clock: FakeClock
):
    """All open ones, and the latest ended ones."""
    await track(store, clock, "t1", "t2", "t3", "t4", "t5")
    for task_id in ("t2", "t4", "t5"):
        await ask_about(store, clock, task_id=task_id)
        await post_next(store, clock)

    overview = await store.lookups.overview(CHANNEL, max_ended=2)

    assert [existing.task.id for existing in overview.live] == ["t1", "t3"]
    assert [existing.task.id for existing in overview.ended] == ["t5", "t4"]


async def test_overview_has_a_redelivered_task_once(store: Store, clock: FakeClock):
    """By its latest delivery, while that is live and after it has ended; it takes no place of another."""
    for task_id in ("t1", TASK, "t2"):
        await track(store, clock, task_id)
        await ask_about(store, clock, task_id=task_id)
        await post_next(store, clock)
    assert await store.tracking.redeliver(await look_up(store), STRANGER, clock())
    live = await store.lookups.overview(CHANNEL)
    again = await post_next(store, clock, 5001)
    ended = await store.lookups.overview(CHANNEL, max_ended=3)

    assert [(row.task.id, row.delivery.id) for row in live.live] == [(TASK, again.delivery.id)]
    assert [row.task.id for row in live.ended] == ["t2", "t1"]
    assert ended.live == ()
    assert [row.task.id for row in ended.ended] == [TASK, "t2", "t1"]
    assert ended.ended[0].delivery.message_id == 5001


async def test_overview_has_a_task_that_was_tracked_again_once(store: Store, clock: FakeClock):
    """The one that was stopped before is history. In another channel nothing changes."""
    await track(store, clock)
    await store.tracking.cancel(CHANNEL, TASK, OWNER, clock(), may_cancel_any=False)
    await track(store, clock, channel=OTHER_CHANNEL)
    stopped = await store.lookups.overview(CHANNEL)
    await track(store, clock)
    again = await store.lookups.overview(CHANNEL)

    assert [row.delivery.state for row in (*stopped.live, *stopped.ended)] == ["cancelled"]
    assert [row.delivery.state for row in (*again.live, *again.ended)] == ["open"]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("", ["sora_2", "a%b", "vgen_1"]),
        ("gen", ["vgen_1"]),
        ("GEN", ["vgen_1"]),
        ("_", ["sora_2", "vgen_1"]),
        ("%", ["a%b"]),
        ("Red", ["vgen_1"]),
        ("\\", []),
        ("/", ["sora_2"]),
        ("nothing", []),
    ],
)
async def test_suggestions_match_id_and_note_literally(
    store: Store, clock: FakeClock, part: str, found: list[str]
):
    """% and _ are not patterns; the newest is first."""
    await track(store, clock, "vgen_1", note="the red car")
    await track(store, clock, "a%b")
    await track(store, clock, "sora_2", note="1/2")

    assert await suggested(store, part) == found


async def test_suggestions_name_each_task_once_up_to_the_limit(store: Store, clock: FakeClock):
    """Discord shows 25."""
    await track(store, clock, "t1", "t2")
    await store.tracking.cancel(CHANNEL, "t1", OWNER, clock(), may_cancel_any=False)
    await track(store, clock, "t1")

    assert await suggested(store, "t") == ["t1", "t2"]
    assert await suggested(store, "t", limit=1) == ["t1"]


async def test_value_is_put_replaced_and_removed(store: Store):
    seen = [await store.key_values.get("name")]
    for value in ("one", "two", None):
        await store.key_values.put("name", value)
        seen.append(await store.key_values.get("name"))

    assert seen == [None, "one", "two", None]


async def test_values_are_separate_by_name(store: Store):
    await store.key_values.put("a", "1")
    await store.key_values.put("b", "2")
    await store.key_values.put("a", None)

    assert await store.key_values.get("b") == "2"
