"""The card updater and the tracking service over the real store."""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.core.api_pause import PauseReason
from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import DiscordUnavailable
from bot.core.language import Language
from bot.core.reactions import Reaction
from bot.core.results import Video, nonce_part
from bot.core.tasks import CardView
from bot.core.tracking import (
    CardToStop,
    PressedButton,
    RedeliverResult,
    StopResult,
    UntrackResult,
    WatchResult,
)
from bot.core.verdicts import Verdict
from bot.storage.store import LEASE_TIME, Store
from bot.storage.task_queue import RESULT_FOLLOWS
from bot.work.api_pause import ApiPause
from bot.work.card_updater import CardUpdater
from bot.work.tracking import Tracking
from bot.work.video_cache import VideoCache
from tests.conftest import INTERVAL
from tests.deliverer_env import ScriptedApi, scripted_fresh_links
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    LOST,
    OTHER_CHANNEL,
    OWNER,
    STRANGER,
    TASK,
    URL,
    ask_about,
    look_up,
    make_refusal,
    make_request,
    make_task,
    make_waiting,
    mark_undeliverable,
    post_next,
    press_bell,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock, eventually


class ScriptedCardEditor:
    """Shows the last state of a card."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.shown: list[str] = []
        self.begun = 0
        self.looked_for = 0
        self.search_errors: deque[Exception] = deque()
        self.found: int | None = None  # the message of a card whose id was never stored
        self.held: asyncio.Event | None = None

    async def edit_card(self, view: CardView) -> None:
        self.begun += 1
        if self.held:
            await self.held.wait()
        if self.errors:
            raise self.errors.popleft()
        self.shown.append(view.rows[0].delivery.state)

    async def find_card(self, view: CardView) -> int | None:
        self.looked_for += 1
        if self.search_errors:
            raise self.search_errors.popleft()
        return self.found


@dataclass
class CardUpdaterEnv:
    store: Store
    clock: FakeClock
    editor: ScriptedCardEditor = field(default_factory=ScriptedCardEditor)
    updater: CardUpdater = field(init=False)

    def __post_init__(self) -> None:
        self.updater = CardUpdater(queue=self.store.cards, editor=self.editor, clock=self.clock)

    async def change_card(self) -> None:
        """A card with its message, whose task has ended."""
        registration = await track(self.store, self.clock)
        assert registration.card
        await self.store.cards.set_message(registration.card.card.id, 900, now=0)
        await ask_about(self.store, self.clock)

    async def edit(self) -> None:
        claim = await self.store.cards.claim(5, self.clock())
        (view,) = claim.work
        await self.updater.handle(claim.lease, view)


@pytest.fixture
def env(store: Store, clock: FakeClock) -> CardUpdaterEnv:
    return CardUpdaterEnv(store, clock)


async def test_changed_card_is_edited_once(env: CardUpdaterEnv):
    """Until the next change."""
    await env.change_card()
    await env.edit()

    assert env.editor.shown == ["due"]
    assert await env.store.cards.next_due() is None


@pytest.mark.parametrize("found", [900, None])
async def test_message_whose_id_was_never_stored_is_looked_for(env: CardUpdaterEnv, found: int | None):
    """The bot was killed between Discord's answer and the commit."""
    registration = await track(env.store, env.clock)
    assert registration.card
    await ask_about(env.store, env.clock)
    env.clock.advance(LEASE_TIME)
    env.editor.found = found
    await env.edit()

    assert env.editor.looked_for == 1
    assert env.editor.shown == ([] if found is None else ["due"])
    assert await env.store.cards.next_due() is None
    view = await env.store.cards.view(registration.card.card.id)
    assert view
    assert view.card.message_id == found


async def test_search_that_fails_is_tried_again(env: CardUpdaterEnv):
    """As an edit is."""
    registration = await track(env.store, env.clock)
    assert registration.card
    await ask_about(env.store, env.clock)
    env.clock.advance(LEASE_TIME)
    env.editor.search_errors.append(DiscordUnavailable("503"))
    env.editor.found = 900
    await env.edit()
    env.clock.advance(LEASE_TIME + MINUTE)
    await env.edit()

    assert (env.editor.looked_for, env.editor.shown) == (2, ["due"])


@pytest.mark.parametrize(("wish", "least", "most"), [(None, 5, 6.25), (40, 40, 40)])
async def test_card_that_discord_does_not_take_now_is_tried_again(
    env: CardUpdaterEnv, wish: float | None, least: float, most: float
):
    """As late as it wants."""
    await env.change_card()
    env.editor.errors.append(DiscordUnavailable("503", retry_after=wish))
    await env.edit()
    due = await env.store.cards.next_due()

    assert due is not None
    assert least * SECOND <= due - env.clock() <= most * SECOND
    env.clock.now = due
    await env.edit()
    assert env.editor.shown == ["due"]


