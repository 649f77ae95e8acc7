"""What each answer of Discord leads to: the table of reactions, over real HTTP and websocket."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import discord
import pytest

from bot import app
from bot.chat import messenger
from bot.chat.gateway.membership import Membership
from bot.media.ffmpeg import find_ffmpeg
from sandbox.discord import Channel, Message
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from sandbox.video_api import Clip
from tests.films import tiny_film
from tests.integration.conftest import InProcessEnv
from tests.results import is_undeliverable
from tests.timing import eventually

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"
VIA = {"Via": "1.1 google"}
LOCKED = {"code": 160005, "message": "Thread is locked"}
AUTOMOD = {"code": 200000, "message": "Message was blocked by automatic moderation"}


def sent(env: InProcessEnv, channel: Channel | None = None) -> list[Any]:
    """Every result message that was tried, with Discord's answer."""
    where = (channel or env.channel).id
    return [r for r in env.discord.requests("POST", f"/channels/{where}/messages") if r.body.get("nonce")]


async def told_privately(env: InProcessEnv) -> list[Message]:
    """What alice got in direct messages, once there is something."""
    return await env.discord.until(lambda: env.alice.direct_channel.messages)


async def shown_status(env: InProcessEnv, task_id: str) -> str:
    reply = await env.alice.slash(env.channel, "veo status", id=task_id)
    return reply.message.content if reply.message else ""


def recorded_state(env: InProcessEnv) -> str:
    """Of the only delivery, as the next process would find it."""
    with closing(sqlite3.connect(env.folder / "data" / "bot.db")) as database:
        return str(database.execute("SELECT state FROM deliveries").fetchone()[0])


# --- the way is closed


async def test_video_comes_by_direct_message_when_the_channel_is_hidden(env: InProcessEnv):
    """50001: never silent, and never without the video."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "view_channel")
        task.complete()
        [message] = await told_privately(env)

    assert f"`{ID}` is ready" in message.content
    assert f"<#{env.channel.id}>" in message.content
    assert [file.filename for file in message.attachments] == [f"veo_{ID}.mp4"]


async def test_voice_chat_without_connect_is_told_privately(env: InProcessEnv):
    """50001 where Send Messages is there: the chat of a voice channel asks for Connect."""
    voice = env.guild.add_channel("talk", kind="voice")
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(voice, "veo track", id=ID)
        voice.deny(env.discord.bot, "connect")
        task.fail("no")
        [message] = await told_privately(env)

    assert "I cannot see the channel." in message.content


async def test_locked_thread_gets_its_result_in_the_channel_above(env: InProcessEnv):
    """50083: the person who asked is mentioned where they can see it, with the thread's name."""
    thread = env.channel.add_thread("shots")
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(thread, "veo track", id=ID)
        thread.locked = True
        thread.archived = True
        task.complete()
        [result] = await env.results()
        listed = await env.alice.slash(env.channel, "veo list")

    assert f"<#{thread.id}>" in result.content
    assert result.mentions == {env.alice.id}
    assert len(result.attachments) == 1
    assert listed.message is not None
    assert [r.status for r in sent(env, thread)] == [400]


async def test_locked_thread_by_its_other_code_is_the_same(env: InProcessEnv):
    """160005."""
    thread = env.channel.add_thread("shots")
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(thread, "veo track", id=ID)
        env.discord.faults.add(
            Fault(f"POST /channels/{thread.id}/messages", status=403, body=LOCKED, times=None)
        )
        task.fail("no")
        [result] = await env.results()

    assert f"<#{thread.id}>" in result.content


async def test_locked_thread_of_a_forum_is_told_privately(env: InProcessEnv):
    """A forum takes no messages."""
    thread = env.guild.add_channel("ideas", kind="forum").add_thread("shots")
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(thread, "veo track", id=ID)
        thread.locked = True
        thread.archived = True
        task.fail("no")
        [message] = await told_privately(env)

    assert "locked" in message.content


