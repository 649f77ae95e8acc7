"""SIGKILL at an observed moment, then a restart: nothing lost, nothing twice, nothing left behind."""

import asyncio
import itertools
from pathlib import Path
from typing import Literal

import pytest

from tests.conftest import one_of_both
from tests.crash.conftest import Theatre

pytestmark = [pytest.mark.crash, pytest.mark.timeout(90)]

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return one_of_both(request, tmp_path / "data")


def videos(theatre: Theatre) -> list[Path]:
    return list((theatre.folder / "data" / "videos").iterdir())


async def assert_exactly_one_result(theatre: Theatre) -> None:
    [result] = await theatre.settled(ID)
    assert result.attachments
    assert result.mentions == {theatre.alice.id}
    # Recorded, so nothing is tried again; the file goes with the record.
    async with asyncio.timeout(20):
        while f"/{result.id}" not in (listed := await theatre.listed()):
            assert "posting" in listed
    await theatre.bot.stop()
    assert theatre.results() == [result]
    assert videos(theatre) == []


async def test_kill_before_the_command_is_answered(theatre: Theatre):
    """Registered before acknowledged: the answer is lost, the result is not."""
    theatre.api.create(ID).complete()
    hold = theatre.discord.hold("POST /interactions/*", stage="received")
    theatre.discord.interaction_deadline = 1
    await theatre.start_bot()
    with pytest.raises(Exception, match="did not respond"):
        await theatre.alice.slash(theatre.channel, "veo track", id=ID)
    await hold.reached()
    hold.drop()
    theatre.discord.interaction_deadline = 15

    await theatre.restart()

    await assert_exactly_one_result(theatre)


async def test_kill_while_the_api_answers(theatre: Theatre):
    """The answer was not recorded: it is asked for again."""
    task = theatre.api.create(ID)
    await theatre.start_bot()
    hold = theatre.api.hold("GET /v1/result/*", stage="answered")
    await theatre.track(ID)
    await hold.reached()
    task.complete()
    await theatre.bot.kill()
    hold.release()

    await theatre.start_bot()

    await assert_exactly_one_result(theatre)


@pytest.mark.parametrize("stage", ["received", "half", "sent"])
async def test_kill_during_the_download(theatre: Theatre, stage: str):
    """A half file is swept, a whole one is used; the video is fetched again if need be."""
    theatre.api.create(ID).complete()
    await theatre.start_bot()
    hold = theatre.api.hold("GET /videos/*", stage=stage)  # type: ignore[arg-type]
    await theatre.track(ID)
    await hold.reached()
    await theatre.bot.kill()
    hold.release()

    await theatre.start_bot()

    await assert_exactly_one_result(theatre)


async def kill_during_the_upload(theatre: Theatre, stage: Literal["received", "accepted"]) -> None:
    """When Discord has received the message, or also made it; the bot never hears of it."""
    theatre.api.create(ID).complete()
    await theatre.start_bot()
    await theatre.track(ID)
    hold = theatre.discord.hold(POSTS, stage=stage)
    await hold.reached()
    await theatre.bot.kill()
    hold.drop()


async def test_kill_before_discord_took_the_upload(theatre: Theatre):
    """Nothing was posted: it is posted after the restart."""
    await kill_during_the_upload(theatre, "received")

    await theatre.start_bot()

    await assert_exactly_one_result(theatre)


async def test_kill_after_discord_took_the_upload_and_the_nonce_is_remembered(theatre: Theatre):
    """Discord gives the first message back for the same nonce."""
    await kill_during_the_upload(theatre, "accepted")

    await theatre.start_bot()

    await assert_exactly_one_result(theatre)
    assert len(theatre.discord.requests("POST", "/channels/*/messages")) == 2


async def test_kill_after_discord_took_the_upload_and_forgot_the_nonce(theatre: Theatre):
    """A longer stop: the bot finds its own message in the channel, and does not send again."""
    await kill_during_the_upload(theatre, "accepted")
    theatre.discord.forget_nonces()
    await make_the_stop_long(theatre)

    await theatre.start_bot()

    await assert_exactly_one_result(theatre)
    assert len(theatre.discord.requests("POST", "/channels/*/messages")) == 1


async def test_kill_without_the_right_to_read_the_history_is_at_least_once(theatre: Theatre):
    """Nothing can be looked up, so it is sent again rather than never, and the log says so."""
    theatre.channel.deny(theatre.discord.bot, "read_message_history")
    await kill_during_the_upload(theatre, "accepted")
    theatre.discord.forget_nonces()
    await make_the_stop_long(theatre)

    await theatre.start_bot()
    await theatre.discord.until(lambda: len(theatre.results()) == 2, within=20)

    assert "without Read Message History none can be found" in theatre.bot.output()


async def make_the_stop_long(theatre: Theatre) -> None:
    """As if the bot had been down for three minutes."""
    assert await theatre.change("UPDATE deliveries SET sending_at = sending_at - 180000") == 1


async def test_kill_while_a_card_is_edited(theatre: Theatre):
    """The card is drawn again; it shows the end."""
    task = theatre.api.create(ID)
    await theatre.start_bot()
    hold = theatre.discord.hold("PATCH /channels/*", stage="received")
    card = await theatre.track(ID)
    await hold.reached()
    await theatre.bot.kill()
    hold.drop()
    task.complete()

    await theatre.start_bot()

    await theatre.discord.until(lambda: "completed: https://" in card.content, within=20)
    await assert_exactly_one_result(theatre)


async def test_kill_during_shutdown(theatre: Theatre):
    """SIGTERM, and then no patience: an upload under way is found again."""
    theatre.api.create(ID).complete()
    await theatre.start_bot()
    await theatre.track(ID)
    hold = theatre.discord.hold(POSTS, stage="accepted")
    await hold.reached()
    theatre.bot.ask_to_stop()
    await theatre.bot.kill()
    hold.drop()

    await theatre.start_bot()

    await assert_exactly_one_result(theatre)


async def test_many_kills_in_a_row_lose_and_double_nothing(theatre: Theatre):
    """Killed at the first sign of each step of the work, ten times."""
    ids = [f"vgen_{n:012d}" for n in range(10)]
    tasks = [theatre.api.create(i) for i in ids]
    await theatre.start_bot()
    await theatre.track(" ".join(ids))
    for n, task in enumerate(tasks):
        seen = len(theatre.discord.record)
        task.complete()
        await theatre.more_requests_than(seen)
        if n % 2:
            await theatre.restart()

    results = await theatre.settled(*ids)
    await theatre.bot.stop()

    assert sorted(m.content.split("`")[1] for m in results) == ids


async def test_restart_keeps_the_interval_between_two_questions(theatre: Theatre):
    """Never faster than POLL_INTERVAL per task, not even across a crash."""
    theatre.api.create(ID)
    await theatre.start_bot()
    await theatre.track(ID)
    for count in range(1, 5):
        await theatre.more_questions_than(count, ID)
        await theatre.restart()

    times = [q.at for q in theatre.api.polls_of(ID)]
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.28
