"""Noise, silence and wrong clocks are no verdict: the bot polls on, and posts the video in the end."""

import asyncio
import logging
from typing import Any

import pytest

from bot import app
from bot.core.clock import HOUR, system_clock
from sandbox.discord import Message
from sandbox.video_api import CLIP, Clip, Fault
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"
POLL = "GET /v1/result/*"
INTERVAL = 0.1
ENVELOPE = {"code": -1, "msg": "Internal server error", "data": None}


async def shown(env: InProcessEnv, card: Message, text: str) -> None:
    await env.discord.until(lambda: text in card.content)


async def polled(env: InProcessEnv, times: int, task_id: str = ID) -> None:
    """Until the id has been polled so many times from now on."""
    before = len(env.api.polls_of(task_id))
    await env.api.until(lambda: len(env.api.polls_of(task_id)) >= before + times)


# -- noise about every task ------------------------------------------------------------------------


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize(
    "noise",
    [
        Fault(POLL, status=200, body=ENVELOPE, times=4),
        Fault(POLL, status=500, body=ENVELOPE, times=4),
        Fault(POLL, status=404, times=8),
        Fault(POLL, status=410, body="<html>Gone</html>", times=8),
        Fault(POLL, status=404, body={"detail": "Not Found"}, times=8),
        Fault(POLL, status=403, body={"message": "Forbidden"}, times=4),
        Fault(POLL, status=200, body=[], times=4),
    ],
    ids=["envelope", "500", "empty 404", "410 page", "bare 404", "403", "list"],
)
async def test_noise_about_every_id_ends_no_task(env: InProcessEnv, noise: Fault, is_known: bool):
    """A1: what the API says to every id is said about none."""
    task = env.api.create(ID)
    async with env.bot(poll_interval=INTERVAL):
        if not is_known:
            env.api.faults.add(noise)
        card = await env.track(ID)
        if is_known:
            await shown(env, card, "in the queue")
            env.api.faults.add(noise)
        await env.api.until(lambda: len(env.api.faults.taken) == noise.times)
        task.complete()
        [result] = await env.results()

    assert result.attachments[0].content == CLIP.content


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "message": "Internal error"},
        {"status": "failed", "error": "upstream is down"},
        {"code": 500, "status": "failed", "data": None},
        {"data": {"status": "failed", "error": "upstream is down"}},
    ],
)
async def test_failure_that_names_no_id_fails_no_task(env: InProcessEnv, body: Any):
    """A2: it may be the envelope's own word."""
    env.api.create(ID).complete()
    env.api.faults.add(Fault(POLL, status=200, body=body, times=3))
    async with env.bot(poll_interval=INTERVAL):
        await env.track(ID)
        [result] = await env.results()

    assert result.attachments
    assert "failed" not in result.content


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "in data"])
async def test_video_of_another_id_is_not_posted(env: InProcessEnv, nested: bool):
    """A cache or a proxy gave another person's reply."""
    task, other = env.api.create(ID), env.api.create("vgen_other")
    other.complete(Clip.padded(CLIP.size + 5000))
    body = {"code": 0, "data": other.document()} if nested else other.document()
    env.api.faults.add(Fault(f"GET /v1/result/{ID}", status=200, body=body, times=3))
    async with env.bot(poll_interval=INTERVAL):
        await env.track(ID)
        task.complete()
        [result] = await env.results()

    assert result.attachments[0].size == CLIP.size
    assert [download.path for download in env.api.downloads] == [f"/videos/{ID}.mp4"]


# -- silence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 404, 200], ids=["502", "404", "empty 200"])
async def test_api_that_was_away_longer_than_the_deadline_is_asked_on(env: InProcessEnv, status: int):
    """A6: the first answer after the silence is noise, and the video has long been ready."""
    task = env.api.create(ID)
    async with env.bot(poll_interval=INTERVAL, task_deadline=1):
        # One answer: with a second one, that much later, the deadline would be over by the API's own word.
        env.api.faults.add(Fault(POLL, status=200, body=task.document()))
        env.api.faults.add(Fault(POLL, cut="before", times=None))
        card = await env.track(ID)
        await shown(env, card, "in the queue")
        since = len(env.api.polls)
        await env.api.until(lambda: is_longer_than(1.5, env, since))
        task.complete()
        env.api.faults.clear()
        env.api.faults.add(Fault(POLL, status=status, body=""))
        [result] = await env.discord.until(lambda: results(env))

    assert result.attachments


def is_longer_than(seconds: float, env: InProcessEnv, since: int) -> bool:
    polls = env.api.polls[since:]
    return bool(polls) and polls[-1].at - polls[0].at > seconds


def results(env: InProcessEnv) -> list[Message]:
    return [m for m in env.channel.messages if any(b.label == "Delete" for b in m.buttons)]


@pytest.mark.parametrize(
    "fault",
    [Fault(POLL, cut="before", times=None), Fault(POLL, status=502, body="<html>", times=None)],
    ids=["no connection", "502"],
)
async def test_silence_is_on_the_card_until_it_is_over(env: InProcessEnv, fault: Fault):
    """After ten intervals people read that the API gives no usable answer, and that the bot goes on."""
    env.api.create(ID)
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(ID)
        await shown(env, card, "in the queue")
        env.api.faults.add(fault)
        began, since = asyncio.get_running_loop().time(), len(env.api.polls)
        await shown(env, card, "no answer from the video API since <t:")
        assert asyncio.get_running_loop().time() - began >= 10 * INTERVAL - 0.1
        assert len(env.api.polls) - since >= 4
        env.api.faults.clear()
        await shown(env, card, "in the queue")

    assert "no answer from the video API" not in card.content


