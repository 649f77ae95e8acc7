"""The deliverer: downloads, the reaction to each failure, and who gets a message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.chat.texts import cards
from bot.chat.texts.language import ENGLISH
from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import (
    DiscordUnavailable,
    DownloadInterrupted,
    LinkRefused,
    VideoUnusable,
)
from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction
from bot.core.results import ResultMessage
from bot.core.tasks import DeliveryState
from bot.core.tracking import UntrackResult
from bot.core.verdicts import Final
from bot.metrics import AttemptOutcome
from bot.storage.store import LEASE_TIME
from bot.storage.task_queue import RESULT_FOLLOWS
from bot.work.loop import DurableLoop
from sandbox.patience import PATIENCE
from tests.conftest import INTERVAL
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
    make_refusal,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import eventually

NO_ACCESS = Problem(ProblemCode.NO_ACCESS)


async def test_completed_task_is_posted_with_its_video(env: DelivererEnv):
    """The API's bytes, once; the message's id is stored."""
    await track_ended(env.store, env.clock)
    await env.deliver()

    delivery = await env.delivery()
    assert env.downloads.urls == [URL]
    assert env.discord.messages == {delivery.nonce: (5001, MP4, None)}
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, 5001)
    assert env.changes == 1


@pytest.mark.parametrize("verdict", [FAILED, LOST], ids=["failed", "lost"])
async def test_task_without_a_video_is_posted_without_a_download(env: DelivererEnv, verdict: Final):
    await track_ended(env.store, env.clock, verdict)
    await env.deliver()

    (result,) = env.discord.tried
    assert (result.video, result.problem, result.due.task.state) == (None, None, verdict.state)
    assert env.downloads.urls == []
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_unusable_video_is_posted_as_its_reason(env: DelivererEnv):
    """Another attempt would not help."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.append(VideoUnusable(ProblemCode.NOT_AN_MP4))
    await env.deliver()

    assert [result.problem for result in env.discord.tried] == [Problem(ProblemCode.NOT_AN_MP4)]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_refused_link_is_given_up_after_six_tries_when_the_api_has_no_other(env: DelivererEnv):
    """A new link may not work at once. Tries of a download do not count as attempts to post."""
    await track_ended(env.store, env.clock)
    env.clock.advance(INTERVAL)
    env.downloads.errors.extend(LinkRefused("the host answers 403", status=403) for _ in range(6))
    refused = Problem(ProblemCode.LINK_REFUSED, {"status": 403}).to_text()
    for tries in range(1, 6):
        await env.deliver()
        delivery = await env.delivery()
        assert (delivery.state, delivery.attempt) == (DeliveryState.DUE, 0)
        assert (delivery.download_tries, delivery.last_error) == (tries, refused)
        assert delivery.due_at is not None
        env.clock.now = delivery.due_at
    await env.deliver()

    assert env.api.polled == [TASK]
    assert [result.problem for result in env.discord.tried] == [Problem(ProblemCode.LINK_DEAD)]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_interrupted_download_is_not_given_up_before_two_hours(env: DelivererEnv):
    """The host is slow, but the link works."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(20))
    for _ in range(20):
        await env.deliver()
        env.clock.advance(5 * MINUTE)
    assert env.discord.tried == []
    await env.deliver()

    assert [result.video is not None for result in env.discord.tried] == [True]


@pytest.mark.parametrize(
    ("link_left", "waited", "problem"),
    [
        (DAY, 2 * HOUR - 1, None),
        (DAY, 2 * HOUR, ProblemCode.DOWNLOAD_FAILED),
        (HOUR, HOUR - 1, None),
        (HOUR, HOUR, ProblemCode.LINK_ENDED),
    ],
)
async def test_failing_download_is_posted_as_link_after_two_hours_or_at_its_end(
    env: DelivererEnv, link_left: int, waited: int, problem: ProblemCode | None
):
    """The host may fail only for us, so users may still be able to open the link."""
    link_ends_at = env.clock() + RESULT_FOLLOWS + link_left
    await track_ended(env.store, env.clock, replace(DONE, link_ends_at=link_ends_at))
    env.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(2))
    await env.deliver()
    env.clock.advance(waited)
    await make_due(env)
    await env.deliver()

    assert [result.problem for result in env.discord.tried] == ([Problem(problem)] if problem else [])


# -- concurrent deliveries -------------------------------------------------------------------------


@asynccontextmanager
async def running(env: DelivererEnv) -> AsyncIterator[None]:
    """Runs a delivery loop with a hundred slots."""
    loop = DurableLoop(
        env.store.deliveries, env.deliverer, slots=100, clock=env.clock, shutdown_timeout=5, may_cancel=False
    )
    env.wake = loop.wake
    job = asyncio.create_task(loop.run(env.stop))
    try:
        yield
    finally:
        env.stop.set()
        await job


async def twelve_hanging_downloads(env: DelivererEnv) -> None:
    """Twelve completed tasks of one user in twelve channels; their host sends nothing."""
    env.downloads.held = asyncio.Event()
    for number in range(12):
        await track(env.store, env.clock, f"vgen_slow{number:02d}", channel=900 + number)
    for number in range(12):
        url = f"https://slow.example/{number}.mp4"
        await ask_about(env.store, env.clock, replace(DONE, video_url=url), task_id=f"vgen_slow{number:02d}")


async def test_result_without_a_video_is_posted_while_twelve_downloads_hang(env: DelivererEnv):
    """Also a result of the same user."""
    await twelve_hanging_downloads(env)
    await track_ended(env.store, env.clock, FAILED)

    async with running(env):
        await eventually(lambda: len(env.downloads.urls) == 12)
        await eventually(lambda: env.discord.tried)

        (result,) = env.discord.tried
        assert result.due.task.id == TASK


async def test_video_that_is_on_the_disk_is_posted_while_twelve_downloads_hang(env: DelivererEnv):
    """An earlier attempt downloaded it."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    assert len(env.files()) == 1
    await twelve_hanging_downloads(env)

    async with running(env):
        await eventually(lambda: len(env.downloads.urls) == 13)
        await eventually(lambda: env.discord.messages)

        ((_, data, _),) = env.discord.messages.values()
        assert data == MP4


