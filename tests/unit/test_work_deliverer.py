"""The deliverer: what is fetched, what becomes of each failure, and who is told."""

import asyncio

import pytest

from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import (
    DiscordUnavailable,
    DownloadInterrupted,
    LinkRefused,
    Undeliverable,
    VideoUnusable,
)
from bot.core.meter import AttemptOutcome
from bot.core.registration import Untracked
from bot.core.results import ResultMessage
from bot.core.tasks import DeliveryState
from bot.core.verdicts import Final
from bot.storage.store import LEASE_TIME
from bot.storage.task_queue import RESULT_FOLLOWS
from bot.work.deliverer import LINK_ENDED, LINK_ENDING, LINK_REFUSED
from tests.counted import counted
from tests.delivery_desk import MP4, Desk, make_due
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
    track,
    track_ended,
)


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


@pytest.mark.parametrize(
    ("age", "attempts", "problem"),
    [
        (DAY - 2 * HOUR - 1, 3, None),
        (DAY - HOUR, 2, None),
        (DAY - HOUR, 3, LINK_ENDING),
        (DAY, 1, LINK_ENDED),
    ],
)
async def test_failing_download_becomes_the_link_while_people_can_still_use_it(
    desk: Desk, age: int, attempts: int, problem: str | None, caplog: pytest.LogCaptureFixture
):
    """Two hours before its 24 hours end, after three attempts; its operator is told as well."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(attempts))
    ended_at = desk.clock() - RESULT_FOLLOWS
    for _ in range(attempts):
        desk.clock.now = ended_at + age
        await make_due(desk)
        await desk.deliver()

    assert [result.problem for result in desk.discord.tried] == ([problem] if problem else [])
    alarms = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(alarms) == (1 if problem else 0)


async def test_channel_that_does_not_take_us_ends_the_delivery_and_keeps_the_video(desk: Desk):
    """/veo redeliver or a permission that returns can bring it back, when the link is long dead."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(Undeliverable("Missing Access"))
    await desk.deliver()

    delivery = await desk.delivery()
    assert (delivery.state, delivery.trouble) == (DeliveryState.UNDELIVERABLE, "Missing Access")
    assert desk.discord.told == [(OWNER, "Missing Access")]
    assert len(desk.files()) == 1
    assert desk.changes == 1


async def test_whoever_asked_is_told_later_when_discord_is_down_as_well(desk: Desk):
    """Never silent: it is not recorded as undeliverable before they were told."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.extend([Undeliverable("Missing Access"), Undeliverable("Missing Access")])
    desk.discord.unreachable.append(DiscordUnavailable("503"))
    await desk.deliver()
    assert (await desk.delivery()).state is DeliveryState.DUE

    await make_due(desk)
    await desk.deliver()

    assert desk.discord.told == [(OWNER, "Missing Access")]
    assert (await desk.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_delivery_that_came_back_and_fails_again_is_not_told_twice(desk: Desk):
    """A permission that comes and goes must not fill somebody's direct messages."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.extend([Undeliverable("Missing Access"), Undeliverable("Missing Access")])
    await desk.deliver()
    assert await desk.store.guilds.revive([CHANNEL], desk.clock()) == 1
    await desk.deliver()

    assert len(desk.discord.told) == 1
    assert (await desk.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_video_outlasts_its_link_when_discord_is_down(desk: Desk):
    """Downloaded first: a day without Discord costs nothing but the day."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(DiscordUnavailable("503"))
    await desk.deliver()
    desk.clock.advance(2 * DAY)
    desk.downloads.errors.append(LinkRefused("403", status=403))
    await desk.deliver()

    assert len(desk.downloads.urls) == 1
    assert [data for _, data, _ in desk.discord.messages.values()] == [MP4]


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


# -- what is counted -------------------------------------------------------------------------------


def attempts(desk: Desk) -> dict[str, float]:
    """By outcome, those that happened."""
    by_outcome = {o: counted(desk.meter, "veo_delivery_attempts_total", outcome=o) for o in AttemptOutcome}
    return {outcome: count for outcome, count in by_outcome.items() if count}


def times_to_post(desk: Desk) -> tuple[float, float]:
    """How many, and their sum in seconds."""
    name = "veo_completed_to_posted_seconds"
    return counted(desk.meter, f"{name}_count"), counted(desk.meter, f"{name}_sum")


async def test_attempts_are_counted_by_outcome(desk: Desk):
    """One of each, over two channels and a bug of ours."""
    await track(desk.store, desk.clock, channel=CHANNEL)
    await track(desk.store, desk.clock, channel=OTHER_CHANNEL)
    await ask_about(desk.store, desk.clock)
    desk.discord.errors.extend([DiscordUnavailable("503"), Undeliverable("Missing Access")])
    await desk.deliver(2)
    await make_due(desk)
    claim = await desk.deliverer.claim(1)
    await desk.deliverer.set_aside(claim.lease, claim.work[0], "KeyError: 1")
    await make_due(desk)
    await desk.deliver()

    assert attempts(desk) == {"retried": 1, "undeliverable": 1, "set_aside": 1, "posted": 1}


async def test_time_to_post_begins_when_the_video_is_there(desk: Desk):
    """Attempts that failed are part of it, for the person waited through them."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(DiscordUnavailable("503"))
    await desk.deliver()
    desk.clock.advance(90 * SECOND)
    await desk.deliver()

    assert times_to_post(desk) == (1, 90 + RESULT_FOLLOWS / SECOND)


async def test_time_to_post_of_an_old_video_begins_when_it_is_asked_for(desk: Desk):
    """Another channel tracks it hours later: nobody has waited that long."""
    await track_ended(desk.store, desk.clock)
    await desk.deliver()
    desk.clock.advance(3 * HOUR)
    await track(desk.store, desk.clock, channel=OTHER_CHANNEL)
    desk.clock.advance(4 * SECOND)
    await desk.deliver()

    assert times_to_post(desk) == (2, 4 + RESULT_FOLLOWS / SECOND)


async def test_time_to_post_is_of_videos_alone(desk: Desk):
    """A reason is a text, quickly sent: with it, the numbers would flatter."""
    await track_ended(desk.store, desk.clock, FAILED)
    await desk.deliver()

    assert attempts(desk) == {"posted": 1}
    assert times_to_post(desk) == (0, 0)


async def test_attempt_whose_lease_was_lost_is_the_other_process_to_count(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """Two processes post with one nonce, and the message is counted once."""
    await track_ended(desk.store, desk.clock)
    post = desk.discord.post

    async def overtaken(result: ResultMessage) -> int | None:
        desk.clock.advance(LEASE_TIME)
        assert (await desk.store.deliveries.claim(desk.clock())).work
        return await post(result)

    monkeypatch.setattr(desk.discord, "post", overtaken)
    await desk.deliver()

    assert len(desk.discord.messages) == 1
    assert attempts(desk) == {}


async def test_download_is_counted_with_its_bytes_and_its_time(desk: Desk):
    """Once for all channels; one that failed has no size to count."""
    await track(desk.store, desk.clock, channel=CHANNEL)
    await track(desk.store, desk.clock, channel=OTHER_CHANNEL)
    await ask_about(desk.store, desk.clock)
    desk.downloads.errors.append(DownloadInterrupted("cut"))
    await desk.deliver()
    await make_due(desk)
    await desk.deliver(2)

    assert counted(desk.meter, "veo_download_bytes_total") == len(MP4)
    assert counted(desk.meter, "veo_download_seconds_count") == 1
