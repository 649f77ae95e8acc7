"""The deliverer: what is downloaded, what follows from each failure, and who gets a message."""

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
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage
from bot.core.tasks import DeliveryState
from bot.core.tracking import UntrackResult
from bot.core.verdicts import Final
from bot.metrics import AttemptOutcome
from bot.storage.store import LEASE_TIME
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.counted import counted
from tests.deliverer_env import MP4, DelivererEnv, make_due
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

NO_ACCESS = Problem(ProblemCode.NO_ACCESS)


async def test_completed_task_is_posted_with_its_video(env: DelivererEnv):
    """The API's bytes, once, and the message's id is kept."""
    await track_ended(env.store, env.clock)
    await env.deliver()

    delivery = await env.delivery()
    assert env.downloads.urls == [URL]
    assert env.discord.messages == {delivery.nonce: (5001, MP4, None)}
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, 5001)
    assert env.changes == 1


@pytest.mark.parametrize("verdict", [FAILED, LOST], ids=["failed", "lost"])
async def test_task_without_a_video_is_posted_without_a_download(env: DelivererEnv, verdict: Final):
    """A result message comes in every case."""
    await track_ended(env.store, env.clock, verdict)
    await env.deliver()

    (result,) = env.discord.tried
    assert (result.video, result.problem, result.due.task.state) == (None, None, verdict.state)
    assert env.downloads.urls == []
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_unusable_video_is_posted_as_its_reason(env: DelivererEnv):
    """Another attempt cannot help."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.append(VideoUnusable(ProblemCode.NOT_AN_MP4))
    await env.deliver()

    assert [result.problem for result in env.discord.tried] == [Problem(ProblemCode.NOT_AN_MP4)]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_refused_link_is_given_up_after_eight_attempts(env: DelivererEnv):
    """A new link may need a moment; a dead one stays dead."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.extend(LinkRefused("the host answers 403", status=403) for _ in range(8))
    refused = Problem(ProblemCode.LINK_REFUSED, {"status": 403}).to_text()
    for attempt in range(1, 8):
        await env.deliver()
        delivery = await env.delivery()
        assert (delivery.state, delivery.attempt, delivery.last_error) == (
            DeliveryState.DUE,
            attempt,
            refused,
        )
        env.clock.advance(15 * MINUTE)
    await env.deliver()

    assert [result.problem for result in env.discord.tried] == [Problem(ProblemCode.LINK_DEAD)]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_interrupted_download_is_not_given_up_while_the_link_lives(env: DelivererEnv):
    """The host is slow, not the link dead."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(20))
    for _ in range(20):
        await env.deliver()
        env.clock.advance(15 * MINUTE)
    assert env.discord.tried == []
    await env.deliver()

    assert [result.video is not None for result in env.discord.tried] == [True]


@pytest.mark.parametrize(
    ("age", "attempts", "problem"),
    [
        (DAY - 2 * HOUR - 1, 3, None),
        (DAY - HOUR, 2, None),
        (DAY - HOUR, 3, ProblemCode.LINK_ENDING),
        (DAY, 1, ProblemCode.LINK_ENDED),
    ],
)
async def test_failing_download_becomes_the_link_while_people_can_still_use_it(
    env: DelivererEnv, age: int, attempts: int, problem: ProblemCode | None, caplog: pytest.LogCaptureFixture
):
    """Two hours before its 24 hours end, after three attempts; the operator sees it in the log."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(attempts))
    ended_at = env.clock() - RESULT_FOLLOWS
    for _ in range(attempts):
        env.clock.now = ended_at + age
        await make_due(env)
        await env.deliver()

    assert [result.problem for result in env.discord.tried] == ([Problem(problem)] if problem else [])
    alarms = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(alarms) == (1 if problem else 0)