async def test_download_does_not_block_its_channel(env: DelivererEnv):
    """The channel's next result is posted first, and the video when it is downloaded."""
    await track(env.store, env.clock, TASK, "vgen_failed")
    await ask_about(env.store, env.clock)
    await ask_about(env.store, env.clock, FAILED, task_id="vgen_failed")
    env.downloads.held = asyncio.Event()

    async with running(env):
        await env.downloads.begun.wait()
        await eventually(lambda: env.discord.tried)
        assert (await env.delivery()).is_preparing
        env.downloads.held.set()
        await eventually(lambda: len(env.discord.messages) == 2)

    assert [result.due.task.id for result in env.discord.tried] == ["vgen_failed", TASK]
    assert not (await env.delivery()).is_preparing


async def test_loop_is_woken_when_a_download_frees_its_channel(env: DelivererEnv):
    """A video that is on the disk is posted at once and frees nothing early."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    assert env.frees == 1
    await make_due(env)
    await env.deliver()

    assert len(env.discord.messages) == 1
    assert env.frees == 1


# -- after a crash ---------------------------------------------------------------------------------


async def after_a_crash(env: DelivererEnv) -> DelivererEnv:
    """The next process on the same database and folder. The dead process recorded nothing at its end."""
    await env.store.recover(env.clock(), INTERVAL)
    return DelivererEnv(env.store, env.clock, env.folder)


async def test_tries_go_on_counting_after_a_crash(env: DelivererEnv):
    """Four refusals before the crash and two after it make six."""
    await track_ended(env.store, env.clock)
    env.clock.advance(INTERVAL)
    env.downloads.errors.extend(LinkRefused("403", status=403) for _ in range(4))
    for _ in range(4):
        await make_due(env)
        await env.deliver()
    await make_due(env)
    await env.store.deliveries.claim(1, env.clock())
    before = await env.delivery()

    later = await after_a_crash(env)
    assert await later.delivery() == replace(before, due_at=later.clock())
    later.downloads.errors.extend(LinkRefused("403", status=403) for _ in range(2))
    await later.deliver()
    assert later.discord.tried == []
    await make_due(later)
    await later.deliver()

    assert [result.problem for result in later.discord.tried] == [Problem(ProblemCode.LINK_DEAD)]


async def test_crash_during_a_download_keeps_its_two_hours(env: DelivererEnv):
    """They count from the first try, however often the process was killed."""
    await track_ended(env.store, env.clock)
    began = env.clock()
    for _ in range(3):
        lease, due = await take_delivery(env.store, env.clock)
        assert await env.store.deliveries.begin_preparing(due.delivery.id, lease, env.clock()) == began
        env.clock.advance(HOUR // 2)
        env = await after_a_crash(env)
        assert (await env.delivery()).download_since == began
    env.downloads.errors.append(DownloadInterrupted("cut"))
    env.downloads.errors.append(DownloadInterrupted("cut"))
    await env.deliver()
    assert env.downloads.timeouts == [HOUR // 2 // SECOND]
    env.clock.advance(HOUR // 2)
    await env.deliver()

    assert [result.problem for result in env.discord.tried] == [Problem(ProblemCode.DOWNLOAD_FAILED)]


async def test_revived_delivery_has_all_its_tries_again(env: DelivererEnv):
    """Its link may work again, and its first two hours are over."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.append(DownloadInterrupted("cut"))
    await env.deliver()
    env.clock.advance(3 * HOUR)
    env.downloads.errors.append(DownloadInterrupted("cut"))
    env.discord.errors.append(make_refusal(Reaction.NO_ACCESS))
    await env.deliver()
    await env.store.guilds.revive([(await env.delivery()).id], env.clock())
    env.downloads.errors.append(DownloadInterrupted("cut"))
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.download_since) == (DeliveryState.DUE, env.clock())
    assert delivery.download_attempt == 1


