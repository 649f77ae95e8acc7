"""SIGKILL at an observed moment, then a restart: nothing is lost, posted twice or left behind."""

import itertools
from pathlib import Path
from typing import Literal

import pytest

from sandbox.patience import PATIENCE
from tests.conftest import database_url_of
from tests.crash.conftest import CrashEnv
from tests.results import tracked_id

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url_of(request, tmp_path / "data")


async def test_kill_before_the_command_is_answered(env: CrashEnv):
    """The task is registered before the command is answered, so the result still comes."""
    env.api.create(ID).complete()
    hold = env.discord.hold("POST /interactions/*", point="received")
    env.discord.interaction_deadline = 1
    await env.start_bot()
    with pytest.raises(Exception, match="did not respond"):
        await env.alice.slash(env.channel, "veo track", id=ID)
    await hold.reached()
    hold.drop()
    env.discord.interaction_deadline = PATIENCE

    await env.restart()

    await env.assert_only_video(ID)


async def test_kill_while_the_api_answers(env: CrashEnv):
    """The answer was not recorded, so the task is polled again."""
    task = env.api.create(ID)
    await env.start_bot()
    hold = env.api.hold("GET /v1/result/*", point="answered")
    await env.track(ID)
    await hold.reached()
    task.complete()
    await env.bot.kill()
    hold.release()

    await env.start_bot()

    await env.assert_only_video(ID)


@pytest.mark.parametrize("point", ["received", "half", "sent"])
async def test_kill_during_the_download(env: CrashEnv, point: str):
    """A whole file is used; a partial one is resumed, or downloaded again if the host cannot resume."""
    env.api.create(ID).complete()
    await env.start_bot()
    hold = env.api.hold("GET /videos/*", point=point)  # type: ignore[arg-type]
    await env.track(ID)
    await hold.reached()
    await env.bot.kill()
    hold.release()

    await env.start_bot()

    await env.assert_only_video(ID)


async def kill_during_the_upload(env: CrashEnv, point: Literal["received", "accepted"]) -> None:
    """Kill the bot after Discord has received (or also posted) the message and before its answer."""
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    hold = env.discord.hold(POSTS, point=point)
    await hold.reached()
    await env.bot.kill()
    hold.drop()


async def test_kill_before_discord_accepted_the_upload(env: CrashEnv):
    """Nothing was posted, so the result is posted after the restart."""
    await kill_during_the_upload(env, "received")

    await env.start_bot()

    await env.assert_only_video(ID)


async def test_kill_after_discord_accepted_the_upload_and_remembers_the_nonce(env: CrashEnv):
    """After a short stop: found in the channel or returned for its nonce, there is one result."""
    await kill_during_the_upload(env, "accepted")

    await env.start_bot()

    await env.assert_only_video(ID)


async def test_kill_after_discord_accepted_the_upload_and_forgot_the_nonce(env: CrashEnv):
    """After a longer stop the bot finds its message in the channel and does not send again."""
    await kill_during_the_upload(env, "accepted")
    env.discord.forget_nonces()
    await make_the_stop_long(env)

    await env.start_bot()

    await env.assert_only_video(ID)
    assert len(env.discord.requests("POST", "/channels/*/messages")) == 1


async def test_kill_without_read_message_history_may_post_twice(env: CrashEnv):
    """The message cannot be looked up, so it is sent again, and the log says so."""
    env.channel.deny(env.discord.bot, "read_message_history")
    await kill_during_the_upload(env, "accepted")
    env.discord.forget_nonces()
    await make_the_stop_long(env)

    await env.start_bot()
    await env.discord.until(lambda: len(env.results()) == 2)

    assert "without Read Message History nothing is found" in env.bot.output()


async def make_the_stop_long(env: CrashEnv) -> None:
    """Change the row as if the bot had been stopped for three minutes."""
    assert await env.change("UPDATE deliveries SET first_sent_at = first_sent_at - 180000") == 1


async def test_kill_while_a_card_is_edited(env: CrashEnv):
    """The card is edited again and shows the end."""
    task = env.api.create(ID)
    await env.start_bot()
    hold = env.discord.hold("PATCH /channels/*", point="received")
    card = await env.track(ID)
    await hold.reached()
    await env.bot.kill()
    hold.drop()
    task.complete()

    await env.start_bot()

    await env.discord.until(lambda: "[see the video](https://" in card.content)
    await env.assert_only_video(ID)


async def test_kill_during_shutdown(env: CrashEnv):
    """SIGTERM, then SIGKILL at once: an upload in progress is found again."""
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    hold = env.discord.hold(POSTS, point="accepted")
    await hold.reached()
    env.bot.ask_to_stop()
    await env.bot.kill()
    hold.drop()

    await env.start_bot()

    await env.assert_only_video(ID)


async def test_many_kills_in_a_row_lose_nothing_and_post_nothing_twice(env: CrashEnv):
    """Six tasks end one by one; after every second one the bot is killed at its next request."""
    ids = [f"vgen_{n:012d}" for n in range(6)]
    tasks = [env.api.create(i) for i in ids]
    await env.start_bot()
    await env.track(" ".join(ids))
    for n, task in enumerate(tasks):
        seen = len(env.discord.record)
        task.complete()
        await env.more_requests_than(seen)
        if n % 2:
            await env.restart()

    results = await env.settled(*ids)
    await env.bot.stop()

    assert sorted(map(tracked_id, results)) == ids


async def test_restart_keeps_the_interval_between_two_polls(env: CrashEnv):
    """POLL_INTERVAL per task holds across a crash."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    for count in range(1, 3):
        await env.more_polls_than(count, ID)
        await env.restart()

    times = [poll.at for poll in env.api.polls_of(ID)]
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.28
