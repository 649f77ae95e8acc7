"""What each answer of Discord leads to: the table of reactions, over real HTTP and websocket."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from typing import Any

import aiohttp
import discord
import pytest

from bot import app
from bot.chat import messenger
from bot.chat.membership import Membership
from sandbox.discord import Channel, Message
from sandbox.faults import Fault
from sandbox.video_api import Clip
from tests.integration.conftest import Scene

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"
VIA = {"Via": "1.1 google"}
LOCKED = {"code": 160005, "message": "Thread is locked"}
AUTOMOD = {"code": 200000, "message": "Message was blocked by automatic moderation"}


def sent(scene: Scene, channel: Channel | None = None) -> list[Any]:
    """Every result message that was tried, with Discord's answer."""
    where = (channel or scene.channel).id
    return [r for r in scene.discord.requests("POST", f"/channels/{where}/messages") if r.body.get("nonce")]


async def told_privately(scene: Scene) -> list[Message]:
    """What alice got in direct messages, once there is something."""
    return await scene.discord.until(lambda: scene.alice.direct_channel.messages)


async def shown_status(scene: Scene, task_id: str) -> str:
    reply = await scene.alice.slash(scene.channel, "veo status", id=task_id)
    return reply.message.content if reply.message else ""


def recorded_state(scene: Scene) -> str:
    """Of the only delivery, as the next process would find it."""
    with closing(sqlite3.connect(scene.folder / "data" / "bot.db")) as database:
        return str(database.execute("SELECT state FROM deliveries").fetchone()[0])


# --- the way is closed


async def test_video_comes_by_direct_message_when_the_channel_is_hidden(scene: Scene):
    """50001: never silent, and never without the video."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "view_channel")
        task.complete()
        [message] = await told_privately(scene)

    assert f"`{ID}` is ready" in message.content
    assert f"<#{scene.channel.id}>" in message.content
    assert [file.filename for file in message.attachments] == [f"veo_{ID}.mp4"]


async def test_voice_chat_without_connect_is_told_privately(scene: Scene):
    """50001 where Send Messages is there: the chat of a voice channel asks for Connect."""
    voice = scene.guild.add_channel("talk", kind="voice")
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.alice.slash(voice, "veo track", id=ID)
        voice.deny(scene.discord.bot, "connect")
        task.fail("no")
        [message] = await told_privately(scene)

    assert "no access" in message.content


async def test_locked_thread_gets_its_result_in_the_channel_above(scene: Scene):
    """50083: whoever asked is mentioned where they can see it, with the thread's name."""
    thread = scene.channel.add_thread("shots")
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.alice.slash(thread, "veo track", id=ID)
        thread.locked = True
        thread.archived = True
        task.complete()
        [result] = await scene.results()
        listed = await scene.alice.slash(scene.channel, "veo list")

    assert f"<#{thread.id}>" in result.content
    assert result.mentions == {scene.alice.id}
    assert len(result.attachments) == 1
    assert listed.message is not None
    assert [r.status for r in sent(scene, thread)] == [400]


async def test_locked_thread_by_its_other_code_is_the_same(scene: Scene):
    """160005."""
    thread = scene.channel.add_thread("shots")
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.alice.slash(thread, "veo track", id=ID)
        scene.discord.faults.add(
            Fault(f"POST /channels/{thread.id}/messages", status=403, body=LOCKED, times=None)
        )
        task.fail("no")
        [result] = await scene.results()

    assert f"<#{thread.id}>" in result.content


async def test_locked_thread_of_a_forum_is_told_privately(scene: Scene):
    """A forum takes no messages."""
    thread = scene.guild.add_channel("ideas", kind="forum").add_thread("shots")
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.alice.slash(thread, "veo track", id=ID)
        thread.locked = True
        thread.archived = True
        task.fail("no")
        [message] = await told_privately(scene)

    assert "locked" in message.content


async def test_archived_thread_takes_its_result_and_is_open_again(scene: Scene):
    """Archived alone is no obstacle: Discord opens it for the message."""
    thread = scene.channel.add_thread("shots")
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.alice.slash(thread, "veo track", id=ID)
        thread.archived = True
        task.fail("no")
        assert await scene.results(channel=thread)

    assert not thread.archived


# --- the way is free again


async def test_result_comes_by_itself_when_the_permission_returns(scene: Scene):
    """Nobody has to know of /veo redeliver; the link may be long dead."""
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "send_messages")
        task.complete()
        await scene.discord.until(lambda: "could not be posted" in card.content)
        scene.channel.allow(scene.discord.bot, "send_messages")
        [result] = await scene.results()

    assert len(result.attachments) == 1
    assert len(scene.alice.direct_channel.messages) == 1
    assert len(scene.api.downloads) == 1