# -- the link on the card --------------------------------------------------------------------------


async def shown_card(env: DelivererEnv) -> str:
    """The text of a card that is due; marks the card as edited."""
    (view,) = (claim := await env.store.cards.claim(1, env.clock())).work
    assert await env.store.cards.mark_edited(view.card, claim.lease, env.clock())
    return "\n".join(cards.card(ENGLISH, view, env.clock()).paragraphs)


async def give_the_card_a_message(env: DelivererEnv) -> None:
    card_id = (await env.delivery()).card_id
    assert card_id is not None
    await env.store.cards.set_message(card_id, 900, now=0)
    assert URL not in await shown_card(env)


async def card_is_due(env: DelivererEnv) -> bool:
    due = await env.store.cards.next_due()
    return due is not None and due <= env.clock()


async def until_card_is_due(env: DelivererEnv) -> None:
    async with asyncio.timeout(PATIENCE):
        # The condition is in the database, which sets no asyncio.Event.
        while not await card_is_due(env):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_card_shows_the_link_after_ten_minutes_until_the_result_is_posted(env: DelivererEnv):
    """So that users need not wait for the two hours."""
    await track_ended(env.store, env.clock)
    await give_the_card_a_message(env)
    began = env.clock()
    env.downloads.errors.extend(DownloadInterrupted("cut") for _ in range(100))
    while env.clock() - began < 10 * MINUTE:
        await env.deliver()
        assert not await card_is_due(env)
        due_at = (await env.delivery()).due_at
        assert due_at is not None
        # The card updater runs in between.
        env.clock.now = min(due_at, max(began + 10 * MINUTE, env.clock()))
    assert await card_is_due(env)
    assert f"Its link: <{URL}>" in await shown_card(env)

    env.downloads.errors.clear()
    await make_due(env)
    await env.deliver()

    assert URL not in await shown_card(env)


@pytest.mark.parametrize("waited", [10 * MINUTE - 20, 11 * MINUTE], ids=["during it", "before it"])
async def test_card_shows_the_link_though_the_download_only_hangs(env: DelivererEnv, waited: int):
    """Ten minutes after the first try, also if they ended while the process was stopped."""
    await track_ended(env.store, env.clock)
    await give_the_card_a_message(env)
    lease, due = await take_delivery(env.store, env.clock)
    await env.store.deliveries.begin_preparing(due.delivery.id, lease, env.clock())
    env.clock.advance(waited)
    env = await after_a_crash(env)
    assert not await card_is_due(env)
    env.downloads.held = asyncio.Event()

    async with running(env):
        await env.downloads.begun.wait()
        await until_card_is_due(env)
        env.clock.advance(20)
        assert f"Its link: <{URL}>" in await shown_card(env)


