"""The deliverer with a scripted Discord and a scripted download, over the real store and a real folder."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import (
    DiscordUnavailable,
    DownloadInterrupted,
    LinkRefused,
    TooLargeForDiscord,
    Undeliverable,
    VideoUnusable,
)
from bot.core.registration import Untracked
from bot.core.results import ResultMessage
from bot.core.tasks import Delivery, DeliveryState, DueDelivery
from bot.core.verdicts import Final
from bot.storage.store import LEASE_TIME, Store
from bot.work.deliverer import LINK_ENDED, LINK_REFUSED, TOO_LARGE, Deliverer
from bot.work.shelf import Shelf
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    LOST,
    OTHER_CHANNEL,
    OWNER,
    TASK,
    URL,
    ask_about,
    look_up,
    track,
    track_ended,
)
from tests.timing import FakeClock

MP4 = b"the video"


class ScriptedDiscord:
    """Takes every message, unless a test has put an error on the list. One nonce is one message."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.accepts_then_cuts = False
        self.deleted: set[str] = set()
        self.tried: list[ResultMessage] = []
        self.messages: dict[str, tuple[int, bytes | None, str | None]] = {}
        self.forgets_nonces = False
        self.looked_up: list[int] = []
        self.told: list[tuple[int, str]] = []
        self.largest = 10 * 1024 * 1024

    async def post(self, result: ResultMessage) -> int | None:
        self.tried.append(result)
        if self.errors:
            raise self.errors.popleft()
        nonce = result.due.delivery.nonce
        if nonce in self.deleted:
            return None
        if nonce not in self.messages or self.forgets_nonces:
            data = await asyncio.to_thread(result.video.read_bytes) if result.video else None
            self.messages[nonce] = (5000 + len(self.tried), data, result.problem)
        if self.accepts_then_cuts:
            self.accepts_then_cuts = False
            raise DiscordUnavailable("connection cut")
        return self.messages[nonce][0]

    async def tell_privately(self, due: DueDelivery, why: str) -> None:
        self.told.append((due.delivery.requester_id, why))

    async def find(self, due: DueDelivery) -> int | None:
        self.looked_up.append(due.delivery.id)
        found = self.messages.get(due.delivery.nonce)
        return found[0] if found else None

    def fits(self, guild_id: int, size: int) -> bool:
        return size <= self.largest