async def test_result_comes_by_itself_after_a_start(scene: Scene):
    """What changed while the bot was away is noticed when its servers arrive."""
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "send_messages")
        task.fail("no")
        await scene.discord.until(lambda: "could not be posted" in card.content)
    scene.channel.allow(scene.discord.bot, "send_messages")
    async with scene.bot():
        [result] = await scene.results()

    assert "no" in result.content


async def hears_nothing(_: Membership, guild: discord.Guild) -> None:
    logging.getLogger("tests").debug("the news of server %d is lost", guild.id)


async def test_missed_news_of_a_permission_is_caught_up(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """It came between Discord's refusal and our record of it, when nothing was undeliverable yet."""
    monkeypatch.setattr(app, "HOUSEKEEPING_EVERY", 0.1)
    monkeypatch.setattr(Membership, "changed", hears_nothing)
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "send_messages")
        task.fail("no")
        await told_privately(scene)
        scene.channel.allow(scene.discord.bot, "send_messages")
        assert await scene.results()


async def test_permission_that_comes_and_goes_tells_only_once(scene: Scene):
    """Direct messages about one delivery are one."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "send_messages")
        task.fail("no")
        await told_privately(scene)
        refused = {"code": 50013, "message": "Missing Permissions"}
        scene.discord.faults.add(Fault(POSTS, status=403, body=refused))
        scene.channel.allow(scene.discord.bot, "send_messages")
        await scene.discord.until(lambda: len(sent(scene)) >= 2 and recorded_state(scene) == "undeliverable")
        scene.channel.deny(scene.discord.bot, "send_messages")
        scene.channel.allow(scene.discord.bot, "send_messages")
        await scene.results()

    assert len(scene.alice.direct_channel.messages) == 1


async def test_outage_of_a_server_is_no_removal(scene: Scene):
    """Its tasks wait, and are delivered when it is back."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        await scene.guild.outage()
        scene.discord.faults.add(Fault(POSTS, status=503, body="", times=2))
        task.fail("no")
        await scene.guild.recover()
        assert await asyncio.wait_for(scene.results(), 30)

    assert scene.alice.direct_channel.messages == []


async def test_result_waits_for_the_bot_to_be_invited_again(scene: Scene):
    """Removed and back within a month: nothing is lost."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        await scene.guild.remove_bot()
        task.complete()
        await told_privately(scene)
        scene.guild.join(scene.discord.bot)
        [result] = await scene.results()

    assert len(result.attachments) == 1


async def test_removal_while_away_is_noticed_at_the_next_start(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    """Nothing is replayed: READY is compared with what is stored."""
    scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
    await scene.guild.remove_bot()
    scene.discord.add_guild("Another")
    async with scene.bot():
        await scene.discord.until(lambda: f"no longer in server {scene.guild.id}" in caplog.text)

    [line] = [r for r in caplog.records if "no longer in server" in r.getMessage()]
    assert vars(line)["guild_id"] == scene.guild.id


# --- the message itself is refused


async def test_reason_blocked_by_automod_is_told_without_its_words(scene: Scene):
    """200000: the mention, the id and that it failed still arrive."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID, note="a note")
        scene.discord.faults.add(Fault(POSTS, status=400, body=AUTOMOD))
        task.fail("forbidden words")
        [result] = await scene.results()

    assert f"`{ID}` failed" in result.content
    assert "forbidden words" not in result.content
    assert "a note" not in result.content
    assert result.mentions == {scene.alice.id}


async def test_video_whose_note_is_blocked_arrives_without_it(scene: Scene):
    """240000 the same."""
    task = scene.api.create(ID)
    blocked = {"code": 240000, "message": "Message blocked by harmful links filter"}
    async with scene.bot():
        await scene.track(ID, note="https://bad.example")
        scene.discord.faults.add(Fault(POSTS, status=400, body=blocked))
        task.complete()
        [result] = await scene.results()

    assert len(result.attachments) == 1
    assert "bad.example" not in result.content