async def test_archived_thread_takes_its_result_and_is_open_again(env: InProcessEnv):
    """Archived alone is no obstacle: Discord opens it for the message."""
    thread = env.channel.add_thread("shots")
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(thread, "veo track", id=ID)
        thread.archived = True
        task.fail("no")
        assert await env.results(channel=thread)

    assert not thread.archived


# --- the way is free again


async def test_result_comes_by_itself_when_the_permission_returns(env: InProcessEnv):
    """Nobody has to know of /veo redeliver; the link may be long dead."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        env.channel.deny(env.discord.bot, "send_messages")
        task.complete()
        await env.discord.until(lambda: is_undeliverable(card))
        env.channel.allow(env.discord.bot, "send_messages")
        [result] = await env.results()

    assert len(result.attachments) == 1
    assert len(env.alice.direct_channel.messages) == 1
    assert len(env.api.downloads) == 1


async def test_result_comes_by_itself_after_a_start(env: InProcessEnv):
    """What changed while the bot was away is noticed when its servers arrive."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        env.channel.deny(env.discord.bot, "send_messages")
        task.fail("no")
        await env.discord.until(lambda: is_undeliverable(card))
    env.channel.allow(env.discord.bot, "send_messages")
    async with env.bot():
        [result] = await env.results()

    assert "no" in result.content


async def ignore_change(_: Membership, guild: discord.Guild) -> None:
    logging.getLogger("tests").debug("the event of server %d is lost", guild.id)


async def test_missed_event_of_a_permission_is_caught_up(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """It came between Discord's refusal and our record of it, when nothing was undeliverable yet."""
    monkeypatch.setattr(app, "HOUSEKEEPING_INTERVAL", 0.1)
    monkeypatch.setattr(Membership, "changed", ignore_change)
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "send_messages")
        task.fail("no")
        await told_privately(env)
        env.channel.allow(env.discord.bot, "send_messages")
        assert await env.results()


async def test_permission_that_comes_and_goes_tells_only_once(env: InProcessEnv):
    """Direct messages about one delivery are one."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "send_messages")
        task.fail("no")
        await env.discord.until(lambda: recorded_state(env) == "undeliverable")
        refused = {"code": 50013, "message": "Missing Permissions"}
        env.discord.faults.add(Fault(POSTS, status=403, body=refused))
        env.channel.allow(env.discord.bot, "send_messages")
        await env.discord.until(lambda: len(sent(env)) >= 2 and recorded_state(env) == "undeliverable")
        env.channel.deny(env.discord.bot, "send_messages")
        assert await shown_status(env, ID)  # the bot has seen that it may not post
        env.channel.allow(env.discord.bot, "send_messages")
        await env.results()

    assert len(env.alice.direct_channel.messages) == 1


async def test_outage_of_a_server_is_no_removal(env: InProcessEnv):
    """Its tasks wait, and are delivered when it is back."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        await env.guild.outage()
        env.discord.faults.add(Fault(POSTS, status=503, body="", times=2))
        task.fail("no")
        await env.guild.recover()
        assert await asyncio.wait_for(env.results(), PATIENCE)

    assert env.alice.direct_channel.messages == []


async def test_result_waits_for_the_bot_to_be_invited_again(env: InProcessEnv):
    """Removed and back within a month: nothing is lost."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        await env.guild.remove_bot()
        task.complete()
        await told_privately(env)
        await env.discord.until(lambda: recorded_state(env) == "undeliverable")
        env.guild.join(env.discord.bot)
        [result] = await env.results()

    assert len(result.attachments) == 1


async def test_removal_while_away_is_noticed_at_the_next_start(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture
):
    """Nothing is replayed: READY is compared with what is stored."""
    env.api.create(ID)
    async with env.bot():
        await env.track(ID)
    await env.guild.remove_bot()
    env.discord.add_guild("Another")
    async with env.bot():
        await eventually(lambda: f"no longer in server {env.guild.id}" in caplog.text)

    [line] = [r for r in caplog.records if "no longer in server" in r.getMessage()]
    assert vars(line)["guild_id"] == env.guild.id


# --- the message itself is refused


async def test_reason_blocked_by_automod_is_told_without_its_words(env: InProcessEnv):
    """200000: the mention, the id and that it failed still arrive."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID, note="a note")
        env.discord.faults.add(Fault(POSTS, status=400, body=AUTOMOD))
        task.fail("forbidden words")
        [result] = await env.results()

    assert f"`{ID}`" in result.content
    assert "there is no video" in result.content
    assert "forbidden words" not in result.content
    assert "a note" not in result.content
    assert result.mentions == {env.alice.id}


