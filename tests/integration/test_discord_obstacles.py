"""What keeps a result from its channel, what frees the way again, how often Discord is asked meanwhile."""

import asyncio
from typing import Any

import pytest

from bot import app
from bot.chat import messenger
from bot.core.rate_limit import RateLimit
from bot.work import deliverer
from sandbox.discord import Channel, rest
from sandbox.faults import Fault
from sandbox.video_api import Clip
from tests.integration.conftest import InProcessEnv
from tests.integration.test_discord_answers import (
    AUTOMOD,
    ID,
    POSTS,
    recorded_state,
    sent,
    shown_status,
    told_privately,
)
from tests.results import is_undeliverable

HTML = "<html><h1>401 Unauthorized</h1></html>"
DIRECT = "POST /users/@me/channels"


async def change_another_channel(env: InProcessEnv, other: Channel) -> None:
    """Ten changes that have nothing to do with the result, and then a result that goes through."""
    for _ in range(5):
        other.deny(env.bob, "attach_files")
        other.allow(env.bob, "attach_files")
    env.api.create("vgen_control").fail("no")
    await env.bob.slash(other, "veo track", id="vgen_control")
    await env.results(channel=other)


# --- what is refused


async def test_link_is_posted_where_only_the_file_is_refused(env: InProcessEnv):
    """403/400001: the text is taken."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        refused = {"code": 400001, "message": "Access to file uploads has been limited"}
        env.discord.faults.add(Fault(POSTS, status=403, body=refused))
        task.complete()
        [result] = await env.results()

    assert f"/videos/{ID}.mp4" in result.content
    assert not result.attachments
    assert result.mentions == {env.alice.id}
    assert [(r.status, bool(r.files)) for r in sent(env)] == [(403, True), (200, False)]


async def test_channel_that_takes_neither_file_nor_link_is_not_counted_as_told(env: InProcessEnv):
    """The video comes by direct message, before the link is tried; the card says that nothing is there."""
    task = env.api.create(ID)
    missing, odd_form = {"code": 50013, "message": "Missing"}, {"code": 50024, "message": "Cannot execute"}
    async with env.bot():
        card = await env.track(ID)
        env.discord.faults.add(Fault(f"POST /channels/{env.channel.id}/messages", status=403, body=missing))
        env.discord.faults.add(Fault(f"POST /channels/{env.channel.id}/messages", status=400, body=odd_form))
        task.complete()
        await env.discord.until(lambda: is_undeliverable(card))

    [message] = env.alice.direct_channel.messages
    assert message.attachments
    assert recorded_state(env) == "undeliverable"
    direct, channel = env.alice.direct_channel.id, env.channel.id
    posts = [r for r in env.discord.requests("POST", "/channels/*") if r.body.get("nonce")]
    assert [(r.path.split("/")[2], r.status) for r in posts] == [
        (str(channel), 403),
        (str(direct), 200),
        (str(channel), 400),
    ]


# --- what frees the way


async def test_result_that_automod_refused_is_not_tried_again_by_itself(env: InProcessEnv):
    """Each try alerts the moderators: only /veo redeliver posts it."""
    other = env.guild.add_channel("other")
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        route = f"POST /channels/{env.channel.id}/messages"
        env.discord.faults.add(Fault(route, status=400, body=AUTOMOD, times=None))
        task.complete()
        await env.discord.until(lambda: is_undeliverable(card))
        tried = len(sent(env))
        await change_another_channel(env, other)
        assert len(sent(env)) == tried == 2
        env.discord.faults.clear()
        await env.alice.slash(env.channel, "veo redeliver", id=ID)
        [result] = await env.results()

    assert result.attachments
    assert len(env.alice.direct_channel.messages) == 1


async def test_result_waits_for_its_own_permission(env: InProcessEnv):
    """Other changes in the server are no reason to try; the permission is, once it is back."""
    other = env.guild.add_channel("other")
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        env.channel.deny(env.discord.bot, "send_messages")
        task.complete()
        await env.discord.until(lambda: is_undeliverable(card))
        await change_another_channel(env, other)
        assert [r.status for r in sent(env)] == [403]
        env.channel.allow(env.discord.bot, "send_messages")
        [result] = await env.results()

    assert result.attachments
    assert [r.status for r in sent(env)] == [403, 200]


async def test_event_that_comes_after_the_refusal_explains_it(env: InProcessEnv):
    """Discord refuses before its gateway says why: the permission that comes back still frees the result."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        missing = {"code": 50013, "message": "Missing Permissions"}
        env.discord.faults.add(Fault(POSTS, status=403, body=missing))
        task.fail("no")
        await env.discord.until(lambda: is_undeliverable(card))
        env.channel.deny(env.discord.bot, "send_messages")
        assert await shown_status(env, ID)  # the bot has seen that it may not post
        env.channel.allow(env.discord.bot, "send_messages")
        assert await env.results()