async def test_everything_blocked_by_automod_is_told_privately(scene: Scene):
    """Some server blocks every message: then it is no place for results."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        route = f"POST /channels/{scene.channel.id}/messages"
        scene.discord.faults.add(Fault(route, status=400, body=AUTOMOD, times=None))
        task.complete()
        [message] = await told_privately(scene)

    assert "AutoMod" in message.content
    assert len(message.attachments) == 1


async def test_form_that_discord_refuses_is_tried_bare_and_told_to_the_operator(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    """50035 is a bug of ours; the user gets a result all the same."""
    invalid = {"code": 50035, "message": "Invalid Form Body"}
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.discord.faults.add(Fault(POSTS, status=400, body=invalid))
        task.fail("no")
        [result] = await scene.results()

    assert f"`{ID}` failed" in result.content
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
async def test_lower_limit_is_learnt_for_that_server(scene: Scene, status: int, body: Any):
    """The first upload teaches; the second video of that size is not even tried there."""
    clip = Clip.padded(9 * 1024 * 1024)
    scene.discord.faults.add(Fault(POSTS, status=status, body=body))
    task = scene.api.create(ID)
    second = scene.api.create("vgen_second")
    async with scene.bot():
        await scene.track(f"{ID} vgen_second")
        task.complete(clip)
        await scene.results(1)
        second.complete(clip)
        results = await scene.results(2)

    assert len(results) == 2
    refused = [r for r in sent(scene) if r.status == status]
    assert len(refused) == 1
    assert all(file.size < clip.size for message in results for file in message.attachments)


# --- too fast, or blocked


@pytest.mark.parametrize("is_global", [False, True], ids=["of the route", "global"])
async def test_rate_limit_is_waited_out(scene: Scene, is_global: bool):
    """discord.py does it; nothing is posted twice."""
    limited = {"message": "slow down", "retry_after": 0.3, "global": is_global}
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.discord.faults.add(Fault(POSTS, status=429, body=limited, headers=VIA, times=2))
        task.fail("no")
        assert await scene.results()

    assert [r.status for r in sent(scene)] == [429, 429, 200]


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
    scene: Scene, status: int, body: Any, headers: dict[str, str | None]
):
    """One bad answer is enough for ten minutes; commands are still answered."""
    task = scene.api.create(ID)
    second = scene.api.create("vgen_second")
    async with scene.bot():
        await scene.track(f"{ID} vgen_second")
        route = f"POST /channels/{scene.channel.id}/messages"
        scene.discord.faults.add(Fault(route, status=status, body=body, headers=headers, times=None))
        task.fail("no")
        await scene.discord.until(lambda: sent(scene))
        second.fail("no")

        while "edge blocks" not in await shown_status(scene, "vgen_second"):
            continue

    assert [r.status for r in sent(scene)] == [status]


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
async def test_passing_trouble_gives_one_message_with_one_nonce(scene: Scene, fault: Fault):
    """An upload with the same nonce until Discord says that it has it."""
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        scene.discord.faults.add(fault)
        task.complete()
        [result] = await asyncio.wait_for(scene.results(), 30)
        await scene.discord.until(lambda: str(result.id) in card.content, within=30)

    assert {r.body["nonce"] for r in sent(scene)} == {result.nonce}
    assert len(await scene.results()) == 1


async def test_upload_that_stalls_is_tried_again_with_the_same_nonce(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """Accepted, and the answer never comes: no call may wait for ever."""
    monkeypatch.setattr(messenger, "_UPLOAD_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.5))
    task = scene.api.create(ID)
    held = scene.discord.hold(POSTS, stage="accepted")
    async with scene.bot():
        card = await scene.track(ID)
        task.complete()
        await held.reached()
        await scene.discord.until(lambda: len(sent(scene)) >= 2, within=30)
        [result] = await scene.results()
        await scene.discord.until(lambda: str(result.id) in card.content, within=30)
        held.drop()

    assert {r.body["nonce"] for r in sent(scene)} == {result.nonce}
    assert len(await scene.results()) == 1


async def test_message_deleted_before_its_answer_came_counts_as_posted(scene: Scene):
    """404/10008 on a send: its nonce belongs to a message that somebody deleted."""
    scene.guild.join(scene.bob, manage_messages=True)
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        scene.discord.faults.add(Fault(POSTS, cut="after"))
        task.fail("no")
        [result] = await scene.results()
        scene.bob.delete(result)
        await scene.discord.until(lambda: "failed" in card.content and "posting" not in card.content, 30)

    assert [r.status for r in sent(scene)][-1] == 404


async def test_channel_that_stalls_holds_up_no_other(scene: Scene):
    """Each channel has its own queue, and uploads their places."""
    other = scene.guild.add_channel("other")
    held = scene.discord.hold(f"POST /channels/{scene.channel.id}/messages", stage="received")
    scene.api.create(ID).complete()
    async with scene.bot():
        await scene.track(ID)
        await held.reached()
        await scene.alice.slash(other, "veo track", id=ID)
        assert await scene.results(channel=other)
        held.release()
        assert await scene.results()


async def test_never_more_than_four_uploads_at_once(scene: Scene):
    """Memory and the line are bounded, however much becomes ready together."""
    channels = [scene.guild.add_channel(f"c{n}") for n in range(6)]
    scene.api.create(ID).complete()
    holds = [scene.discord.hold(f"POST /channels/{c.id}/messages", stage="received") for c in channels]
    async with scene.bot():
        for channel in channels:
            await scene.alice.slash(channel, "veo track", id=ID)
        await scene.discord.until(lambda: sum(hold.request is not None for hold in holds) == 4)
        text = scene.guild.add_channel("text")
        scene.api.create("vgen_text").fail("no")
        await scene.alice.slash(text, "veo track", id="vgen_text")
        # A message without a file needs no place: once it is there, a fifth upload would be as well.
        await scene.results(channel=text)
        reached = sum(hold.request is not None for hold in holds)
        for hold in holds:
            hold.release()
        for channel in channels:
            await scene.results(channel=channel)

    assert reached == 4
