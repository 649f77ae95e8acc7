"""SIGKILL at an observed moment, then a restart: nothing lost, nothing twice, nothing left behind."""

import asyncio
import itertools
from pathlib import Path
from typing import Literal

import pytest

from sandbox.patience import PATIENCE
from tests.conftest import database_url_of
from tests.crash.conftest import CrashEnv

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url_of(request, tmp_path / "data")


def videos(env: CrashEnv) -> list[Path]:
    return list((env.folder / "data" / "videos").iterdir())


async def assert_exactly_one_result(env: CrashEnv) -> None:
    [result] = await env.settled(ID)
    assert result.attachments
    assert result.mentions == {env.alice.id}
    # Recorded, so nothing is tried again; the file goes with the record.
    async with asyncio.timeout(PATIENCE):
        while f"/{result.id}" not in (listed := await env.listed()):
            assert "posting" in listed
    await env.bot.stop()
    assert env.results() == [result]
    assert videos(env) == []


async def test_kill_before_the_command_is_answered(env: CrashEnv):
    """Registration before acknowledged: the answer is lost, the result is not."""
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

    await assert_exactly_one_result(env)


async def test_kill_while_the_api_answers(env: CrashEnv):
    """The answer was not recorded: the task is polled again."""
    task = env.api.create(ID)
    await env.start_bot()
    hold = env.api.hold("GET /v1/result/*", point="answered")
    await env.track(ID)
    await hold.reached()
    task.complete()
    await env.bot.kill()
    hold.release()

    await env.start_bot()

    await assert_exactly_one_result(env)


@pytest.mark.parametrize("point", ["received", "half", "sent"])
async def test_kill_during_the_download(env: CrashEnv, point: str):
    """A whole file is used; the rest of a half one is fetched, or all of it if need be."""
    env.api.create(ID).complete()
    await env.start_bot()
    hold = env.api.hold("GET /videos/*", point=point)  # type: ignore[arg-type]
    await env.track(ID)
    await hold.reached()
    await env.bot.kill()
    hold.release()

    await env.start_bot()

    await assert_exactly_one_result(env)


async def kill_during_the_upload(env: CrashEnv, point: Literal["received", "accepted"]) -> None:
    """When Discord has received the message, or also made it; the bot never hears of it."""
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    hold = env.discord.hold(POSTS, point=point)
    await hold.reached()
    await env.bot.kill()
    hold.drop()


async def test_kill_before_discord_took_the_upload(env: CrashEnv):
    """Nothing was posted: it is posted after the restart."""
    await kill_during_the_upload(env, "received")

    await env.start_bot()

    await assert_exactly_one_result(env)


async def test_kill_after_discord_took_the_upload_and_the_nonce_is_remembered(env: CrashEnv):
    """A short stop: whether it is found in the channel or given back for its nonce, there is one."""
    await kill_during_the_upload(env, "accepted")

    await env.start_bot()

    await assert_exactly_one_result(env)


async def test_kill_after_discord_took_the_upload_and_forgot_the_nonce(env: CrashEnv):
    """A longer stop: the bot finds its own message in the channel, and does not send again."""
    await kill_during_the_upload(env, "accepted")
    env.discord.forget_nonces()
    await make_the_stop_long(env)

    await env.start_bot()

    await assert_exactly_one_result(env)
    assert len(env.discord.requests("POST", "/channels/*/messages")) == 1


async def test_kill_without_the_right_to_read_the_history_is_at_least_once(env: CrashEnv):
    """Nothing can be looked up, so it is sent again rather than never, and the log says so."""
    env.channel.deny(env.discord.bot, "read_message_history")
    await kill_during_the_upload(env, "accepted")
    env.discord.forget_nonces()
    await make_the_stop_long(env)

    await env.start_bot()
    await env.discord.until(lambda: len(env.results()) == 2)

    assert "without Read Message History nothing is found" in env.bot.output()


async def make_the_stop_long(env: CrashEnv) -> None:
    """As if the bot had been down for three minutes."""
    assert await env.change("UPDATE deliveries SET first_sent_at = first_sent_at - 180000") == 1


async def test_kill_while_a_card_is_edited(env: CrashEnv):
    """The card is edited again; it shows the end."""
    task = env.api.create(ID)
    await env.start_bot()
    hold = env.discord.hold("PATCH /channels/*", point="received")
    card = await env.track(ID)
    await hold.reached()
    await env.bot.kill()
    hold.drop()
    task.complete()

    await env.start_bot()

    await env.discord.until(lambda: "completed: https://" in card.content)
    await assert_exactly_one_result(env)


async def test_kill_during_shutdown(env: CrashEnv):
    """SIGTERM, and SIGKILL at once: an upload under way is found again."""
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    hold = env.discord.hold(POSTS, point="accepted")
    await hold.reached()
    env.bot.ask_to_stop()
    await env.bot.kill()
    hold.drop()

    await env.start_bot()

    await assert_exactly_one_result(env)


async def test_many_kills_in_a_row_lose_and_double_nothing(env: CrashEnv):
    """Killed at the first sign of each second step of the work, three times."""
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

    assert sorted(m.content.split("`")[1] for m in results) == ids


async def test_restart_keeps_the_interval_between_two_polls(env: CrashEnv):
    """Never faster than POLL_INTERVAL per task, not even across a crash."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    for count in range(1, 3):
        await env.more_polls_than(count, ID)
        await env.restart()

    times = [poll.at for poll in env.api.polls_of(ID)]
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.28