async def test_direct_message_opened_too_fast_is_sent_later(env: InProcessEnv):
    """403/40003."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "view_channel")
        too_fast = {"code": 40003, "message": "You are opening direct messages too fast"}
        env.discord.faults.add(Fault(DIRECT, status=403, body=too_fast, times=2))
        task.complete()
        [message] = await told_privately(env)
        await env.discord.until(lambda: recorded_state(env) == "undeliverable")

    assert message.attachments
    assert len(env.alice.direct_channel.messages) == 1
    assert len(env.discord.requests("POST", "/users/@me/channels")) == 3


async def test_failed_posts_do_not_count_as_failed_direct_messages(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch
):
    """Twenty posts meet an outage, then the channel is gone, then the first direct message meets one."""
    monkeypatch.setattr(deliverer, "_MIN_RETRY_DELAY", 1)
    monkeypatch.setattr(deliverer, "_MAX_RETRY_DELAY", 10)
    route = f"POST /channels/{env.channel.id}/messages"
    gone = {"code": 10003, "message": "Unknown Channel"}
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.discord.faults.add(Fault(route, status=503, body="", times=20))
        env.discord.faults.add(Fault(route, status=404, body=gone, times=None))
        env.discord.faults.add(Fault(DIRECT, status=503, body=""))
        task.fail("no")
        [message] = await told_privately(env)
        await env.discord.until(lambda: recorded_state(env) == "undeliverable")

    assert f"`{ID}` failed" in message.content
    assert [r.status for r in sent(env)] == [503] * 20 + [404]


# --- who answers: the edge, a proxy, Discord


async def test_limit_of_a_proxy_is_no_block(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    """A 429 without `Via` that names its seconds: that call waits for them, and no other."""
    other = env.guild.add_channel("other")
    task, second = env.api.create(ID), env.api.create("vgen_other")
    async with env.bot():
        await env.track(ID)
        await env.bob.slash(other, "veo track", id="vgen_other")
        limited = {"Via": None, "Retry-After": "1"}
        route = f"POST /channels/{env.channel.id}/messages"
        env.discord.faults.add(Fault(route, status=429, body="slow down", headers=limited))
        task.fail("no")
        await env.discord.until(lambda: sent(env))
        second.fail("no")
        await env.results(channel=other)
        [result] = await env.results()

    first, last = sent(env)
    assert last.at - first.at >= 1
    assert result.nonce == last.body["nonce"]
    assert "edge blocks" not in caplog.text


@pytest.mark.parametrize("body", [{"code": 0, "message": "401: Unauthorized"}, HTML], ids=["JSON", "HTML"])
async def test_one_401_is_no_refused_token(env: InProcessEnv, body: Any):
    """Discord is asked about the token itself, and says that it is fine."""
    task = env.api.create(ID)
    async with env.bot() as running:
        await env.track(ID)
        asked = len(env.discord.requests("GET", "/users/@me"))
        env.discord.faults.add(Fault(POSTS, status=401, body=body))
        task.complete()
        assert await env.results()
        assert not running.done()

    assert len(env.discord.requests("GET", "/users/@me")) == asked + 1


@pytest.mark.parametrize(
    "confirming",
    [
        [Fault("GET /users/@me", status=401, body=HTML, times=2)],
        [Fault("GET /users/@me", status=401, body={"code": 0, "message": "401: Unauthorized"})],
        [Fault("GET /users/@me", status=502, body="")],
    ],
    ids=["pages", "only one", "no answer"],
)
async def test_401_that_discord_does_not_confirm_twice_is_tried_again(
    env: InProcessEnv, confirming: list[Fault]
):
    """Something between us and Discord answers so."""
    task = env.api.create(ID)
    async with env.bot() as running:
        await env.track(ID)
        env.discord.faults.add(Fault(POSTS, status=401, body=HTML), *confirming)
        task.fail("no")
        assert await env.results()
        assert not running.done()


# --- never two


async def test_result_is_found_behind_a_thousand_messages_of_others(env: InProcessEnv):
    """503, a busy hour, taken with the answer lost, another busy hour, and Discord forgets the nonce."""
    task = env.api.create(ID)
    first = env.discord.hold(POSTS, point="received")
    async with env.bot():
        card = await env.track(ID)
        env.discord.faults.add(Fault(POSTS, status=503, body=""), Fault(POSTS, cut="after"))
        task.complete()
        await first.reached()
        for number in range(1100):
            env.bob.say(env.channel, f"before {number}")
        first.release()
        [result] = await env.results()
        env.discord.forget_nonces()
        for number in range(1100):
            env.bob.say(env.channel, f"after {number}")
        await env.discord.until(lambda: str(result.id) in card.content, within=30)

    assert await env.results() == [result]
    assert [r.status for r in sent(env)] == [503, None]


async def test_upload_is_not_repeated_without_a_look(env: InProcessEnv):
    """502: discord.py would send it again, and Discord may have it already."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.discord.faults.add(Fault(POSTS, status=502, body="<html>", times=2))
        task.complete()
        await env.results()

    path = f"/channels/{env.channel.id}/messages"
    asked = [r.method for r in env.discord.record if r.path == path]
    assert asked == ["POST", "GET", "POST", "GET", "POST"]


