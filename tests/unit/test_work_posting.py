"""Posting: one message in whatever form the channel takes, and never a second one."""

import asyncio

import pytest

from bot.core.clock import HOUR, MINUTE
from bot.core.errors import (
    CannotFit,
    DiscordUnavailable,
    DownloadInterrupted,
    MessageRefused,
    ThreadClosed,
    TooLargeForDiscord,
    VideoUnusable,
)
from bot.core.results import ResultMessage
from bot.core.tasks import DeliveryState
from bot.core.verdicts import Final
from bot.work.posting import TOO_LARGE
from tests.delivery_desk import MP4, Desk, make_due
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    OTHER_CHANNEL,
    OWNER,
    ask_about,
    take_delivery,
    track,
    track_ended,
)


async def test_video_larger_than_the_guild_takes_is_made_to_fit(desk: Desk):
    """Known before anything is uploaded, and the message says so."""
    await track_ended(desk.store, desk.clock)
    desk.discord.largest = len(MP4) - 1
    await desk.deliver()

    (result,) = desk.discord.tried
    assert (result.problem, result.original_size) == (None, len(MP4))
    assert [data for _, data, _ in desk.discord.messages.values()] == [MP4[:-1]]
    assert desk.files() == []


async def test_two_channels_share_one_smaller_video(desk: Desk):
    """It costs many seconds of two cores."""
    await track(desk.store, desk.clock, channel=CHANNEL)
    await track(desk.store, desk.clock, channel=OTHER_CHANNEL)
    await ask_about(desk.store, desk.clock)
    desk.discord.largest = len(MP4) - 1
    await desk.deliver(2)

    assert desk.fitter.limits == [len(MP4) - 1]
    assert len(desk.discord.messages) == 2


async def test_video_that_cannot_be_made_to_fit_becomes_a_link(desk: Desk):
    """A video that always arrives in some form."""
    await track_ended(desk.store, desk.clock)
    desk.discord.largest = len(MP4) - 1
    desk.fitter.errors.append(CannotFit("no ffmpeg"))
    await desk.deliver()

    (result,) = desk.discord.tried
    assert (result.video, result.problem) == (None, TOO_LARGE)
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_video_that_discord_finds_too_large_is_made_smaller_with_the_same_nonce(desk: Desk):
    """Refused means not posted. The messenger has learnt the lower limit."""
    await track_ended(desk.store, desk.clock)
    desk.discord.refuses_more_than = 5
    await desk.deliver()

    first, second = desk.discord.tried
    assert first.original_size is None
    assert second.original_size == len(MP4)
    assert desk.discord.messages == {second.due.delivery.nonce: (5002, MP4[:5], None)}


async def test_video_refused_for_a_limit_that_nobody_knows_becomes_a_link(desk: Desk):
    """Never the same size twice."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(TooLargeForDiscord("413"))
    await desk.deliver()

    first, second = desk.discord.tried
    assert first.video
    assert (second.video, second.problem) == (None, TOO_LARGE)
    assert first.due.delivery.nonce == second.due.delivery.nonce
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_locked_thread_gets_its_result_in_the_channel_above(desk: Desk):
    """And everybody who looks for it is led there."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(ThreadClosed("locked"))
    desk.discord.parent = 77
    await desk.deliver()

    delivery = await desk.delivery()
    assert [result.channel_id for result in desk.discord.tried] == [CHANNEL, 77]
    assert (delivery.state, delivery.posted_in) == (DeliveryState.POSTED, 77)
    assert delivery.message_channel_id == 77


async def test_result_that_waits_for_a_place_is_looked_for_before_it_is_sent(desk: Desk):
    """While it waits, its lease may end and another process post it: the nonce may be forgotten since."""
    await track_ended(desk.store, desk.clock)
    _, due = await take_delivery(desk.store, desk.clock)
    result = ResultMessage(due, begun_at=desk.clock())
    desk.discord.messages[due.delivery.nonce] = (4711, MP4, None)
    desk.clock.advance(2 * MINUTE)

    posted = await desk.deliverer._poster.post(result)

    assert posted.message_id == 4711
    assert desk.discord.tried == []


async def test_message_left_in_the_channel_above_is_found_there(desk: Desk):
    """A crash after the second form was posted: both places are looked at before either is sent to."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(ThreadClosed("locked"))
    desk.discord.parent = 77
    desk.discord.accepts_then_cuts = True
    desk.discord.forgets_nonces = True
    await desk.deliver()
    desk.clock.advance(HOUR)
    desk.discord.errors.append(ThreadClosed("locked"))
    desk.discord.found_only_in = 77
    await desk.deliver()

    assert desk.discord.looked_up == [CHANNEL, 77]
    assert len(desk.discord.tried) == 3
    assert (await desk.delivery()).posted_in == 77


async def test_forum_thread_that_is_locked_is_told_privately(desk: Desk):
    """Above it there is nothing that takes messages."""
    await track_ended(desk.store, desk.clock)
    desk.discord.errors.append(ThreadClosed("locked"))
    await desk.deliver()

    assert desk.discord.told == [(OWNER, "locked")]
    assert (await desk.delivery()).state is DeliveryState.UNDELIVERABLE


@pytest.mark.parametrize("verdict", [DONE, FAILED], ids=["video", "reason"])
async def test_blocked_words_are_left_out(desk: Desk, verdict: Final):
    """AutoMod does not like the note or the API's reason; the rest of the message is ours."""
    await track_ended(desk.store, desk.clock, verdict)
    desk.discord.errors.append(MessageRefused("AutoMod"))
    await desk.deliver()

    assert [result.bare for result in desk.discord.tried] == [False, True]
    assert (await desk.delivery()).state is DeliveryState.POSTED


async def test_link_that_is_blocked_is_told_privately(desk: Desk):
    """A message without its link would give nothing to anybody."""
    await track_ended(desk.store, desk.clock)
    desk.downloads.errors.append(VideoUnusable("It is not an MP4."))
    desk.discord.errors.append(MessageRefused("a link"))
    await desk.deliver()

    assert desk.discord.told == [(OWNER, "a link")]


async def test_slow_download_does_not_outlast_the_memory_of_a_nonce(desk: Desk):
    """The attempt before left a message; Discord forgets the nonce during this one's download."""
    await track_ended(desk.store, desk.clock)
    desk.discord.accepts_then_cuts = True
    desk.discord.forgets_nonces = True
    await desk.deliver()
    for path in desk.files():
        path.unlink()
    await make_due(desk)
    desk.downloads.held = asyncio.Event()
    desk.downloads.begun.clear()
    attempt = asyncio.create_task(desk.deliver())
    await desk.downloads.begun.wait()
    desk.clock.advance(2 * MINUTE)
    desk.downloads.held.set()
    await attempt

    assert len(desk.discord.tried) == 1
    assert (await desk.delivery()).message_id == 5001


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
