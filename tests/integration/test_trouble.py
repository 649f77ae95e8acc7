"""When the API, Discord or the connection is in trouble: nothing lost, nothing twice."""

import asyncio

import pytest

from bot import app
from bot.core.clock import SECOND, system_clock
from bot.core.errors import DependencyDown, TokenRefused
from sandbox.faults import Fault
from sandbox.postgres import Server
from sandbox.video_api import Clip
from tests.integration.conftest import Scene

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


async def test_waiting_tasks_survive_a_restart(scene: Scene):
    """What was registered before is delivered after."""
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
    task.complete()
    async with scene.bot():
        [result] = await scene.results()
        await scene.discord.until(lambda: str(result.id) in card.content)

    assert result.attachments


async def test_wrong_key_pauses_polling_and_users_are_told(scene: Scene):
    """One question, then a pause; no task is lost, and the operator's mended key goes on."""
    scene.api.create(ID).complete()
    scene.allowed.append("without the right key")
    async with scene.bot(veo_api_key="wrong"):
        await scene.track(ID)
        await scene.api.until(lambda: bool(scene.api.polls))
        await scene.track("vgen_second")
        status = await scene.alice.slash(scene.channel, "veo status", id=ID)
        assert status.message is not None
        assert "refused my key" in status.message.content
    assert len(scene.api.polls) == 1
    scene.api.create("vgen_second").complete()
    async with scene.bot():
        assert len(await scene.results(2)) == 2


async def test_retry_after_holds_for_every_task(scene: Scene):
    """429 concerns the key, not the task: nobody asks before the time is over."""
    scene.api.create("a")
    scene.api.create("b")
    scene.api.faults.add(Fault("GET /v1/result/a", status=429, headers={"Retry-After": "1"}, body={}))
    async with scene.bot():
        await scene.track("a")
        await scene.api.until(lambda: bool(scene.api.polls_of("a")))
        refused_at = scene.api.polls_of("a")[0].at
        await scene.track("b")
        await scene.api.until(lambda: bool(scene.api.polls_of("b")))

    assert scene.api.polls_of("b")[0].at - refused_at >= 0.95


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /v1/result/*", status=500, body="<html>oops</html>"),
        Fault("GET /v1/result/*", status=200, body=""),
        Fault("GET /v1/result/*", status=200, body={"code": 500, "msg": "busy", "data": None}),
        Fault("GET /v1/result/*", cut="before", times=2),
    ],
    ids=["500", "empty", "envelope", "cut"],
)
async def test_unusable_answers_are_asked_again(scene: Scene, fault: Fault):
    """Silence is not a verdict."""
    scene.api.create(ID).complete()
    scene.api.faults.add(fault)
    async with scene.bot():
        await scene.track(ID)
        assert await scene.results()


async def test_interrupted_download_is_started_again(scene: Scene):
    """The whole file or nothing is posted."""
    scene.api.create(ID).complete()
    scene.api.faults.add(Fault("GET /videos/*", status=503, body=""))
    async with scene.bot():
        await scene.track(ID)
        [result] = await asyncio.wait_for(scene.results(), 20)

    assert result.attachments
    assert len(scene.api.downloads) == 2


async def test_answer_cut_after_discord_accepted_gives_one_message(scene: Scene):
    """The same nonce gives the first message back."""
    scene.api.create(ID).complete()
    async with scene.bot():
        await scene.track(ID)
        scene.discord.faults.add(Fault(POSTS, cut="after"))
        await scene.discord.until(
            lambda: len(scene.discord.requests("POST", "/channels/*/messages")) >= 2, 20
        )
        [result] = await scene.results()
        card = scene.channel.messages[0]
        await scene.discord.until(lambda: str(result.id) in card.content)

    assert len(await scene.results()) == 1


async def test_discord_503_is_tried_again_with_the_same_nonce(scene: Scene):
    """discord.py does not retry 503; the durable loop does."""
    scene.api.create(ID).fail("no")
    async with scene.bot():
        await scene.track(ID)
        scene.discord.faults.add(Fault(POSTS, status=503, body=""))
        [result] = await asyncio.wait_for(scene.results(), 20)

    nonces = {r.body["nonce"] for r in scene.discord.requests("POST", "/channels/*/messages")}
    assert nonces == {result.nonce}


