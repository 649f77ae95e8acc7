"""Posting: one message in a form that the channel accepts, and never a second one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.core.clock import HOUR, MINUTE
from bot.core.errors import (
    CannotFit,
    DiscordUnavailable,
    DownloadInterrupted,
    VideoUnusable,
)
from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction
from bot.core.results import ResultMessage
from bot.core.tasks import DeliveryState
from bot.core.verdicts import Final
from bot.storage.store import LEASE_TIME
from bot.work.posting import MAX_POSTS, MAX_UPLOADS
from tests.deliverer_env import MP4, DelivererEnv, make_due
from tests.factories import (
    CHANNEL,
    DONE,
    FAILED,
    OTHER_CHANNEL,
    OWNER,
    URL,
    ask_about,
    make_refusal,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import eventually

Taken = tuple[int, ResultMessage]


async def test_video_larger_than_the_guilds_limit_is_made_to_fit(env: DelivererEnv):
    """Before any upload, and the message says so."""
    await track_ended(env.store, env.clock)
    env.discord.upload_limit_of_guild = len(MP4) - 1
    await env.deliver()

    (result,) = env.discord.tried
    assert (result.problem, result.original_size) == (None, len(MP4))
    assert [data for _, data, _ in env.discord.messages.values()] == [MP4[:-1]]
    assert env.files() == []


async def test_two_channels_share_one_smaller_video(env: DelivererEnv):
    """Making it takes many seconds on two cores."""
    await track(env.store, env.clock, channel=CHANNEL)
    await track(env.store, env.clock, channel=OTHER_CHANNEL)
    await ask_about(env.store, env.clock)
    env.discord.upload_limit_of_guild = len(MP4) - 1
    await env.deliver(2)

    assert env.fitter.limits == [len(MP4) - 1]
    assert len(env.discord.messages) == 2


async def test_video_that_cannot_be_made_to_fit_is_posted_as_link(env: DelivererEnv):
    await track_ended(env.store, env.clock)
    env.discord.upload_limit_of_guild = len(MP4) - 1
    env.fitter.errors.append(CannotFit("no ffmpeg"))
    await env.deliver()

    (result,) = env.discord.tried
    assert (result.video, result.problem) == (None, Problem(ProblemCode.TOO_LARGE_HERE))
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_video_that_discord_finds_too_large_is_made_smaller_with_the_same_nonce(env: DelivererEnv):
    """The refused message was not posted. The messenger has learnt the lower limit."""
    await track_ended(env.store, env.clock)
    env.discord.refuses_more_than = len(MP4) - 5
    await env.deliver()

    first, second = env.discord.tried
    assert first.original_size is None
    assert second.original_size == len(MP4)
    assert env.discord.messages == {second.due.delivery.nonce: (5002, MP4[:-5], None)}


async def test_video_refused_for_an_unknown_limit_is_posted_as_link(env: DelivererEnv):
    """The same size is never tried twice."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(Reaction.TOO_LARGE))
    await env.deliver()

    first, second = env.discord.tried
    assert first.video
    assert (second.video, second.problem) == (None, Problem(ProblemCode.TOO_LARGE_HERE))
    assert first.due.delivery.nonce == second.due.delivery.nonce
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_result_of_a_locked_thread_is_posted_in_the_parent_channel(env: DelivererEnv):
    """The link on the card leads there."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(Reaction.THREAD_CLOSED))
    env.discord.parent = 77
    await env.deliver()

    delivery = await env.delivery()
    assert [result.channel_id for result in env.discord.tried] == [CHANNEL, 77]
    assert (delivery.state, delivery.posted_in) == (DeliveryState.POSTED, 77)
    assert delivery.message_channel_id == 77


async def test_result_whose_lease_ended_while_it_waited_for_a_slot_is_not_sent(env: DelivererEnv):
    """Another process has the delivery, and may have posted it."""
    await track_ended(env.store, env.clock)
    lease, due = await take_delivery(env.store, env.clock)
    env.clock.advance(LEASE_TIME)
    await take_delivery(env.store, env.clock)

    assert await env.deliverer._poster.post(lease, ResultMessage(due)) is None
    assert env.discord.tried == []


async def test_message_in_the_parent_channel_is_found_there(env: DelivererEnv):
    """After a crash both channels are searched before a message is sent."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(Reaction.THREAD_CLOSED))
    env.discord.parent = 77
    env.discord.accepts_then_cuts = True
    env.discord.forgets_nonces = True
    await env.deliver()
    env.clock.advance(HOUR)
    env.discord.errors.append(make_refusal(Reaction.THREAD_CLOSED))
    env.discord.found_only_in = 77
    await env.deliver()

    assert env.discord.looked_up == [CHANNEL, 77]
    assert len(env.discord.tried) == 3
    assert (await env.delivery()).posted_in == 77