class ScriptedDownloads:
    """Writes the video, unless a test has put an error on the list, or holds it."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.urls: list[str] = []
        self.held: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def fetch(self, url: str, destination: Path) -> object:
        self.urls.append(url)
        self.begun.set()
        if self.held:
            await self.held.wait()
        if self.errors:
            raise self.errors.popleft()
        return await asyncio.to_thread(destination.write_bytes, MP4)


@dataclass
class Desk:
    """A deliverer with everything around it."""

    store: Store
    clock: FakeClock
    folder: Path
    discord: ScriptedDiscord = field(default_factory=ScriptedDiscord)
    downloads: ScriptedDownloads = field(default_factory=ScriptedDownloads)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    changes: int = 0
    deliverer: Deliverer = field(init=False)

    def __post_init__(self) -> None:
        self.deliverer = Deliverer(
            deliveries=self.store.deliveries,
            messenger=self.discord,
            shelf=Shelf(self.folder, self.downloads),
            clock=self.clock,
            stop=self.stop,
            on_change=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def deliver(self, count: int = 1) -> None:
        """One attempt for each of the next due deliveries."""
        for _ in range(count):
            claim = await self.deliverer.claim(1)
            (due,) = claim.work
            await self.deliverer.handle(claim.lease, due)

    async def delivery(self, channel: int = CHANNEL) -> Delivery:
        return (await look_up(self.store, channel=channel)).delivery

    def files(self) -> list[Path]:
        return list(self.folder.iterdir())


@pytest.fixture
def desk(store: Store, clock: FakeClock, tmp_path: Path) -> Desk:
    folder = tmp_path / "videos"
    folder.mkdir()
    return Desk(store, clock, folder)


async def test_completed_task_is_posted_with_its_video(desk: Desk):
    """The API's bytes, once, and the message's id is kept."""
    await track_ended(desk.store, desk.clock)
    await desk.deliver()

    delivery = await desk.delivery()
    assert desk.downloads.urls == [URL]
    assert desk.discord.messages == {delivery.nonce: (5001, MP4, None)}
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, 5001)
    assert desk.changes == 1


@pytest.mark.parametrize("verdict", [FAILED, LOST], ids=["failed", "lost"])
async def test_task_without_a_video_is_told_without_a_download(desk: Desk, verdict: Final):
    """Never silent."""
    await track_ended(desk.store, desk.clock, verdict)
    await desk.deliver()

    (result,) = desk.discord.tried
    assert (result.video, result.problem, result.due.task.state) == (None, None, verdict.state)
    assert desk.downloads.urls == []
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_video_larger_than_the_guild_takes_becomes_a_link(desk: Desk):
    """Known before anything is uploaded."""
    await track_ended(desk.store, desk.clock)
    desk.discord.largest = len(MP4) - 1
    await desk.deliver()

    (result,) = desk.discord.tried
    assert (result.video, result.problem) == (None, TOO_LARGE)
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_video_that_discord_finds_too_large_becomes_a_link_with_the_same_nonce(desk: Desk):
    """Refused means not posted."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(TooLargeForDiscord("413"))
    await desk.deliver()

    first, second = desk.discord.tried
    assert first.video
    assert (second.video, second.problem) == (None, TOO_LARGE)
    assert first.due.delivery.nonce == second.due.delivery.nonce
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_unusable_video_is_told_with_its_reason(desk: Desk):
    """Trying again cannot help."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.errors.append(VideoUnusable("It is not an MP4."))
    await desk.deliver()

    assert [result.problem for result in desk.discord.tried] == ["It is not an MP4."]
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_refused_link_is_given_up_after_eight_attempts(desk: Desk):
    """A new link may need a moment; a dead one stays dead."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.errors.extend(LinkRefused("403", status=403) for _ in range(8))
    for attempt in range(1, 8):
        await desk.deliver()
        delivery = await desk.delivery()
        assert (delivery.state, delivery.attempt, delivery.trouble) == (DeliveryState.DUE, attempt, "403")
        desk.clock.advance(15 * MINUTE)
    await desk.deliver()

    assert [result.problem for result in desk.discord.tried] == [LINK_REFUSED]
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_interrupted_download_is_not_given_up_while_the_link_lives(desk: Desk):
    """The host is slow, not the link dead."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(20))
    for _ in range(20):
        await desk.deliver()
        desk.clock.advance(15 * MINUTE)
    assert desk.discord.tried == []
    await desk.deliver()

    assert [result.video is not None for result in desk.discord.tried] == [True]


@pytest.mark.parametrize(("age", "problem"), [(DAY - 1, None), (DAY, LINK_ENDED)])
async def test_failing_download_is_given_up_when_the_link_has_ended(
    desk: Desk, age: int, problem: str | None
):
    """24 hours, told in those words."""
    await track_ended(desk.store, desk.clock)
    desk.clock.advance(age)
    desk.downloads.errors.append(DownloadInterrupted("cut"))
    await desk.deliver()

    assert [result.problem for result in desk.discord.tried] == ([problem] if problem else [])


async def test_channel_that_does_not_take_us_ends_the_delivery(desk: Desk):
    """/veo redeliver can bring it back."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(Undeliverable("Missing Access"))
    await desk.deliver()

    delivery = await desk.delivery()
    assert (delivery.state, delivery.trouble) == (DeliveryState.UNDELIVERABLE, "Missing Access")
    assert desk.files() == []
    assert desk.changes == 1


@pytest.mark.parametrize(("wish", "least", "most"), [(None, 2, 2.5), (77, 77, 77)])
async def test_unavailable_discord_postpones_as_long_as_it_wants(
    desk: Desk, wish: float | None, least: float, most: float
):
    """With the same nonce, and the video is still there."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(DiscordUnavailable("503", retry_after=wish))
    await desk.deliver()

    delivery = await desk.delivery()
    assert delivery.due_at is not None
    assert least * SECOND <= delivery.due_at - desk.clock() <= most * SECOND
    assert (delivery.state, delivery.attempt, delivery.trouble) == (DeliveryState.DUE, 1, "503")
    assert desk.changes == 0
    desk.clock.now = delivery.due_at
    await desk.deliver()
    assert len(desk.downloads.urls) == 1
    assert {result.due.delivery.nonce for result in desk.discord.tried} == {delivery.nonce}


async def test_message_accepted_before_the_cut_is_not_posted_twice(desk: Desk):
    """Within two minutes Discord's memory for the nonce is relied on alone."""
    await track_ended(desk.store, desk.clock)
    desk.discord.accepts_then_cuts = True
    await desk.deliver()
    desk.clock.advance(2 * MINUTE - 1)
    await desk.deliver()

    assert desk.discord.looked_up == []
    assert len(desk.discord.messages) == 1
    assert (await desk.delivery()).message_id == 5001


async def test_message_of_an_earlier_attempt_is_found_after_two_minutes(desk: Desk):
    """Discord has forgotten the nonce: look before sending again."""
    await track_ended(desk.store, desk.clock)
    desk.discord.accepts_then_cuts = True
    desk.discord.forgets_nonces = True
    await desk.deliver()
    desk.clock.advance(2 * MINUTE)
    await desk.deliver()

    assert len(desk.discord.tried) == 1
    assert len(desk.discord.looked_up) == 1
    delivery = await desk.delivery()
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, 5001)