async def test_video_whose_note_is_blocked_arrives_without_it(env: InProcessEnv):
    """240000 the same."""
    task = env.api.create(ID)
    blocked = {"code": 240000, "message": "Message blocked by harmful links filter"}
    async with env.bot():
        await env.track(ID, note="https://bad.example")
        env.discord.faults.add(Fault(POSTS, status=400, body=blocked))
        task.complete()
        [result] = await env.results()

    assert len(result.attachments) == 1
    assert "bad.example" not in result.content


async def test_everything_blocked_by_automod_is_told_privately(env: InProcessEnv):
    """Some server blocks every message: then it is no place for results."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        route = f"POST /channels/{env.channel.id}/messages"
        env.discord.faults.add(Fault(route, status=400, body=AUTOMOD, times=None))
        task.complete()
        [message] = await told_privately(env)

    assert "AutoMod" in message.content
    assert len(message.attachments) == 1


async def test_form_that_discord_refuses_is_tried_bare_and_told_to_the_operator(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture
):
    """50035 is a bug of ours; the user gets a result all the same."""
    invalid = {"code": 50035, "message": "Invalid Form Body"}
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.discord.faults.add(Fault(POSTS, status=400, body=invalid))
        task.fail("no")
        [result] = await env.results()

    assert f"`{ID}`" in result.content
    assert "there is no video" in result.content
    assert [r for r in caplog.records if r.levelname == "ERROR" and "form" in r.getMessage()]


# --- too large


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, {"code": 40005, "message": "Request entity too large"}),
        (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
        (400, {"code": 50045, "message": "File uploaded exceeds the maximum size"}),
    ],
    ids=["413 JSON", "413 HTML", "400/50045"],
)
@pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
async def test_lower_limit_is_learnt_for_that_server(
    env: InProcessEnv, tmp_path: Path, status: int, body: Any
):
    """The first upload teaches; the second video of that size is not even tried there."""
    # Small pictures in a large file: it is quickly made smaller.
    film = tiny_film(tmp_path / "film.mp4", "+faststart").read_bytes()
    clip = Clip(film, padding=9 * 1024 * 1024)
    env.discord.faults.add(Fault(POSTS, status=status, body=body))
    task = env.api.create(ID)
    second = env.api.create("vgen_second")
    async with env.bot():
        await env.track(f"{ID} vgen_second")
        task.complete(clip)
        await env.results(1)
        second.complete(clip)
        results = await env.results(2)

    assert len(results) == 2
    refused = [r for r in sent(env) if r.status == status]
    assert len(refused) == 1
    assert all(file.size < clip.size for message in results for file in message.attachments)


# --- too fast, or blocked


@pytest.mark.parametrize("is_global", [False, True], ids=["of the route", "global"])
async def test_rate_limit_is_waited_out(env: InProcessEnv, is_global: bool):
    """discord.py does it; nothing is posted twice."""
    limited = {"message": "slow down", "retry_after": 0.3, "global": is_global}
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.discord.faults.add(Fault(POSTS, status=429, body=limited, headers=VIA, times=2))
        task.fail("no")
        assert await env.results()

    assert [r.status for r in sent(env)] == [429, 429, 200]


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (429, "<html>1015</html>", {"Via": None}),
        (403, "<html>blocked</html>", {}),
        (403, {"code": 40333, "message": "internal network error"}, {}),
    ],
    ids=["429 without Via", "403 HTML", "403/40333"],
)
async def test_block_by_the_edge_stops_sending_and_keeps_the_gateway(
    env: InProcessEnv, status: int, body: Any, headers: dict[str, str | None]
):
    """One bad answer is enough for ten minutes; commands are still answered."""
    task = env.api.create(ID)
    second = env.api.create("vgen_second")
    async with env.bot():
        await env.track(f"{ID} vgen_second")
        route = f"POST /channels/{env.channel.id}/messages"
        env.discord.faults.add(Fault(route, status=status, body=body, headers=headers, times=None))
        task.fail("no")
        await env.discord.until(lambda: sent(env))
        second.fail("no")

        while "does not take anything from this bot" not in await shown_status(env, "vgen_second"):
            continue

    assert [r.status for r in sent(env)] == [status]


# --- broken on the way


@pytest.mark.parametrize(
    "fault",
    [
        Fault(POSTS, status=500, body=""),
        Fault(POSTS, status=502, body="<html>"),
        Fault(POSTS, status=503, body=""),
        Fault(POSTS, status=503, body={"code": 130000, "message": "API resource is overloaded"}),
        Fault(POSTS, cut="before"),
        Fault(POSTS, cut="after"),
    ],
    ids=["500", "502 HTML", "503", "503/130000", "reset before", "reset after"],
)
async def test_transient_error_gives_one_message_with_one_nonce(env: InProcessEnv, fault: Fault):
    """An upload with the same nonce until Discord says that it has it."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        env.discord.faults.add(fault)
        task.complete()
        [result] = await asyncio.wait_for(env.results(), PATIENCE)
        await env.discord.until(lambda: str(result.id) in card.content)

    assert {r.body["nonce"] for r in sent(env)} == {result.nonce}
    assert len(await env.results()) == 1