async def test_card_is_given_up_after_ten_attempts(env: CardUpdaterEnv):
    """A courtesy: what is owed is the result message."""
    await env.change_card()
    env.editor.errors.extend(DiscordUnavailable("503") for _ in range(10))
    for _ in range(10):
        await env.edit()
        env.clock.advance(HOUR)

    assert await env.store.cards.next_due() is None
    assert env.editor.begun == 10


async def test_card_that_cannot_be_edited_is_left_as_it_is(env: CardUpdaterEnv):
    """Deleted, or the channel is hidden."""
    await env.change_card()
    env.editor.errors.append(make_refusal(Reaction.MESSAGE_GONE))
    await env.edit()

    assert await env.store.cards.next_due() is None


async def test_edits_of_one_card_do_not_overtake_each_other(env: CardUpdaterEnv):
    """It changed during an edit: the newer state is not sent before that edit has ended."""
    await env.change_card()
    env.editor.held = asyncio.Event()
    first = asyncio.create_task(env.edit())
    await eventually(lambda: env.editor.begun == 1)
    await post_next(env.store, env.clock)
    assert (await env.store.cards.claim(5, env.clock())).work == ()
    env.editor.held.set()
    await first
    await env.edit()

    assert env.editor.shown == ["due", "posted"]
    assert await env.store.cards.next_due() is None


async def test_quarantined_card_is_tried_again_in_an_hour(env: CardUpdaterEnv):
    """A bug of ours."""
    await env.change_card()
    claim = await env.store.cards.claim(1, env.clock())
    await env.updater.quarantine(claim.lease, claim.work[0], "KeyError: 1")

    assert await env.store.cards.next_due() == env.clock() + HOUR


# -- tracking --------------------------------------------------------------------------------------


@dataclass
class Counter:
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1


@pytest.fixture
def woken() -> Counter:
    return Counter()


class FilesHere(VideoCache):
    """The tasks whose videos are on the disk."""

    def __init__(self) -> None:
        self.task_ids: set[str] = set()

    async def find(self, task_id: str) -> Video | None:
        return Video(Path(task_id), 1000, 640, 360) if task_id in self.task_ids else None


@pytest.fixture
def videos() -> FilesHere:
    return FilesHere()


@pytest.fixture
def api() -> ScriptedApi:
    """It knows the link of before, and no other."""
    return ScriptedApi()


@pytest.fixture
def tracking(store: Store, clock: FakeClock, woken: Counter, videos: FilesHere, api: ScriptedApi) -> Tracking:
    return Tracking(
        store=store,
        videos=videos,
        fresh_links=scripted_fresh_links(store, clock, api),
        clock=clock,
        on_work=woken,
    )


def button_of(view: CardView) -> PressedButton:
    """A button on a card whose message id Discord has not given yet."""
    return PressedButton(0, nonce_part(view.rows[0].delivery.nonce))


async def test_tracked_task_wakes_the_loops_once_it_is_committed(tracking: Tracking, woken: Counter):
    """The first poll is made at once."""
    registration = await tracking.track(make_request())

    assert registration.card
    assert woken.calls == 1
    assert await tracking.store.lookups.find(CHANNEL, TASK)


async def test_card_that_gets_its_message_wakes_the_card_updater(tracking: Tracking, woken: Counter):
    """What changed before is edited now."""
    registration = await tracking.track(make_request())
    assert registration.card
    await tracking.set_card_message(registration.card.card.id, 900)

    assert woken.calls == 2
    existing = await tracking.store.lookups.find(CHANNEL, TASK)
    assert existing
    assert existing.card_message_id == 900


async def test_untracked_task_wakes_the_card_updater(tracking: Tracking, woken: Counter):
    """The card shows it."""
    await tracking.track(make_request())
    outcome = await tracking.untrack(CHANNEL, TASK, OWNER, may_cancel_any=False)

    assert (outcome, woken.calls) == (UntrackResult.CANCELLED, 2)


async def test_redeliver_of_an_unknown_id_is_not_tracked(tracking: Tracking, woken: Counter):
    """This channel never tracked it."""
    assert await tracking.redeliver(CHANNEL, TASK, OWNER) == (RedeliverResult.NOT_TRACKED, None)
    assert woken.calls == 0


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (make_waiting(api_status="queued"), RedeliverResult.STILL_OPEN),
        (DONE, RedeliverResult.BEING_POSTED),
    ],
    ids=["waiting", "due"],
)
async def test_redeliver_of_what_is_still_owed_plans_nothing(
    tracking: Tracking, store: Store, clock: FakeClock, verdict: Verdict, expected: RedeliverResult
):
    """It comes anyway."""
    await track_ended(store, clock, verdict)
    outcome, existing = await tracking.redeliver(CHANNEL, TASK, OWNER)

    assert outcome is expected
    assert existing == await look_up(store)


