"""The card keeper over the real store, and what the registry answers."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import DiscordUnavailable, Undeliverable
from bot.core.registration import Redelivered, Untracked, Watching
from bot.core.tasks import CardView
from bot.core.trouble import TroubleKind
from bot.core.verdicts import StillWaiting, Verdict
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import RESULT_FOLLOWS
from bot.work.card_keeper import CardKeeper
from bot.work.pacing import ApiGate
from bot.work.registry import Registry
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    LOST,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    ask_about,
    look_up,
    make_request,
    post_next,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock, eventually


class ScriptedEasel:
    """Shows the last state drawn."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.shown: list[str] = []
        self.begun = 0
        self.held: asyncio.Event | None = None

    async def draw(self, view: CardView) -> None:
        self.begun += 1
        if self.held:
            await self.held.wait()
        if self.errors:
            raise self.errors.popleft()
        self.shown.append(view.rows[0].delivery.state)


@dataclass
class Desk:
    store: Store
    clock: FakeClock
    easel: ScriptedEasel = field(default_factory=ScriptedEasel)
    keeper: CardKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = CardKeeper(cards=self.store.cards, easel=self.easel, clock=self.clock)

    async def change_card(self) -> None:
        """A named card whose task has ended."""
        registered = await track(self.store, self.clock)
        assert registered.card
        await self.store.cards.named(registered.card.card.id, 900)
        await ask_about(self.store, self.clock)

    async def draw(self) -> None:
        claim = await self.keeper.claim(5)
        (view,) = claim.work
        await self.keeper.handle(claim.lease, view)


@pytest.fixture
def desk(store: Store, clock: FakeClock) -> Desk:
    return Desk(store, clock)


async def test_changed_card_is_drawn_once(desk: Desk):
    """Until the next change."""
    await desk.change_card()
    await desk.draw()

    assert desk.easel.shown == ["due"]
    assert await desk.keeper.next_due() is None


@pytest.mark.parametrize(("wish", "least", "most"), [(None, 5, 6.25), (40, 40, 40)])
async def test_card_that_discord_does_not_take_now_is_tried_again(
    desk: Desk, wish: float | None, least: float, most: float
):
    """As late as it wants."""
    await desk.change_card()
    desk.easel.errors.append(DiscordUnavailable("503", retry_after=wish))
    await desk.draw()
    due = await desk.keeper.next_due()

    assert due is not None
    assert least * SECOND <= due - desk.clock() <= most * SECOND
    desk.clock.now = due
    await desk.draw()
    assert desk.easel.shown == ["due"]


async def test_card_is_given_up_after_ten_attempts(desk: Desk):
    """A courtesy: what is owed is the result message."""
    await desk.change_card()
    desk.easel.errors.extend(DiscordUnavailable("503") for _ in range(10))
    for _ in range(10):
        await desk.draw()
        desk.clock.advance(HOUR)

    assert await desk.keeper.next_due() is None
    assert desk.easel.begun == 10


async def test_card_that_cannot_be_edited_is_left_as_it_is(desk: Desk):
    """Deleted, or the channel is hidden."""
    await desk.change_card()
    desk.easel.errors.append(Undeliverable("Unknown Message"))
    await desk.draw()

    assert await desk.keeper.next_due() is None


async def test_edits_of_one_card_do_not_overtake_each_other(desk: Desk):
    """It changed while it was drawn: nobody draws the newer picture before the older one hangs."""
    await desk.change_card()
    desk.easel.held = asyncio.Event()
    first = asyncio.create_task(desk.draw())
    await eventually(lambda: desk.easel.begun == 1)
    await post_next(desk.store, desk.clock)
    assert (await desk.keeper.claim(5)).work == ()
    desk.easel.held.set()
    await first
    await desk.draw()

    assert desk.easel.shown == ["due", "posted"]
    assert await desk.keeper.next_due() is None


async def test_card_set_aside_is_tried_again_in_an_hour(desk: Desk):
    """A bug of ours."""
    await desk.change_card()
    claim = await desk.keeper.claim(1)
    await desk.keeper.set_aside(claim.lease, claim.work[0], "KeyError: 1")

    assert await desk.keeper.next_due() == desk.clock() + HOUR


async def test_long_edit_keeps_its_lease(desk: Desk):
    """A rate limit may hold it."""
    await desk.change_card()
    claim = await desk.keeper.claim(1)
    desk.clock.advance(LEASE_TIME - SECOND)
    await desk.keeper.renew([claim.lease])

    assert await desk.keeper.next_due() == desk.clock() + LEASE_TIME


# -- the registry ----------------------------------------------------------------------------------


@dataclass
class Counter:
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1


@pytest.fixture
def woken() -> Counter:
    return Counter()


class FilesHere:
    """The tasks whose videos are on the disk."""

    def __init__(self) -> None:
        self.task_ids: set[str] = set()

    async def has(self, task_id: str) -> bool:
        return task_id in self.task_ids


@pytest.fixture
def videos() -> FilesHere:
    return FilesHere()


@pytest.fixture
def registry(store: Store, clock: FakeClock, woken: Counter, videos: FilesHere) -> Registry:
    return Registry(
        registrations=store.registrations,
        lookups=store.lookups,
        people=store.people,
        cards=store.cards,
        facts=store.facts,
        videos=videos,
        clock=clock,
        on_work=woken,
    )


