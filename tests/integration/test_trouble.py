"""When the API, Discord or the connection fails: nothing lost, nothing twice."""

import asyncio
import itertools

import pytest

from bot import app
from bot.core.clock import SECOND, system_clock
from bot.core.errors import DependencyDown, TokenRefused
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from sandbox.postgres import Server
from sandbox.video_api import Clip
from tests.integration.conftest import InProcessEnv
from tests.results import is_undeliverable

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


async def test_waiting_tasks_survive_a_restart(env: InProcessEnv):
    """What was registered before is delivered after."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
    task.complete()
    async with env.bot():
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.content)

    assert result.attachments


async def test_wrong_key_pauses_polling_and_users_are_told(env: InProcessEnv):
    """One poll at a time, each after twice the pause; no task is lost, and a mended key goes on."""
    env.api.create(ID).complete()
    env.api.create("vgen_second").complete()
    env.allowed.append("without the right key")
    async with env.bot(veo_api_key="wrong"):
        await env.track(ID)
        await env.track("vgen_second")
        await env.api.until(lambda: len(env.api.polls) >= 5)
        status = await env.alice.slash(env.channel, "veo status", id=ID)
        assert status.message is not None
        assert "refuses this bot's key" in status.message.content
    pauses = [after.at - before.at for before, after in itertools.pairwise(env.api.polls[1:5])]
    assert all(pause >= planned - 0.05 for pause, planned in zip(pauses, (0.2, 0.4, 0.8), strict=True))
    async with env.bot():
        assert len(await env.results(2)) == 2


async def test_one_throttled_id_waits_as_asked_and_alone(env: InProcessEnv):
    """One 429 may be about that id."""
    throttle(env, "vgen_slow", 4)
    env.api.create("vgen_slow")
    env.api.create("vgen_quick")
    async with env.bot():
        await env.track("vgen_quick vgen_slow")
        await env.api.until(lambda: len(env.api.polls_of("vgen_slow")) >= 2)

    first, second = env.api.polls_of("vgen_slow")[:2]
    assert second.at - first.at >= 3.95
    assert len([p for p in env.api.polls_of("vgen_quick") if first.at < p.at < second.at]) >= 3


async def test_retry_after_of_two_ids_holds_for_every_task(env: InProcessEnv):
    """Two 429 with no poll accepted between concern the key: no poll before the time is over."""
    for task_id in ("vgen_slow_1", "vgen_slow_2", "vgen_third"):
        env.api.create(task_id)
    throttle(env, "vgen_slow_1")
    throttle(env, "vgen_slow_2")
    async with env.bot():
        await env.track("vgen_slow_1 vgen_slow_2")
        await env.api.until(lambda: all(env.api.polls_of(f"vgen_slow_{n}") for n in (1, 2)))
        refused_at = max(poll.at for poll in env.api.polls)
        await env.track("vgen_third")
        await env.api.until(lambda: bool(env.api.polls_of("vgen_third")))

    assert env.api.polls_of("vgen_third")[0].at - refused_at >= 0.95


def throttle(env: InProcessEnv, task_id: str, seconds: int = 1) -> None:
    route = f"GET /v1/result/{task_id}"
    env.api.faults.add(Fault(route, status=429, headers={"Retry-After": str(seconds)}, body={}))


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
async def test_task_is_polled_again_after_an_unusable_answer(env: InProcessEnv, fault: Fault):
    """Silence is not a verdict."""
    env.api.create(ID).complete()
    env.api.faults.add(fault)
    async with env.bot():
        await env.track(ID)
        assert await env.results()


async def test_interrupted_download_is_started_again(env: InProcessEnv):
    """The whole file or nothing is posted."""
    env.api.create(ID).complete()
    env.api.faults.add(Fault("GET /videos/*", status=503, body=""))
    async with env.bot():
        await env.track(ID)
        [result] = await asyncio.wait_for(env.results(), PATIENCE)

    assert result.attachments
    assert len(env.api.downloads) == 2


async def test_answer_cut_after_discord_accepted_gives_one_message(env: InProcessEnv):
    """It is found in the channel before anything is sent again."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.discord.faults.add(Fault(POSTS, cut="after"))
        task.complete()
        [result] = await env.results()
        card = env.channel.messages[0]
        await env.discord.until(lambda: str(result.id) in card.content)

    assert len(await env.results()) == 1


async def test_discord_503_is_tried_again_with_the_same_nonce(env: InProcessEnv):
    """discord.py does not retry 503; the durable loop does."""
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        env.discord.faults.add(Fault(POSTS, status=503, body=""))
        [result] = await asyncio.wait_for(env.results(), PATIENCE)

    nonces = {r.body["nonce"] for r in env.discord.requests("POST", "/channels/*/messages")}
    assert nonces == {result.nonce}