async def test_redeliver_of_a_cancelled_delivery_of_a_waiting_task_is_still_open(
    tracking: Tracking, store: Store, clock: FakeClock
):
    """There is no result yet."""
    await track(store, clock)
    await tracking.untrack(CHANNEL, TASK, OWNER, may_cancel_any=False)

    assert (await tracking.redeliver(CHANNEL, TASK, OWNER))[0] is RedeliverResult.STILL_OPEN


@pytest.mark.parametrize(
    ("verdict", "age", "outcome"),
    [
        (DONE, DAY - 1, RedeliverResult.PLANNED),
        (DONE, DAY, RedeliverResult.LINK_DEAD),
        (FAILED, 9 * DAY, RedeliverResult.PLANNED),
        (LOST, 9 * DAY, RedeliverResult.PLANNED),
    ],
    ids=["completed", "link dead", "failed", "lost"],
)
async def test_redeliver_of_an_ended_task_depends_on_its_link(
    tracking: Tracking,
    store: Store,
    clock: FakeClock,
    woken: Counter,
    verdict: Verdict,
    age: int,
    outcome: Any,
):
    """A reason can be posted for ever, a video for a day."""
    await track_ended(store, clock, verdict)
    await post_next(store, clock)
    clock.advance(age - RESULT_FOLLOWS)

    assert (await tracking.redeliver(CHANNEL, TASK, STRANGER))[0] is outcome
    assert woken.calls == (outcome is RedeliverResult.PLANNED)
    assert len((await tracking.store.lookups.overview(CHANNEL)).live) == (outcome is RedeliverResult.PLANNED)


async def test_redeliver_of_a_video_that_is_still_here_needs_no_link(
    tracking: Tracking, store: Store, clock: FakeClock, videos: FilesHere
):
    """What a channel did not take is kept for days, and the link lives for one."""
    await track_ended(store, clock)
    await post_next(store, clock)
    clock.advance(2 * DAY)
    videos.task_ids.add(TASK)

    outcome, _ = await tracking.redeliver(CHANNEL, TASK, OWNER)

    assert outcome is RedeliverResult.PLANNED


FRESH = "https://cdn.example/v/2.mp4"


async def test_redeliver_after_the_links_end_asks_for_a_fresh_one(
    tracking: Tracking, store: Store, clock: FakeClock, api: ScriptedApi, woken: Counter
):
    """The API still has the video, though its link of then is dead."""
    await track_ended(store, clock)
    await post_next(store, clock)
    clock.advance(3 * DAY)
    api.answer = Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH)

    outcome, _ = await tracking.redeliver(CHANNEL, TASK, OWNER)

    assert (outcome, api.polled, woken.calls) == (RedeliverResult.PLANNED, [TASK], 1)
    _, due = await take_delivery(store, clock)
    assert (due.task.video_url, due.task.link_ends_at) == (FRESH, clock() + DAY)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(AnswerKind.COMPLETED, "completed", video_url=URL),
        Answer(AnswerKind.SILENCE),
        Answer(AnswerKind.UNKNOWN_ID, words="task not found"),
        Answer(AnswerKind.FAILED, "failed", words="no"),
    ],
    ids=["same link", "silence", "forgotten", "failed"],
)
async def test_redeliver_without_a_fresh_link_says_no_and_changes_nothing(
    tracking: Tracking, store: Store, clock: FakeClock, api: ScriptedApi, answer: Answer
):
    """What the API says years later does not end a task once more."""
    await track_ended(store, clock)
    await post_next(store, clock)
    clock.advance(DAY)
    before = await look_up(store)
    api.answer = answer

    outcome, existing = await tracking.redeliver(CHANNEL, TASK, OWNER)

    assert (outcome, existing, api.polled) == (RedeliverResult.LINK_DEAD, before, [TASK])
    assert await look_up(store) == replace(before, task=replace(before.task, polled_at=clock()))


async def test_redeliver_again_and_again_keeps_the_interval(
    tracking: Tracking, store: Store, clock: FakeClock, api: ScriptedApi
):
    """The API is not asked for each press."""
    await track_ended(store, clock)
    await post_next(store, clock)
    clock.advance(DAY)
    for _ in range(3):
        await tracking.redeliver(CHANNEL, TASK, OWNER)
    assert api.polled == [TASK]
    clock.advance(INTERVAL)
    await tracking.redeliver(CHANNEL, TASK, OWNER)

    assert api.polled == [TASK] * 2