async def test_channel_without_access_ends_the_delivery_and_keeps_the_video(env: DelivererEnv):
    """/veo redeliver or a returned permission may need it after the link has expired."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(Reaction.NO_ACCESS))
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.last_error) == (DeliveryState.UNDELIVERABLE, NO_ACCESS.to_text())
    assert env.discord.sent_privately == [(OWNER, NO_ACCESS)]
    assert len(env.files()) == 1
    assert env.changes == 1


async def test_direct_message_is_sent_later_when_discord_is_down_as_well(env: DelivererEnv):
    """The delivery is recorded as undeliverable only after that."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([make_refusal(Reaction.NO_ACCESS), make_refusal(Reaction.NO_ACCESS)])
    env.discord.unreachable.append(DiscordUnavailable("503"))
    await env.deliver()
    assert (await env.delivery()).state is DeliveryState.DUE

    await make_due(env)
    await env.deliver()

    assert env.discord.sent_privately == [(OWNER, NO_ACCESS)]
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_revived_delivery_that_fails_again_sends_no_second_direct_message(env: DelivererEnv):
    """A permission may be removed and returned many times."""
    await track_ended(env.store, env.clock)
    env.discord.errors.extend([make_refusal(Reaction.NO_ACCESS), make_refusal(Reaction.NO_ACCESS)])
    await env.deliver()
    assert await env.store.guilds.revive([(await env.delivery()).id], env.clock()) == 1
    await env.deliver()

    assert len(env.discord.sent_privately) == 1
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


async def test_video_outlasts_its_link_when_discord_is_down(env: DelivererEnv):
    """It is downloaded before it is posted, so a day without Discord only delays it."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    env.clock.advance(2 * DAY)
    env.downloads.errors.append(LinkRefused("403"))
    await env.deliver()

    assert len(env.downloads.urls) == 1
    assert [data for _, data, _ in env.discord.messages.values()] == [MP4]


@pytest.mark.parametrize(("wish", "least", "most"), [(None, 5, 6.25), (77, 77, 77)])
async def test_unavailable_discord_postpones_by_its_retry_after(
    env: DelivererEnv, wish: float | None, least: float, most: float
):
    """With the same nonce; the video stays on the disk."""
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
    """The user cancels just before the message is sent."""
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
    """The lease ended during a long download; the other process posts the result."""
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
    assert await env.store.deliveries.begin_sending(other.work[0], other.lease, env.clock())


async def test_stop_during_a_download_gives_the_delivery_back(env: DelivererEnv):
    """The next process continues at once, and no attempt is counted."""
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


async def test_stop_before_the_message_is_sent_gives_the_delivery_back(env: DelivererEnv):
    await track_ended(env.store, env.clock, FAILED)
    env.stop.set()
    await env.deliver()

    assert env.discord.tried == []
    assert (await env.delivery()).due_at == env.clock()


async def test_video_is_downloaded_once_for_two_channels_and_kept_until_both_have_it(env: DelivererEnv):
    """It is removed when no channel needs it."""
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
    """After a bug of ours; /veo status shows it."""
    await track_ended(env.store, env.clock)
    claim = await env.store.deliveries.claim(1, env.clock())
    await env.deliverer.quarantine(claim.lease, claim.work[0], "KeyError: 1")

    assert await env.store.deliveries.next_due() == env.clock() + HOUR
    delivery = await env.delivery()
    assert (delivery.quarantines, delivery.attempt) == (1, 0)


async def test_completed_task_without_a_link_is_posted_without_a_download(env: DelivererEnv):
    """A row of an older version may have no link."""
    await track_ended(env.store, env.clock, type(DONE)(DONE.state))
    await env.deliver()

    assert env.downloads.urls == []
    assert (await env.delivery()).state is DeliveryState.POSTED


# -- metrics ---------------------------------------------------------------------------------------


def attempts(env: DelivererEnv) -> dict[str, float]:
    """The attempts by outcome, without zeros."""
    by_outcome = {o: counted(env.metrics, "veo_delivery_attempts_total", outcome=o) for o in AttemptOutcome}
    return {outcome: count for outcome, count in by_outcome.items() if count}


def times_to_post(env: DelivererEnv) -> tuple[float, float]:
    """The number of times, and their sum in seconds."""
    name = "veo_completed_to_posted_seconds"
    return counted(env.metrics, f"{name}_count"), counted(env.metrics, f"{name}_sum")


async def test_attempts_are_counted_by_outcome(env: DelivererEnv):
    """One of each outcome, in two channels and with a bug of ours."""
    await track(env.store, env.clock, channel=CHANNEL)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await ask_about(env.store, env.clock)
    env.discord.errors.extend([DiscordUnavailable("503"), make_refusal(Reaction.NO_ACCESS)])
    await env.deliver(2)
    await make_due(env)
    claim = await env.store.deliveries.claim(1, env.clock())
    await env.deliverer.quarantine(claim.lease, claim.work[0], "KeyError: 1")
    await make_due(env)
    await env.deliver()

    assert attempts(env) == {"retried": 1, "undeliverable": 1, "set_aside": 1, "posted": 1}


async def test_time_to_post_begins_when_the_video_is_completed(env: DelivererEnv):
    """Failed attempts are part of it, because users wait during them."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    env.clock.advance(90 * SECOND)
    await env.deliver()

    assert times_to_post(env) == (1, 90 + RESULT_FOLLOWS / SECOND)