# -- ids that the API does not know ----------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 200])
async def test_id_that_the_api_learns_late_is_waited_for(env: InProcessEnv, status: int):
    """A9: given out at once, known to the result address two intervals later."""
    body = {"code": -1, "msg": "task not found", "data": None}
    env.api.faults.add(Fault(POLL, status=status, body=body, times=3))
    env.api.create(ID).complete()
    async with env.bot():
        card = await env.track(ID)
        await shown(env, card, "the video API does not know it (yet); I ask again")
        [result] = await env.results()

    assert result.attachments
    assert len(env.api.polls_of(ID)) == 4


async def test_known_id_that_is_unknown_for_a_while_is_not_given_up(env: InProcessEnv):
    """Another id is answered meanwhile, so that a new id would have been given up by now."""
    task = env.api.create(ID)
    env.api.create("vgen_other")
    unknown = {"code": -1, "msg": "task not found", "data": None}
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(f"{ID} vgen_other")
        await env.discord.until(lambda: card.content.count("in the queue") == 2)
        env.api.faults.add(Fault(f"GET /v1/result/{ID}", status=404, body=unknown, times=15))
        await shown(env, card, "the video API does not know it (yet); I ask again")
        task.complete()
        [result] = await env.discord.until(lambda: results(env))

    assert len(env.api.polls_of(ID)) >= 17
    assert result.attachments


async def test_known_id_that_stays_unknown_is_given_up_after_sixty_intervals(env: InProcessEnv):
    """The other is answered all the time: the API has forgotten this one alone."""
    env.api.create(ID)
    env.api.create("vgen_other")
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(f"{ID} vgen_other")
        await env.discord.until(lambda: card.content.count("in the queue") == 2)
        env.api.forget(ID)
        since = len(env.api.polls_of(ID))
        [result] = await env.discord.until(lambda: results(env))

    polls = env.api.polls_of(ID)[since:]
    assert polls[-1].at - polls[0].at >= 60 * INTERVAL - 0.2
    assert "The video API no longer knows this id." in result.content


async def test_wrong_address_is_told_and_ends_no_task(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    """A17: a bare 404 for every id is on the card and in the log, and no id is given up for it."""
    caplog.set_level(logging.INFO)
    ids = [ID, "vgen_second"]
    for task_id in ids:
        env.api.create(task_id).complete()
    env.api.faults.add(Fault("GET *", status=404, body={"detail": "Not Found"}, times=None))
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(" ".join(ids))
        await shown(env, card, "the video API finds nothing under this id; I keep asking")
        await polled(env, 10)
        assert results(env) == []
        env.api.faults.clear()
        assert len(await env.results(2)) == 2

    told = [r.getMessage() for r in caplog.records if "perhaps VEO_API_URL is wrong" in r.getMessage()]
    assert len(told) == 1
    assert "HTTP 404" in told[0]


@pytest.mark.parametrize("copied", ["/", "/v1", "/v1/", "/v1/result", "/v1/result/vgen_abc123def456"])
async def test_too_much_of_the_address_is_cut_off(env: InProcessEnv, copied: str):
    """A17: what the documentation's page shows is what people copy."""
    env.api.create(ID).complete()
    async with env.bot(veo_api_url=env.api.url + copied):
        await env.track(ID)
        assert await env.results()


# -- clocks ----------------------------------------------------------------------------------------


class ShiftedClock:
    """The system's clock, and how wrong it is in milliseconds."""

    def __init__(self) -> None:
        self.shift = 0

    def __call__(self) -> int:
        return system_clock() + self.shift


@pytest.fixture
def wrong_clock(monkeypatch: pytest.MonkeyPatch) -> ShiftedClock:
    clock = ShiftedClock()
    monkeypatch.setattr(app, "system_clock", clock)
    return clock


@pytest.mark.parametrize("restarts", [False, True], ids=["goes on", "restarts"])
async def test_poll_planned_by_a_clock_an_hour_ahead_is_due_now(
    env: InProcessEnv, wrong_clock: ShiftedClock, restarts: bool
):
    """E1: the clock is set right, and the task is polled within seconds."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        await shown(env, card, "in the queue")
        wrong_clock.shift = HOUR
        await polled(env, 3)
        if not restarts:
            wrong_clock.shift = 0
            task.complete()
            assert await env.discord.until(lambda: results(env))
            return
    wrong_clock.shift = 0
    task.complete()
    async with env.bot():
        assert await env.results()


async def test_clock_eight_hours_ahead_ends_no_task(env: InProcessEnv, wrong_clock: ShiftedClock):
    """E2: more than TASK_DEADLINE by the clock, and a second by what was polled."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        await shown(env, card, "in the queue")
        wrong_clock.shift = 8 * HOUR
        await polled(env, 5)
        wrong_clock.shift = 0
        task.complete()
        [result] = await env.discord.until(lambda: results(env))

    assert result.attachments