async def test_redeliver_with_a_link_that_lives_asks_for_no_other(
    tracking: Tracking, store: Store, clock: FakeClock, api: ScriptedApi
):
    """If the host no longer has it, the download asks."""
    await track_ended(store, clock)
    await post_next(store, clock)
    clock.advance(HOUR)

    outcome, _ = await tracking.redeliver(CHANNEL, TASK, OWNER)

    assert (outcome, api.polled) == (RedeliverResult.PLANNED, [])


async def test_redeliver_of_an_undeliverable_one_is_planned(
    tracking: Tracking, store: Store, clock: FakeClock
):
    """The permission was mended meanwhile."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await mark_undeliverable(store, due, lease, clock())

    assert (await tracking.redeliver(CHANNEL, TASK, OWNER))[0] is RedeliverResult.PLANNED


async def test_redeliver_requested_twice_at_once_is_planned_once(
    tracking: Tracking, store: Store, clock: FakeClock
):
    """Two people press at the same moment."""
    await track_ended(store, clock)
    await post_next(store, clock)

    answers = await asyncio.gather(*(tracking.redeliver(CHANNEL, TASK, by) for by in (OWNER, STRANGER)))

    assert {outcome for outcome, _ in answers} == {RedeliverResult.PLANNED, RedeliverResult.BEING_POSTED}


async def test_tracking_gives_its_store_to_commands_and_buttons(tracking: Tracking, store: Store):
    """Watching, a delivery by number, suggestions."""
    registration = await tracking.track(make_request(note="red"))
    assert registration.card
    existing = await look_up(store)

    assert await press_bell(tracking.store, registration, STRANGER) is WatchResult.ADDED
    assert await tracking.store.lookups.delivery(existing.delivery.id) == existing
    assert await tracking.store.lookups.suggest(CHANNEL, "red") == (existing,)
    assert await tracking.store.lookups.suggest(OTHER_CHANNEL, "red") == ()


async def test_bell_wakes_the_card_updater(tracking: Tracking, woken: Counter, clock: FakeClock):
    """The card shows how many are mentioned."""
    registration = await tracking.track(make_request())
    assert registration.card
    view = registration.card

    assert await tracking.watch(view.card.id, STRANGER, button_of(view)) is WatchResult.ADDED
    assert woken.calls == 2
    edited = await tracking.store.cards.view(view.card.id)
    assert edited
    assert edited.watchers == 1
    assert edited.card.version > view.card.version


async def test_card_is_stopped_after_the_question_and_wakes_the_loops(tracking: Tracking, woken: Counter):
    """The question changes nothing."""
    registration = await tracking.track(make_request("t1", "t2"))
    assert registration.card
    card_id, pressed = registration.card.card.id, button_of(registration.card)

    question = await tracking.card_to_stop(card_id, OWNER, pressed, may_cancel_any=False)
    assert (question, woken.calls) == (CardToStop(None, 2), 1)
    stopped = await tracking.stop_card(card_id, OWNER, pressed, may_cancel_any=False)
    assert (stopped, woken.calls) == (StopResult(None, cancelled=2), 2)


async def test_result_that_was_deleted_wakes_the_card_updater_once(
    tracking: Tracking, woken: Counter, store: Store, clock: FakeClock
):
    """A second press finds nothing to change."""
    await track_ended(store, clock)
    due = await post_next(store, clock)
    for _ in range(2):
        await tracking.mark_deleted(due.delivery.id)

    assert (await look_up(store)).delivery.deleted_at == clock()
    assert woken.calls == 1


@pytest.mark.parametrize("language", Language)
async def test_redelivery_is_planned_in_the_language_asked_for(
    tracking: Tracking, store: Store, clock: FakeClock, language: Language
):
    """That of the person, or of the server."""
    await track_ended(store, clock)
    await post_next(store, clock)
    await tracking.redeliver(CHANNEL, TASK, STRANGER, language)

    assert (await look_up(store)).delivery.language is language


async def test_api_pause_is_known_to_tracking(tracking: Tracking, store: Store, clock: FakeClock):
    """/veo status says why nothing moves."""
    assert await tracking.api_pause() is None
    pause = ApiPause(store.key_values, store.tasks, clock, interval=MINUTE, on_cards=lambda: None)
    await pause.refuse_key(make_task(), clock())

    state = await tracking.api_pause()

    assert state
    assert (state.reason, state.until) == (PauseReason.KEY_REFUSED, clock() + MINUTE)