async def test_time_to_post_of_an_old_video_begins_when_it_is_tracked(env: DelivererEnv):
    """If another channel tracks it hours later."""
    await track_ended(env.store, env.clock)
    await env.deliver()
    env.clock.advance(3 * HOUR)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    env.clock.advance(4 * SECOND)
    await env.deliver()

    assert times_to_post(env) == (2, 4 + RESULT_FOLLOWS / SECOND)


async def test_time_to_post_counts_only_videos(env: DelivererEnv):
    """Texts are sent faster and would lower the average."""
    await track_ended(env.store, env.clock, FAILED)
    await env.deliver()

    assert attempts(env) == {"posted": 1}
    assert times_to_post(env) == (0, 0)


async def test_attempt_whose_lease_was_lost_is_not_counted(
    env: DelivererEnv, monkeypatch: pytest.MonkeyPatch
):
    """Two processes post with one nonce, and the message is counted once."""
    await track_ended(env.store, env.clock)
    post = env.discord.post

    async def overtaken(result: ResultMessage, *, not_after: float) -> int | None:
        env.clock.advance(LEASE_TIME)
        assert (await env.store.deliveries.claim(1, env.clock())).work
        return await post(result, not_after=not_after)

    monkeypatch.setattr(env.discord, "post", overtaken)
    await env.deliver()

    assert len(env.discord.messages) == 1
    assert attempts(env) == {}


async def test_download_is_counted_with_its_bytes_and_its_time(env: DelivererEnv):
    """Once for all channels; a failed download has no size."""
    await track(env.store, env.clock, channel=CHANNEL)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await ask_about(env.store, env.clock)
    env.downloads.errors.append(DownloadInterrupted("cut"))
    await env.deliver()
    await make_due(env)
    await env.deliver(2)

    assert counted(env.metrics, "veo_download_bytes_total") == len(MP4)
    assert counted(env.metrics, "veo_download_seconds_count") == 1


def gone_without(env: DelivererEnv) -> dict[str, float]:
    """The results posted without their video, by reason."""
    name = "veo_results_without_video_total"
    by_reason = {code: counted(env.metrics, name, reason=code) for code in ProblemCode}
    return {code: count for code, count in by_reason.items() if count}


def said_without(caplog: pytest.LogCaptureFixture, reason: str) -> bool:
    return any("without its video" in message and reason in message for message in caplog.messages)


async def test_result_without_its_video_is_counted_and_logged_with_its_reason(
    env: DelivererEnv, caplog: pytest.LogCaptureFixture
):
    """It shows the operator that the host failed, and not the bot."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.append(VideoUnusable(ProblemCode.VIDEO_TOO_LARGE, limit=5, size=9))
    await env.deliver()

    assert gone_without(env) == {"video_too_large": 1}
    assert said_without(caplog, "video_too_large limit=5 size=9")


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (make_refusal(Reaction.TOO_LARGE), "too_large_here"),
        (make_refusal(Reaction.MISSING_PERMISSION), "may_not_attach"),
    ],
)
async def test_result_that_discord_accepts_only_without_video_is_counted_and_logged(
    env: DelivererEnv, caplog: pytest.LogCaptureFixture, refusal: Exception, reason: str
):
    await track_ended(env.store, env.clock)
    env.discord.errors.append(refusal)
    await env.deliver()

    assert gone_without(env) == {reason: 1}
    assert said_without(caplog, reason)


async def test_result_without_its_video_is_counted_once_for_several_attempts(env: DelivererEnv):
    """It counts when it is posted."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.extend(VideoUnusable(ProblemCode.LINK_FORBIDDEN) for _ in range(2))
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    await make_due(env)
    await env.deliver()

    assert gone_without(env) == {"link_forbidden": 1}


async def test_result_with_its_video_or_of_a_failed_task_is_not_counted_as_without(env: DelivererEnv):
    await track(env.store, env.clock, TASK, "vgen_failed")
    await ask_about(env.store, env.clock)
    await ask_about(env.store, env.clock, FAILED, task_id="vgen_failed")
    await env.deliver(2)

    assert attempts(env) == {"posted": 2}
    assert gone_without(env) == {}