async def test_permission_lost_meanwhile_is_kept_and_shown(env: InProcessEnv):
    """Undeliverable is not lost: the list says why, and /veo redeliver posts it once the way is free."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "attach_files", "send_messages")
        task.complete()
        card = env.channel.messages[0]
        await env.discord.until(lambda: is_undeliverable(card))
        listed = await env.alice.slash(env.channel, "veo list")
        env.channel.allow(env.discord.bot, "attach_files", "send_messages")
        await env.alice.slash(env.channel, "veo redeliver", id=ID)
        [result] = await env.results()

    assert listed.message is not None
    assert "I may not write here" in listed.message.content
    assert result.attachments


async def test_person_without_direct_messages_still_has_the_list(env: InProcessEnv):
    """50007 is no reason to try again."""
    task = env.api.create(ID)
    env.alice.accepts_direct_messages = False
    async with env.bot():
        card = await env.track(ID)
        env.channel.deny(env.discord.bot, "send_messages")
        task.fail("no")
        await env.discord.until(lambda: is_undeliverable(card))

    assert env.alice.direct_channel.messages == []


async def test_right_to_attach_lost_meanwhile_gives_the_link(env: InProcessEnv):
    """Discord does not say which permission is missing: without the file it may go through."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "attach_files")
        task.complete()
        [result] = await env.results()

    assert not result.attachments
    assert "may not attach files" in result.content
    assert f"/videos/{ID}.mp4" in result.content
    assert result.mentions == {env.alice.id}


async def test_deleted_channel_is_given_up_without_holding_up_others(env: InProcessEnv):
    """404/10003: nothing to try again; other channels get theirs."""
    other = env.guild.add_channel("other")
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        await env.bob.slash(other, "veo track", id=ID)
        await env.channel.delete()
        task.complete()
        assert await env.results(channel=other)
        await env.discord.until(
            lambda: len(env.discord.requests("POST", f"/channels/{env.channel.id}/*")) > 0
        )

    posts = env.discord.requests("POST", f"/channels/{env.channel.id}/messages")
    assert [request.status for request in posts] == [404]


async def test_lost_interaction_still_registers_and_posts_a_card(env: InProcessEnv):
    """The rows are committed before the answer: a dead interaction costs the answer alone."""
    env.api.create(ID).fail("no")
    env.discord.faults.add(
        Fault("POST /interactions/*", status=404, body={"code": 10062, "message": "Unknown interaction"})
    )
    env.discord.interaction_deadline = 0.5
    async with env.bot():
        with pytest.raises(Exception, match="did not respond"):
            await env.alice.slash(env.channel, "veo track", id=ID)
        assert await env.results()

    assert "1 video" in env.channel.messages[0].content


async def test_gateway_reconnects_and_commands_go_on(env: InProcessEnv):
    """A forced disconnect is resumed."""
    async with env.bot():
        await env.discord.disconnect_gateway()
        await env.discord.until(lambda: env.discord.connected and env.discord.resumes)
        answer = await env.track("ä")

    assert answer.ephemeral


async def test_refused_token_ends_the_start(env: InProcessEnv):
    """77, with one line that says what to do."""
    env.allowed.append("nauthorized")
    env.allowed.append("token")
    with pytest.raises(TokenRefused, match="DISCORD_TOKEN"):
        async with env.bot(discord_token="wrong"):
            pass


async def test_token_revoked_while_running_ends_the_process(env: InProcessEnv):
    """No later call can succeed, and every one counts towards a ban."""
    env.api.create(ID).fail("no")
    refusal = {"code": 0, "message": "401: Unauthorized"}

    async def lose_the_token() -> None:
        async with env.bot() as running:
            for route in ("* /channels/*", "GET /users/@me"):
                env.discord.faults.add(Fault(route, status=401, body=refusal, times=None))
            await env.track(ID)
            await asyncio.wait({running}, timeout=PATIENCE)

    with pytest.raises(TokenRefused):
        await lose_the_token()


async def test_discord_that_does_not_answer_ends_the_start(env: InProcessEnv):
    """69: nothing listens there."""
    with pytest.raises(DependencyDown, match="cannot be reached"):
        async with env.bot(discord_api_url="http://127.0.0.1:9/api/v10"):
            pass


async def test_second_bot_on_the_same_file_leaves(env: InProcessEnv):
    """One SQLite file, one bot."""
    async with env.bot():
        with pytest.raises(DependencyDown, match="another veo-courier already runs"):
            async with env.bot():
                pass


async def test_video_above_the_cap_is_not_fetched(env: InProcessEnv):
    """MAX_VIDEO_BYTES stops the download, and the person is told."""
    env.api.create(ID).complete(Clip.padded(3_000_000))
    async with env.bot(max_video_bytes=2_000_000):
        await env.track(ID)
        [result] = await env.results()

    assert "larger than this bot may download" in result.content
    assert not result.attachments


async def test_clock_that_is_off_the_databases_is_a_reason_not_to_start(
    env: InProcessEnv, server: Server, brought_up: str, monkeypatch: pytest.MonkeyPatch
):
    """Leases would end too early: two processes would have the same work."""
    address = server.database(brought_up)
    monkeypatch.setattr(app, "system_clock", lambda: system_clock() + 11 * SECOND)
    with pytest.raises(DependencyDown, match=r"clock is \+11 s off the database's: set both by NTP"):
        await app.run(env.settings(database_url=address), asyncio.Event())

    monkeypatch.setattr(app, "system_clock", lambda: system_clock() - 9 * SECOND)
    async with env.bot(database_url=address) as running:
        assert not running.done()