async def test_channel_that_does_not_take_us_ends_the_delivery_and_keeps_the_video(env: DelivererEnv):
    """/veo redeliver or a permission that returns can bring it back, when the link is long dead."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(Undeliverable(ProblemCode.NO_ACCESS))
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.last_error) == (DeliveryState.UNDELIVERABLE, NO_ACCESS.to_text())
    assert env.discord.sent_privately == [(OWNER, NO_ACCESS)]
    assert len(env.files()) == 1
    assert env.changes == 1


async def test_requester_gets_the_direct_message_later_when_discord_is_down_as_well(env: DelivererEnv):
    """It is not recorded as undeliverable before they got it."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([Undeliverable(ProblemCode.NO_ACCESS), Undeliverable(ProblemCode.NO_ACCESS)])
    env.discord.unreachable.append(DiscordUnavailable("503"))
    await env.deliver()
    assert (await env.delivery()).state is DeliveryState.DUE

    await make_due(env)
    await env.deliver()

    assert env.discord.sent_privately == [(OWNER, NO_ACCESS)]
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_delivery_that_came_back_and_fails_again_sends_one_direct_message(env: DelivererEnv):
    """A permission that comes and goes must not fill their direct messages."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([Undeliverable(ProblemCode.NO_ACCESS), Undeliverable(ProblemCode.NO_ACCESS)])
    await env.deliver()
    assert await env.store.guilds.revive([CHANNEL], env.clock()) == 1
    await env.deliver()

    assert len(env.discord.sent_privately) == 1
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_video_outlasts_its_link_when_discord_is_down(env: DelivererEnv):
    """Downloaded first: a day without Discord costs nothing but the day."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    env.clock.advance(2 * DAY)
    env.downloads.errors.append(LinkRefused("403"))
    await env.deliver()

    assert len(env.downloads.urls) == 1
    assert [data for _, data, _ in env.discord.messages.values()] == [MP4]


@pytest.mark.parametrize(("wish", "least", "most"), [(None, 2, 2.5), (77, 77, 77)])
async def test_unavailable_discord_postpones_as_long_as_it_wants(
    env: DelivererEnv, wish: float | None, least: float, most: float
):
    """With the same nonce, and the video is still there."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("Discord answered 503", retry_after=wish, status=503))
    await env.deliver()

    delivery = await env.delivery()
    assert delivery.due_at is not None
    assert least * SECOND <= delivery.due_at - env.clock() <= most * SECOND
    unavailable = Problem(ProblemCode.DISCORD_UNAVAILABLE, {"status": 503}).to_text()
    assert (delivery.state, delivery.attempt, delivery.last_error) == (DeliveryState.DUE, 1, unavailable)
    assert env.changes == 0
    env.clock.now = delivery.due_at
    await env.deliver()
    assert len(env.downloads.urls) == 1
    assert {result.due.delivery.nonce for result in env.discord.tried} == {delivery.nonce}


async def test_delivery_untracked_during_the_download_is_not_posted(env: DelivererEnv):
    """The command came just before the message was sent."""
    await track_ended(env.store, env.clock)
    env.downloads.held = asyncio.Event()
    attempt = asyncio.create_task(env.deliver())
    await env.downloads.begun.wait()
    outcome = await env.store.tracking.cancel(CHANNEL, TASK, OWNER, env.clock(), may_cancel_any=False)
    env.downloads.held.set()
    await attempt

    assert outcome is UntrackResult.CANCELLED
    assert env.discord.tried == []
    assert env.files() == []


async def test_delivery_that_another_process_holds_is_not_posted(env: DelivererEnv):
    """The lease was lost during a long download; the other one posts it."""
    await track_ended(env.store, env.clock)
    env.downloads.held = asyncio.Event()
    attempt = asyncio.create_task(env.deliver())
    await env.downloads.begun.wait()
    env.clock.advance(LEASE_TIME)
    other = await env.store.deliveries.claim(1, env.clock())
    env.downloads.held.set()
    await attempt

    assert env.discord.tried == []
    assert len(env.files()) == 1
    assert await env.store.deliveries.begin_sending(other.work[0].delivery.id, other.lease, env.clock())


async def test_stop_during_a_download_gives_the_delivery_back(env: DelivererEnv):
    """The next process goes on at once, with no attempt lost."""
    await track_ended(env.store, env.clock)
    env.downloads.held = asyncio.Event()
    attempt = asyncio.create_task(env.deliver())
    await env.downloads.begun.wait()
    env.stop.set()
    await attempt

    delivery = await env.delivery()
    assert (delivery.state, delivery.due_at, delivery.attempt) == (DeliveryState.DUE, env.clock(), 0)
    assert env.discord.tried == []
    assert len((await env.store.deliveries.claim(1, env.clock())).work) == 1


async def test_stop_before_the_message_went_gives_the_delivery_back(env: DelivererEnv):
    """Nothing new is begun."""
    await track_ended(env.store, env.clock, FAILED)
    env.stop.set()
    await env.deliver()

    assert env.discord.tried == []
    assert (await env.delivery()).due_at == env.clock()


async def test_video_is_downloaded_once_for_two_channels_and_kept_until_both_have_it(env: DelivererEnv):
    """Removed when no channel is owed it any more."""
    await track(env.store, env.clock, channel=CHANNEL)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await ask_about(env.store, env.clock)
    await env.deliver()
    assert len(env.files()) == 1
    await env.deliver()

    assert env.files() == []
    assert len(env.downloads.urls) == 1
    assert [data for _, data, _ in env.discord.messages.values()] == [MP4, MP4]


async def test_quarantined_delivery_is_tried_again_in_an_hour(env: DelivererEnv):
    """A bug of ours; /veo status says that it is not forgotten."""
    await track_ended(env.store, env.clock)
    claim = await env.store.deliveries.claim(1, env.clock())
    await env.deliverer.quarantine(claim.lease, claim.work[0], "KeyError: 1")

    assert await env.store.deliveries.next_due() == env.clock() + HOUR
    assert (await env.delivery()).attempt == 1


async def test_completed_task_without_a_link_is_posted_without_a_download(env: DelivererEnv):
    """A row of an older version may lack it."""
    await track_ended(env.store, env.clock, type(DONE)(DONE.state))
    await env.deliver()

    assert env.downloads.urls == []
    assert (await env.delivery()).state is DeliveryState.POSTED


# -- what is counted -------------------------------------------------------------------------------


def attempts(env: DelivererEnv) -> dict[str, float]:
    """By outcome, those that happened."""
    by_outcome = {o: counted(env.metrics, "veo_delivery_attempts_total", outcome=o) for o in AttemptOutcome}
    return {outcome: count for outcome, count in by_outcome.items() if count}


def times_to_post(env: DelivererEnv) -> tuple[float, float]:
    """How many, and their sum in seconds."""
    name = "veo_completed_to_posted_seconds"
    return counted(env.metrics, f"{name}_count"), counted(env.metrics, f"{name}_sum")


async def test_attempts_are_counted_by_outcome(env: DelivererEnv):
    """One of each, over two channels and a bug of ours."""
    await track(env.store, env.clock, channel=CHANNEL)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await ask_about(env.store, env.clock)
    env.discord.errors.extend([DiscordUnavailable("503"), Undeliverable(ProblemCode.NO_ACCESS)])
    await env.deliver(2)
    await make_due(env)
    claim = await env.store.deliveries.claim(1, env.clock())
    await env.deliverer.quarantine(claim.lease, claim.work[0], "KeyError: 1")
    await make_due(env)
    await env.deliver()

    assert attempts(env) == {"retried": 1, "undeliverable": 1, "set_aside": 1, "posted": 1}


async def test_time_to_post_begins_when_the_video_is_there(env: DelivererEnv):
    """Failed attempts are part of it, because the person waited through them."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    env.clock.advance(90 * SECOND)
    await env.deliver()

    assert times_to_post(env) == (1, 90 + RESULT_FOLLOWS / SECOND)