async def test_upload_whose_peer_stops_reading_ends(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """Nothing is lost by it but its time: the place is free again, and the next try goes through."""
    monkeypatch.setattr(messenger, "_UPLOAD_TIME", 0.5)
    monkeypatch.setattr(messenger, "_UPLOAD_SPEED", 1 << 30)
    read, stuck, end = rest._body, asyncio.Event(), asyncio.Event()

    async def stop_reading_once(incoming: Any) -> Any:
        if incoming.content_type == "multipart/form-data" and not stuck.is_set():
            stuck.set()
            await end.wait()
        return await read(incoming)

    monkeypatch.setattr(rest, "_body", stop_reading_once)
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        task.complete(Clip.padded(19 * 1024 * 1024))
        [result] = await env.results()
        end.set()

    assert stuck.is_set()
    assert len(result.attachments) == 1
    assert await env.results() == [result]


# --- results first


async def test_results_go_before_cards(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """Thirty of each at once: what is owed does not wait for a courtesy."""
    tasks = [env.api.create(f"vgen_{number}") for number in range(30)]
    channels = [env.guild.add_channel(f"c{number}") for number in range(30)]
    async with env.bot(max_open_per_user=60):
        for number, channel in enumerate(channels):
            await env.alice.slash(channel, "veo track", id=f"vgen_{number}")
        cards = [message for channel in channels for message in channel.messages]
        # A card whose edit is left to the next start would go before any task is polled.
        await env.discord.until(lambda: all("in the queue" in card.text for card in cards))
    for task in tasks:
        task.fail("no")
    before = len(env.discord.record)

    def calls() -> list[str]:
        answered = [r for r in env.discord.record[before:] if r.path.startswith("/channels/") and r.status]
        return [r.method for r in answered if r.method != "GET"]

    monkeypatch.setattr(app, "DISCORD_RATE", RateLimit(rate=8, burst=1))
    async with env.bot(max_open_per_user=60):
        await env.discord.until(lambda: min(map(calls().count, ("POST", "PATCH"))) >= 30)

    made = calls()
    assert made.count("POST") == 30
    # A card may go while the first results are begun in the database, and while the last ids are polled.
    twentieth = [place for place, method in enumerate(made) if method == "POST"][19]
    assert made[:twentieth].count("PATCH") <= 4