async def test_result_for_a_locked_forum_thread_is_sent_privately(env: DelivererEnv):
    """A forum itself accepts no messages."""
    await track_ended(env.store, env.clock)
    env.discord.errors.append(make_refusal(Reaction.THREAD_CLOSED))
    await env.deliver()

    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.THREAD_LOCKED))]
    assert (await env.delivery()).state is DeliveryState.UNDELIVERABLE


@pytest.mark.parametrize("verdict", [DONE, FAILED], ids=["video", "reason"])
async def test_blocked_words_are_left_out(env: DelivererEnv, verdict: Final):
    """AutoMod refuses the note or the API's reason; the rest of the message is ours."""
    await track_ended(env.store, env.clock, verdict)
    env.discord.errors.append(make_refusal(Reaction.WORDS_REFUSED))
    await env.deliver()

    assert [result.is_bare for result in env.discord.tried] == [False, True]
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_blocked_link_is_sent_privately(env: DelivererEnv):
    """A message without its link would be useless."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.append(VideoUnusable(ProblemCode.NOT_AN_MP4))
    env.discord.errors.append(make_refusal(Reaction.WORDS_REFUSED, ProblemCode.LINK_BLOCKED))
    await env.deliver()

    assert env.discord.sent_privately == [(OWNER, Problem(ProblemCode.LINK_BLOCKED))]


async def test_message_is_looked_up_after_a_download_longer_than_a_nonces_life(env: DelivererEnv):
    """An earlier attempt left a message; Discord forgets its nonce during this download."""
    await track_ended(env.store, env.clock)
    env.discord.accepts_then_cuts = True
    env.discord.forgets_nonces = True
    await env.deliver()
    for path in env.files():
        path.unlink()
    await make_due(env)
    env.downloads.held = asyncio.Event()
    env.downloads.begun.clear()
    attempt = asyncio.create_task(env.deliver())
    await env.downloads.begun.wait()
    env.clock.advance(2 * MINUTE)
    env.downloads.held.set()
    await attempt

    assert len(env.discord.tried) == 1
    assert (await env.delivery()).message_id == 5001


async def test_message_accepted_before_the_connection_broke_is_not_posted_twice(env: DelivererEnv):
    """It is looked up at once, also if Discord has forgotten the nonce."""
    await track_ended(env.store, env.clock)
    env.discord.accepts_then_cuts = True
    await env.deliver()
    await make_due(env)
    await env.deliver()

    assert env.discord.looked_up == [CHANNEL]
    assert len(env.discord.tried) == 1
    assert (await env.delivery()).message_id == 5001


async def test_message_of_an_earlier_attempt_is_found_after_two_minutes(env: DelivererEnv):
    """Discord has forgotten the nonce, so the message is looked up before a second send."""
    await track_ended(env.store, env.clock)
    env.discord.accepts_then_cuts = True
    env.discord.forgets_nonces = True
    await env.deliver()
    env.clock.advance(2 * MINUTE)
    await env.deliver()

    assert len(env.discord.tried) == 1
    assert len(env.discord.looked_up) == 1
    delivery = await env.delivery()
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, 5001)


async def test_message_that_is_not_found_is_sent_again(env: DelivererEnv):
    await track_ended(env.store, env.clock)
    env.discord.errors.append(DiscordUnavailable("503"))
    await env.deliver()
    env.clock.advance(HOUR)
    await env.deliver()

    assert len(env.discord.looked_up) == 1
    assert (await env.delivery()).state is DeliveryState.POSTED


async def test_delivery_that_was_never_sent_is_not_looked_up(env: DelivererEnv):
    """A slow download leaves no message."""
    await track_ended(env.store, env.clock)
    env.downloads.errors.append(DownloadInterrupted("cut"))
    await env.deliver()
    env.clock.advance(HOUR)
    await env.deliver()

    assert env.discord.looked_up == []


async def test_message_that_was_deleted_counts_as_posted(env: DelivererEnv):
    """A moderator removed it, so it is not posted again."""
    await track_ended(env.store, env.clock)
    env.discord.deleted.add((await env.delivery()).nonce)
    await env.deliver()

    delivery = await env.delivery()
    assert (delivery.state, delivery.message_id) == (DeliveryState.POSTED, None)


# -- slots -----------------------------------------------------------------------------------------


async def taken(env: DelivererEnv, task_id: str, verdict: Final = DONE) -> Taken:
    """A claimed delivery in a new channel and of a new user, and its lease."""
    env.channels += 1
    await track(env.store, env.clock, task_id, channel=env.channels, by=env.channels)
    await ask_about(env.store, env.clock, verdict, task_id=task_id)
    lease, due = await take_delivery(env.store, env.clock)
    return lease, ResultMessage(due)


async def on_the_disk(env: DelivererEnv, task_id: str) -> Taken:
    """A delivery whose video has been downloaded."""
    lease, result = await taken(env, task_id)
    return lease, replace(result, video=await env.videos.download(task_id, URL, OWNER, 60))


async def without_a_video(env: DelivererEnv, number: int) -> Taken:
    return await taken(env, f"vgen_failed{number}", FAILED)


def tried(env: DelivererEnv) -> list[str]:
    return [result.due.task.id for result in env.discord.tried]


@asynccontextmanager
async def uploads_in_progress(env: DelivererEnv, count: int) -> AsyncIterator[None]:
    """Uploads that last as long as the block."""
    env.discord.held_uploads = asyncio.Event()
    results = [await on_the_disk(env, f"vgen_{number}") for number in range(count)]
    jobs = [asyncio.create_task(env.deliverer._poster.post(*result)) for result in results]
    await eventually(lambda: env.discord.uploading == count)
    try:
        yield
    finally:
        env.discord.held_uploads.set()
        await asyncio.gather(*jobs)


async def test_result_without_a_video_waits_for_no_upload(env: DelivererEnv):
    """Also not for several: texts have separate slots."""
    async with uploads_in_progress(env, MAX_UPLOADS):
        for number in range(2 * MAX_POSTS):
            posted = await env.deliverer._poster.post(*await without_a_video(env, number))
            assert posted

        assert env.discord.uploading == MAX_UPLOADS


async def test_upload_beyond_the_slots_waits_for_one_of_them(env: DelivererEnv):
    """More uploads at once would make each of them slower."""
    async with uploads_in_progress(env, MAX_UPLOADS):
        one_more = await on_the_disk(env, "vgen_more")
        job = asyncio.create_task(env.deliverer._poster.post(*one_more))
        await env.deliverer._poster.post(*await without_a_video(env, 0))

        assert "vgen_more" not in tried(env)
    assert await job
    assert tried(env)[-1] == "vgen_more"


async def test_messages_beyond_their_slots_wait(env: DelivererEnv, monkeypatch: pytest.MonkeyPatch):
    go, most = asyncio.Event(), 0
    post = env.discord.post

    async def held(result: ResultMessage, *, not_after: float) -> int | None:
        nonlocal most
        most += 1
        await go.wait()
        return await post(result, not_after=not_after)

    monkeypatch.setattr(env.discord, "post", held)
    results = [await without_a_video(env, number) for number in range(MAX_POSTS + 3)]
    jobs = [asyncio.create_task(env.deliverer._poster.post(*result)) for result in results]
    await eventually(lambda: most == MAX_POSTS)
    for _ in range(100):
        await asyncio.sleep(0)
    assert most == MAX_POSTS
    go.set()
    await asyncio.gather(*jobs)

    assert most == MAX_POSTS + 3


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (make_refusal(Reaction.TOO_LARGE), ProblemCode.TOO_LARGE_HERE),
        (make_refusal(Reaction.MISSING_PERMISSION), ProblemCode.MAY_NOT_ATTACH),
    ],
)
async def test_form_without_the_video_leaves_its_upload_slot(
    env: DelivererEnv, monkeypatch: pytest.MonkeyPatch, refusal: Exception, code: ProblemCode
):
    """Only the form with a video needs an upload slot."""
    go, texts = asyncio.Event(), list[ResultMessage]()
    post = env.discord.post

    async def hold_texts(result: ResultMessage, *, not_after: float) -> int | None:
        if result.attachment is None:
            texts.append(result)
            await go.wait()
        return await post(result, not_after=not_after)

    monkeypatch.setattr(env.discord, "post", hold_texts)
    refused, one_more = await on_the_disk(env, "vgen_refused"), await on_the_disk(env, "vgen_more")
    async with uploads_in_progress(env, MAX_UPLOADS - 1):
        env.discord.errors.append(refusal)
        jobs = [asyncio.create_task(env.deliverer._poster.post(*refused))]
        await eventually(lambda: texts)
        jobs.append(asyncio.create_task(env.deliverer._poster.post(*one_more)))
        await eventually(lambda: env.discord.uploading == MAX_UPLOADS)
    go.set()
    await asyncio.gather(*jobs)

    assert [text.problem for text in texts] == [Problem(code)]
    assert len(env.discord.messages) == MAX_UPLOADS + 1