async def test_tracked_task_wakes_the_loops_once_it_is_committed(registry: Registry, woken: Counter):
    """The first question is asked at once."""
    registered = await registry.track(make_request())

    assert registered.card
    assert woken.calls == 1
    assert await registry.find(CHANNEL, TASK)


async def test_named_card_wakes_the_card_keeper(registry: Registry, woken: Counter):
    """What changed before is drawn now."""
    registered = await registry.track(make_request())
    assert registered.card
    await registry.name_card(registered.card.card.id, 900)

    assert woken.calls == 2
    earlier = await registry.find(CHANNEL, TASK)
    assert earlier
    assert earlier.card_message_id == 900


async def test_untracked_task_wakes_the_card_keeper(registry: Registry, woken: Counter):
    """The card shows it."""
    await registry.track(make_request())
    outcome = await registry.untrack(CHANNEL, TASK, OWNER, may_cancel_any=False)

    assert (outcome, woken.calls) == (Untracked.CANCELLED, 2)


async def test_redeliver_of_an_unknown_id_is_told(registry: Registry, woken: Counter):
    """This channel never tracked it."""
    assert await registry.redeliver(CHANNEL, TASK, OWNER) == (Redelivered.NOT_TRACKED, None)
    assert woken.calls == 0


@pytest.mark.parametrize("verdict", [StillWaiting("queued", 1), DONE], ids=["waiting", "due"])
async def test_redeliver_of_what_is_still_owed_is_told(
    registry: Registry, store: Store, clock: FakeClock, verdict: Verdict
):
    """It comes anyway."""
    await track_ended(store, clock, verdict)
    outcome, earlier = await registry.redeliver(CHANNEL, TASK, OWNER)

    assert outcome is Redelivered.STILL_OPEN
    assert earlier == await look_up(store)


async def test_redeliver_of_a_cancelled_delivery_of_a_waiting_task_is_told(
    registry: Registry, store: Store, clock: FakeClock
):
    """There is no result yet."""
    await track(store, clock)
    await registry.untrack(CHANNEL, TASK, OWNER, may_cancel_any=False)

    assert (await registry.redeliver(CHANNEL, TASK, OWNER))[0] is Redelivered.STILL_OPEN


@pytest.mark.parametrize(
    ("verdict", "age", "outcome"),
    [
        (DONE, DAY - 1, Redelivered.PLANNED),
        (DONE, DAY, Redelivered.LINK_DEAD),
        (FAILED, 9 * DAY, Redelivered.PLANNED),
        (LOST, 9 * DAY, Redelivered.PLANNED),
    ],
    ids=["completed", "link dead", "failed", "lost"],
)
async def test_redeliver_of_an_ended_task_depends_on_its_link(
    registry: Registry,
    store: Store,
    clock: FakeClock,
    woken: Counter,
    verdict: Verdict,
    age: int,
    outcome: Any,
):
    """A reason can be told for ever, a video for a day."""
    await track_ended(store, clock, verdict)
    await post_next(store, clock)
    clock.advance(age - RESULT_FOLLOWS)

    assert (await registry.redeliver(CHANNEL, TASK, STRANGER))[0] is outcome
    assert woken.calls == (outcome is Redelivered.PLANNED)
    assert len((await registry.overview(CHANNEL)).live) == (outcome is Redelivered.PLANNED)


async def test_redeliver_of_a_video_that_is_still_here_needs_no_link(
    registry: Registry, store: Store, clock: FakeClock, videos: FilesHere
):
    """What a channel did not take is kept for days, and the link lives for one."""
    await track_ended(store, clock)
    await post_next(store, clock)
    clock.advance(2 * DAY)
    videos.task_ids.add(TASK)

    outcome, _ = await registry.redeliver(CHANNEL, TASK, OWNER)

    assert outcome is Redelivered.PLANNED


async def test_redeliver_of_an_undeliverable_one_is_planned(
    registry: Registry, store: Store, clock: FakeClock
):
    """The permission was mended meanwhile."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.undeliverable(due, lease, "Missing Access", clock())

    assert (await registry.redeliver(CHANNEL, TASK, OWNER))[0] is Redelivered.PLANNED


async def test_redeliver_asked_for_twice_at_once_is_planned_once(
    registry: Registry, store: Store, clock: FakeClock
):
    """Two people press at the same moment."""
    await track_ended(store, clock)
    await post_next(store, clock)

    answers = await asyncio.gather(*(registry.redeliver(CHANNEL, TASK, by) for by in (OWNER, STRANGER)))

    assert sorted(outcome for outcome, _ in answers) == [Redelivered.PLANNED, Redelivered.STILL_OPEN]


async def test_registry_passes_questions_through(registry: Registry, store: Store, clock: FakeClock):
    """Watching, a delivery by number, suggestions."""
    registered = await registry.track(make_request(note="red"))
    assert registered.card
    earlier = await look_up(store)

    assert await registry.watch(registered.card.card.id, STRANGER) is Watching.ADDED
    assert await registry.delivery(earlier.delivery.id) == earlier
    assert await registry.suggest(CHANNEL, "red") == (earlier,)
    assert await registry.suggest(OTHER_CHANNEL, "red") == ()


async def test_trouble_of_the_api_is_known_to_who_asks(registry: Registry, store: Store, clock: FakeClock):
    """/veo status says why nothing moves."""
    assert await registry.api_trouble() is None
    await ApiGate(store.facts, clock).refuse_key()

    trouble = await registry.api_trouble()

    assert trouble
    assert (trouble.kind, trouble.until) == (TroubleKind.KEY_REFUSED, clock() + 5 * MINUTE)