async def test_permission_lost_meanwhile_is_kept_and_shown(scene: Scene):
    """Undeliverable is not lost: the list says why, and /veo redeliver posts it once the way is free."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "attach_files", "send_messages")
        task.complete()
        card = scene.channel.messages[0]
        await scene.discord.until(lambda: "could not be posted" in card.content)
        listed = await scene.alice.slash(scene.channel, "veo list")
        scene.channel.allow(scene.discord.bot, "attach_files", "send_messages")
        await scene.alice.slash(scene.channel, "veo redeliver", id=ID)
        [result] = await scene.results()

    assert listed.message is not None
    assert "could not be posted" in listed.message.content
    assert result.attachments


async def test_person_without_direct_messages_still_has_the_list(scene: Scene):
    """50007 is no reason to try again."""
    task = scene.api.create(ID)
    scene.alice.accepts_direct_messages = False
    async with scene.bot():
        card = await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "send_messages")
        task.fail("no")
        await scene.discord.until(lambda: "could not be posted" in card.content)

    assert scene.alice.direct_channel.messages == []


async def test_right_to_attach_lost_meanwhile_gives_the_link(scene: Scene):
    """Discord does not say which permission is missing: without the file it may go through."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        scene.channel.deny(scene.discord.bot, "attach_files")
        task.complete()
        [result] = await scene.results()

    assert not result.attachments
    assert "may not attach files" in result.content
    assert f"/videos/{ID}.mp4" in result.content
    assert result.mentions == {scene.alice.id}


async def test_deleted_channel_is_given_up_without_holding_up_others(scene: Scene):
    """404/10003: nothing to try again; other channels get theirs."""
    other = scene.guild.add_channel("other")
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        await scene.bob.slash(other, "veo track", id=ID)
        await scene.channel.delete()
        task.complete()
        assert await scene.results(channel=other)
        await scene.discord.until(
            lambda: len(scene.discord.requests("POST", f"/channels/{scene.channel.id}/*")) > 0
        )

    posts = scene.discord.requests("POST", f"/channels/{scene.channel.id}/messages")
    assert [request.status for request in posts] == [404]


async def test_lost_interaction_still_registers_and_posts_a_card(scene: Scene):
    """The rows are committed before the answer: a dead interaction costs the answer alone."""
    scene.api.create(ID).fail("no")
    scene.discord.faults.add(
        Fault("POST /interactions/*", status=404, body={"code": 10062, "message": "Unknown interaction"})
    )
    scene.discord.interaction_deadline = 0.5
    async with scene.bot():
        with pytest.raises(Exception, match="did not respond"):
            await scene.alice.slash(scene.channel, "veo track", id=ID)
        assert await scene.results()

    assert scene.channel.messages[0].content.startswith("**Tracking")


async def test_gateway_reconnects_and_commands_go_on(scene: Scene):
    """A forced disconnect is resumed."""
    async with scene.bot():
        await scene.discord.disconnect_gateway()
        await scene.discord.until(lambda: scene.discord.connected and scene.discord.resumes)
        answer = await scene.track("ä")

    assert answer.ephemeral


async def test_refused_token_ends_the_start(scene: Scene):
    """77, with one line that says what to do."""
    scene.allowed.append("nauthorized")
    scene.allowed.append("token")
    with pytest.raises(TokenRefused, match="DISCORD_TOKEN"):
        async with scene.bot(discord_token="wrong"):
            pass


async def test_token_revoked_while_running_ends_the_process(scene: Scene):
    """No later call can succeed, and every one counts towards a ban."""
    scene.api.create(ID).fail("no")
    refusal = {"code": 0, "message": "401: Unauthorized"}

    async def lose_the_token() -> None:
        async with scene.bot() as running:
            scene.discord.faults.add(Fault("* /channels/*", status=401, body=refusal, times=None))
            await scene.track(ID)
            await asyncio.wait({running}, timeout=10)

    with pytest.raises(TokenRefused):
        await lose_the_token()


async def test_discord_that_does_not_answer_ends_the_start(scene: Scene):
    """69: nothing listens there."""
    with pytest.raises(DependencyDown, match="cannot be reached"):
        async with scene.bot(discord_api_url="http://127.0.0.1:9/api/v10"):
            pass


async def test_second_bot_on_the_same_file_leaves(scene: Scene):
    """One SQLite file, one bot."""
    async with scene.bot():
        with pytest.raises(DependencyDown, match="another veo-courier already runs"):
            async with scene.bot():
                pass


async def test_video_above_the_cap_is_not_fetched(scene: Scene):
    """MAX_VIDEO_BYTES stops the download, and the person is told."""
    scene.api.create(ID).complete(Clip.padded(3_000_000))
    async with scene.bot(max_video_bytes=2_000_000):
        await scene.track(ID)
        [result] = await scene.results()

    assert "larger than this bot may download" in result.content
    assert not result.attachments


async def test_clock_that_is_off_the_databases_is_a_reason_not_to_start(
    scene: Scene, server: Server, brought_up: str, monkeypatch: pytest.MonkeyPatch
):
    """Leases would end too early: two processes would have the same work."""
    address = server.database(brought_up)
    monkeypatch.setattr(app, "system_clock", lambda: system_clock() + 11 * SECOND)
    with pytest.raises(DependencyDown, match=r"clock is \+11 s off the database's: set both by NTP"):
        await app.run(scene.settings(database_url=address), asyncio.Event())

    monkeypatch.setattr(app, "system_clock", lambda: system_clock() - 9 * SECOND)
    async with scene.bot(database_url=address) as running:
        assert not running.done()