async def test_upload_whose_answer_never_comes_is_found(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """Accepted, and the answer never comes: no call may wait for ever."""
    monkeypatch.setattr(messenger, "_UPLOAD_TIME", 0.5)
    task = env.api.create(ID)
    held = env.discord.hold(POSTS, point="accepted")
    async with env.bot():
        card = await env.track(ID)
        task.complete()
        await held.reached()
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.content)
        held.drop()

    assert {r.body["nonce"] for r in sent(env)} == {result.nonce}
    assert len(await env.results()) == 1


async def test_message_deleted_before_its_answer_came_counts_as_posted(env: InProcessEnv):
    """404/10008 on a send: its nonce belongs to a message that somebody deleted."""
    env.guild.join(env.bob, manage_messages=True)
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        env.discord.faults.add(Fault(POSTS, cut="after"))
        task.fail("no")
        [result] = await env.results()
        env.bob.delete(result)
        await env.discord.until(lambda: "failed" in card.content and "I post it now" not in card.content)

    assert [r.status for r in sent(env)][-1] == 404


async def test_channel_that_stalls_holds_up_no_other(env: InProcessEnv):
    """Each channel has its own queue, and uploads their places."""
    other = env.guild.add_channel("other")
    held = env.discord.hold(f"POST /channels/{env.channel.id}/messages", point="received")
    env.api.create(ID).complete()
    async with env.bot():
        await env.track(ID)
        await held.reached()
        await env.alice.slash(other, "veo track", id=ID)
        assert await env.results(channel=other)
        held.release()
        assert await env.results()


async def test_never_more_than_four_uploads_at_once(env: InProcessEnv):
    """Memory and the line are bounded, however much becomes ready together."""
    channels = [env.guild.add_channel(f"c{n}") for n in range(6)]
    env.api.create(ID).complete()
    holds = [env.discord.hold(f"POST /channels/{c.id}/messages", point="received") for c in channels]
    async with env.bot():
        for channel in channels:
            await env.alice.slash(channel, "veo track", id=ID)
        await env.discord.until(lambda: sum(hold.request is not None for hold in holds) == 4)
        text = env.guild.add_channel("text")
        env.api.create("vgen_text").fail("no")
        await env.alice.slash(text, "veo track", id="vgen_text")
        # A message without a file needs no place: once it is there, a fifth upload would be as well.
        await env.results(channel=text)
        reached = sum(hold.request is not None for hold in holds)
        for hold in holds:
            hold.release()
        for channel in channels:
            await env.results(channel=channel)

    assert reached == 4