async def test_earlier_attempt_that_left_nothing_is_sent_again(desk: Desk):
    """Looked for, not there."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(DiscordUnavailable("503"))
    await desk.deliver()
    desk.clock.advance(HOUR)
    await desk.deliver()

    assert len(desk.discord.looked_up) == 1
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_delivery_never_handed_over_is_not_looked_up(desk: Desk):
    """A slow download leaves no message."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.errors.append(DownloadInterrupted("cut"))
    await desk.deliver()
    desk.clock.advance(HOUR)
    await desk.deliver()

    assert desk.discord.looked_up == []


async def test_message_deleted_since_counts_as_posted(desk: Desk):
    """Somebody did not want it: it is not posted again."""
    await track_ended(desk.store, desk.clock)
    desk.discord.deleted.add((await desk.delivery()).nonce)
    await desk.deliver()

    delivery = await desk.delivery()
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, None)


async def test_delivery_untracked_during_the_download_is_not_posted(desk: Desk):
    """Asked just before the message would have gone."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.held = asyncio.Event()
    attempt = asyncio.create_task(desk.deliver())
    await desk.downloads.begun.wait()
    outcome = await desk.store.registrations.cancel(CHANNEL, TASK, OWNER, desk.clock(), may_cancel_any=False)
    desk.downloads.held.set()
    await attempt

    assert outcome is Untracked.CANCELLED
    assert desk.discord.tried == []
    assert desk.files() == []


async def test_delivery_that_another_process_holds_is_not_posted(desk: Desk):
    """The lease was lost during a long download; the other one posts it."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.held = asyncio.Event()
    attempt = asyncio.create_task(desk.deliver())
    await desk.downloads.begun.wait()
    desk.clock.advance(LEASE_TIME)
    other = await desk.store.deliveries.claim(desk.clock())
    desk.downloads.held.set()
    await attempt

    assert desk.discord.tried == []
    assert len(desk.files()) == 1
    assert await desk.store.deliveries.begin_sending(other.work[0].delivery.id, other.lease, desk.clock())


async def test_stop_during_a_download_gives_the_delivery_back(desk: Desk):
    """The next process goes on at once, with no attempt lost."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.held = asyncio.Event()
    attempt = asyncio.create_task(desk.deliver())
    await desk.downloads.begun.wait()
    desk.stop.set()
    await attempt

    delivery = await desk.delivery()
    assert (delivery.state, delivery.due_at, delivery.attempt) == (DeliveryState.DUE, desk.clock(), 0)
    assert desk.discord.tried == []
    assert len((await desk.store.deliveries.claim(desk.clock())).work) == 1


async def test_stop_before_the_message_went_gives_the_delivery_back(desk: Desk):
    """Nothing new is begun."""
    await track_ended(desk.store, desk.clock, FAILED)
    desk.stop.set()
    await desk.deliver()

    assert desk.discord.tried == []
    assert (await desk.delivery()).due_at == desk.clock()


async def test_video_is_fetched_once_for_two_channels_and_kept_until_both_have_it(desk: Desk):
    """Removed when nobody is owed it any more."""
    await track(desk.store, desk.clock, channel=CHANNEL)
    await track(desk.store, desk.clock, channel=OTHER_CHANNEL)
    await ask_about(desk.store, desk.clock)
    await desk.deliver()
    assert len(desk.files()) == 1
    await desk.deliver()

    assert desk.files() == []
    assert len(desk.downloads.urls) == 1
    assert [data for _, data, _ in desk.discord.messages.values()] == [MP4, MP4]


async def test_delivery_set_aside_is_tried_again_in_an_hour(desk: Desk):
    """A bug of ours; /veo status says that it is not forgotten."""
    await track_ended(desk.store, desk.clock)
    claim = await desk.deliverer.claim(1)
    await desk.deliverer.set_aside(claim.lease, claim.work[0], "KeyError: 1")

    assert await desk.deliverer.next_due() == desk.clock() + HOUR
    assert (await desk.delivery()).attempt == 1


async def test_long_upload_keeps_its_lease(desk: Desk):
    """The loop renews by the deliverer."""
    await track_ended(desk.store, desk.clock)
    claim = await desk.deliverer.claim(1)
    desk.clock.advance(50 * SECOND)
    await desk.deliverer.renew([claim.lease])

    assert await desk.deliverer.next_due() == desk.clock() + LEASE_TIME


async def test_completed_task_without_a_link_is_told_without_a_download(desk: Desk):
    """A row of an older version may lack it."""
    await track_ended(desk.store, desk.clock, type(DONE)(DONE.state))
    await desk.deliver()

    assert desk.downloads.urls == []
    assert (await desk.delivery()).state is DeliveryState.POSTED
