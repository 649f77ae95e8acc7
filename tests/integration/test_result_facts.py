"""What a result and a card say of the video itself: model, size, time taken, and what is usual."""

import re

import pytest

from bot.core.clock import SECOND
from sandbox.discord import Message
from sandbox.faults import Fault
from sandbox.video_api import CLIP, StandInTask
from tests.integration.conftest import InProcessEnv, QuickClock

ID = "vgen_abc123def456"
MODEL = "veo_3_1_quality"
# Seconds. The bot tells how long a task took when its last two polls are at most two intervals apart:
# this machine may stop for some seconds between them.
INTERVAL = 30
AGE = 150 * SECOND


async def queued(env: InProcessEnv, quick_clock: QuickClock, tasks: list[StandInTask]) -> Message:
    """Track tasks that are as old as AGE. The card, once the first poll of each is on record."""
    quick_clock.skipped += AGE
    card = await env.track(" ".join(task.id for task in tasks))
    await env.discord.until(lambda: card.text.count("in the queue") == len(tasks))
    return card


async def poll_next(env: InProcessEnv, quick_clock: QuickClock) -> None:
    """Skip one and a half intervals. A command wakes the loops, which sleep by the real clock."""
    quick_clock.skipped += INTERVAL * SECOND * 3 // 2
    await env.bob.slash(env.channel, "veo untrack", id="vgen_nothing")


async def test_result_says_how_long_how_large_which_model_and_how_long_it_took(
    env: InProcessEnv, quick_clock: QuickClock
):
    """The model and `created` are the API's, length and size the file's; the id is last."""
    task = env.api.create(ID, model=MODEL)
    async with env.bot(poll_interval=INTERVAL):
        card = await queued(env, quick_clock, [task])
        task.complete()
        await poll_next(env, quick_clock)
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.text)
        status = await env.alice.slash(env.channel, "veo status", id=ID)
        listed = await env.alice.slash(env.channel, "veo list")

    [file] = result.attachments
    assert file.video is not None
    size = f"{file.video.width}\u00d7{file.video.height} · {CLIP.size / 1_000_000:.1f} MB"
    [facts] = [line for line in result.text.splitlines() if f"`{ID}`" in line]
    found = re.fullmatch(
        rf"-# {file.video.seconds:.0f} s · {size} · `{MODEL}` · took (3 min \d+ s) · `{ID}`", facts
    )
    assert found is not None, facts
    assert f"`{MODEL}`" in status.text
    assert f"ready after {found[1]}: " in status.text
    assert f"ready after {found[1]}: " in listed.text


async def test_failure_says_after_how_long(env: InProcessEnv, quick_clock: QuickClock):
    task = env.api.create(ID, model=MODEL)
    async with env.bot(poll_interval=INTERVAL):
        await queued(env, quick_clock, [task])
        task.fail("no")
        await poll_next(env, quick_clock)
        [result] = await env.results()

    facts = result.text.splitlines()[-1]
    assert re.fullmatch(rf"-# `{MODEL}` · failed after 3 min \d+ s · `{ID}`", facts), facts


async def test_time_is_not_told_when_the_end_was_not_seen(env: InProcessEnv):
    """The first poll finds it completed: it may have been so for hours."""
    env.api.create(ID, model=MODEL).complete()
    async with env.bot():
        card = await env.track(ID)
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.text)

    assert "took" not in result.text
    assert f"`{MODEL}` · `{ID}`" in result.text
    assert "ready: [see the video]" in card.text


async def test_card_says_what_is_usual_after_ten_videos_of_a_model(
    env: InProcessEnv, quick_clock: QuickClock
):
    """Of this model alone, from what the bot has seen itself."""
    tasks = [env.api.create(f"vgen_{number:02}", model=MODEL) for number in range(10)]
    env.api.create("vgen_next", model=MODEL)
    env.api.create("vgen_new_model", model="veo_4")
    async with env.bot(poll_interval=INTERVAL):
        await queued(env, quick_clock, tasks)
        for task in tasks:
            task.complete()
        await poll_next(env, quick_clock)
        await env.results(10)
        card, other = await env.track("vgen_next"), await env.track("vgen_new_model")
        await env.discord.until(lambda: all("in the queue" in each.text for each in (card, other)))

    assert "A video usually takes 3 to 4 min (from the last 10)." in card.text
    assert "A video usually takes 2 to 5 minutes." in other.text


@pytest.mark.parametrize("note", ["harbour at dawn", None])
async def test_note_describes_the_attachment(env: InProcessEnv, note: str | None):
    """A screen reader speaks the description."""
    env.api.create(ID).complete()
    async with env.bot():
        await env.track(ID, **({"note": note} if note else {}))
        [result] = await env.results()

    [file] = result.attachments
    assert file.description == note


async def test_note_that_automod_blocked_does_not_describe_the_attachment(env: InProcessEnv):
    """The message without words from outside has none there either."""
    task = env.api.create(ID)
    blocked = {"code": 200000, "message": "Message was blocked by automatic moderation"}
    async with env.bot():
        await env.track(ID, note="a bad word")
        env.discord.faults.add(Fault("POST /channels/*/messages", status=400, body=blocked))
        task.complete()
        [result] = await env.results()

    [file] = result.attachments
    assert file.description is None