async def test_time_to_post_of_an_old_video_begins_when_it_is_tracked(env: DelivererEnv):
    """Another channel tracks it hours later: no person has waited that long."""
    await track_ended(env.store, env.clock)
    await env.deliver()
    env.clock.advance(3 * HOUR)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    env.clock.advance(4 * SECOND)
    await env.deliver()

    assert times_to_post(env) == (2, 4 + RESULT_FOLLOWS / SECOND)


async def test_time_to_post_counts_only_videos(env: DelivererEnv):
    """A reason is a text and quickly sent: it would make the numbers look better than they are."""
    await track_ended(env.store, env.clock, FAILED)
    await env.deliver()

    assert attempts(env) == {"posted": 1}
    assert times_to_post(env) == (0, 0)


async def test_attempt_whose_lease_was_lost_is_the_other_process_to_count(
    env: DelivererEnv, monkeypatch: pytest.MonkeyPatch
):
    """Two processes post with one nonce, and the message is counted once."""
    await track_ended(env.store, env.clock)
    post = env.discord.post

    async def overtaken(result: ResultMessage) -> int | None:
        env.clock.advance(LEASE_TIME)
        assert (await env.store.deliveries.claim(1, env.clock())).work
        return await post(result)

    monkeypatch.setattr(env.discord, "post", overtaken)
    await env.deliver()

    assert len(env.discord.messages) == 1
    assert attempts(env) == {}


async def test_download_is_counted_with_its_bytes_and_its_time(env: DelivererEnv):
    """Once for all channels; one that failed has no size to count."""
    await track(env.store, env.clock, channel=CHANNEL)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await ask_about(env.store, env.clock)
    env.downloads.errors.append(DownloadInterrupted("cut"))
    await env.deliver()
    await make_due(env)
    await env.deliver(2)

    assert counted(env.metrics, "veo_download_bytes_total") == len(MP4)
    assert counted(env.metrics, "veo_download_seconds_count") == 1
