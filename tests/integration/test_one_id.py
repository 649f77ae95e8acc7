"""One id's trouble is its own: the others are polled as before, and nobody reads that the key is refused."""

import itertools
import logging

import pytest

from sandbox.discord import Message
from sandbox.video_api import Fault
from tests.integration.conftest import InProcessEnv

GOOD = "vgen_good0000"
BAD = "vgen_bad00000"
INTERVAL = 0.1
FORBIDDEN = {"error": {"message": "You do not have access to this task"}}
REFUSED = {"error": {"message": "Invalid API key"}}


def answer(env: InProcessEnv, task_id: str, status: int, body: object) -> None:
    env.api.create(task_id)
    env.api.faults.add(Fault(f"GET /v1/result/{task_id}", status=status, body=body, times=None))


def results(env: InProcessEnv) -> list[Message]:
    return [m for m in env.channel.messages if any(b.label == "Delete" for b in m.buttons)]


async def result_of(env: InProcessEnv, task_id: str) -> Message:
    """The id's result message, once it is there."""
    [found] = await env.discord.until(lambda: [m for m in results(env) if task_id in m.content])
    return found


async def status_of(env: InProcessEnv, task_id: str) -> str:
    reply = await env.alice.slash(env.channel, "veo status", id=task_id)
    assert reply.message is not None
    return reply.message.content


async def test_twenty_forbidden_ids_keep_no_other_waiting(env: InProcessEnv):
    """A7: 403 for the ids of one person; another person's is polled again and again, and posted."""
    bad = [f"{BAD}{number:02}" for number in range(20)]
    for task_id in bad:
        answer(env, task_id, 403, FORBIDDEN)
    task = env.api.create(GOOD)
    async with env.bot():
        await env.track(" ".join(bad))
        await env.bob.slash(env.channel, "veo track", id=GOOD)
        await env.api.until(lambda: len(env.api.polls_of(GOOD)) >= 15)
        said = await status_of(env, bad[0])
        task.complete()
        result = await result_of(env, GOOD)

    # In an API pause fifteen polls would take minutes: it is 5 minutes, or doubles again and again.
    assert result.attachments
    assert "refuses this bot's key" not in said


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, FORBIDDEN),
        (401, REFUSED),
        (200, {"code": "204", "msg": "登录验证失败"}),
        (500, {"message": "cannot read this task"}),
    ],
    ids=["403", "401", "key words", "500"],
)
async def test_id_that_is_refused_again_and_again_is_given_up_alone(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture, status: int, body: object
):
    """A7: on the card after ten intervals, lost with the API's words after sixty; the other goes on."""
    caplog.set_level(logging.INFO)
    env.api.create(GOOD)
    answer(env, BAD, status, body)
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(f"{GOOD} {BAD}")
        await env.discord.until(lambda: "refuses to say anything about it `" in card.content)
        shown_after = env.api.polls[-1].at - env.api.polls_of(BAD)[0].at
        result = await result_of(env, BAD)

    polls = env.api.polls_of(BAD)
    assert shown_after >= 10 * INTERVAL - 0.1
    assert polls[-1].at - polls[0].at >= 60 * INTERVAL - 0.2
    assert "The video API refuses to say anything about this id." in result.content
    words = next(
        iter(word for word in ("access", "API key", "登录验证失败", "cannot read") if word in str(body))
    )
    assert words in result.content
    # Sixty intervals have passed; in an API pause, each twice as long, six polls would have filled them.
    assert len(env.api.polls_of(GOOD)) >= 30
    assert not [r for r in caplog.records if "refuses VEO_API_KEY" in r.getMessage()]


async def test_refused_id_that_is_answered_in_the_end_gets_its_video(env: InProcessEnv):
    """The refusal was an outage of the API's rights; what it said before counts no more."""
    env.api.create(GOOD)
    task = env.api.create(BAD)
    env.api.faults.add(Fault(f"GET /v1/result/{BAD}", status=403, body=FORBIDDEN, times=6))
    async with env.bot(poll_interval=INTERVAL):
        await env.track(f"{GOOD} {BAD}")
        task.complete()
        assert (await result_of(env, BAD)).attachments


async def test_words_of_a_refusal_are_shown_without_a_credential(env: InProcessEnv):
    """A16: some services repeat what they were sent."""
    env.api.create(GOOD)
    answer(env, BAD, 403, {"message": "no access with Authorization: Bearer sk-live-1234567890abcdef"})
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(f"{GOOD} {BAD}")
        await env.discord.until(lambda: "no access with" in card.content)
        result = await result_of(env, BAD)

    assert "no access with" in result.content
    assert "sk-live" not in "".join([result.content, card.content, *card.edits])


async def test_id_that_is_called_api_key_is_only_unknown(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    """A8: the id is cut out of the API's words before they are read."""
    env.api.create(GOOD)
    unknown = {"code": 404, "message": "task api-key does not exist"}
    env.api.faults.add(Fault("GET /v1/result/api-key", status=404, body=unknown, times=None))
    async with env.bot(poll_interval=INTERVAL):
        await env.track(GOOD)
        await env.track("api-key")
        result = await result_of(env, "api-key")
        said = await status_of(env, GOOD)

    assert "does not know this id" in result.content
    assert len(env.api.polls_of(GOOD)) >= 5
    assert "refuses this bot's key" not in said
    assert not [r for r in caplog.records if "VEO_API_KEY" in r.getMessage()]


# -- the key itself --------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[BAD], [BAD, GOOD]], ids=["the only id", "two ids"])
async def test_refused_key_leaves_one_poll_at_a_time(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture, ids: list[str]
):
    """With none accepted between: the API pauses for one interval, then for twice as long."""
    env.api.faults.add(Fault("GET /v1/result/*", status=401, body=REFUSED, times=None))
    tasks = [env.api.create(task_id) for task_id in ids]
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(" ".join(ids))
        first = len(ids)
        await env.api.until(lambda: len(env.api.polls) >= first + 4)
        times = [poll.at for poll in env.api.polls[first - 1 :]]
        await env.discord.until(lambda: "refuses this bot's key" in card.content)
        env.api.faults.clear()
        for task in tasks:
            task.complete()
        for task_id in ids:
            assert (await result_of(env, task_id)).attachments
        await env.discord.until(lambda: "refuses this bot's key" not in card.content)

    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert all(pause >= planned - 0.05 for pause, planned in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=False))
    assert len([r for r in caplog.records if "refuses VEO_API_KEY" in r.getMessage()]) >= 1


async def test_refused_ids_do_not_count_as_a_refused_key_again(env: InProcessEnv):
    """Twenty ids answer 401: the first two may pause the API once, and from then on they wait alone."""
    bad = [f"{BAD}{number:02}" for number in range(20)]
    for task_id in bad:
        answer(env, task_id, 401, REFUSED)
    task = env.api.create(GOOD)
    async with env.bot():
        card = (await env.bob.slash(env.channel, "veo track", id=GOOD)).message
        assert card is not None
        await env.discord.until(lambda: "in the queue" in card.content)
        await env.track(" ".join(bad))
        await env.api.until(lambda: all(len(env.api.polls_of(i)) >= 3 for i in bad))
        before = len(env.api.polls_of(GOOD))
        # In an API pause, which doubles again and again, ten polls would take minutes.
        await env.api.until(lambda: len(env.api.polls_of(GOOD)) >= before + 10)
        task.complete()
        result = await result_of(env, GOOD)

    assert result.attachments


async def test_poll_of_a_pause_is_about_the_id_that_was_answered_last(env: InProcessEnv):
    """Its id is beyond doubt: the answer tells whether the key is accepted again."""
    env.api.create(GOOD)
    env.api.create(BAD)
    # Each poll doubles the pause: short enough that four of them do not take longer than anybody waits.
    async with env.bot(poll_interval=INTERVAL / 4):
        await env.track(BAD)
        card = (await env.bob.slash(env.channel, "veo track", id=GOOD)).message
        assert card is not None
        await env.discord.until(lambda: "in the queue" in card.content)
        await env.alice.slash(env.channel, "veo untrack", id=BAD)
        # By the second poll from now on, the bot has read the answer to the first: no other id's came later.
        answered = len(env.api.polls_of(GOOD)) + 2
        await env.api.until(lambda: len(env.api.polls_of(GOOD)) >= answered)
        env.api.faults.add(Fault("GET /v1/result/*", status=401, body=REFUSED, times=None))
        strange = [f"{BAD}{number:02}" for number in range(5)]
        since = len(env.api.polls)
        await env.track(" ".join(strange))
        await env.api.until(lambda: len([p for p in env.api.polls[since:] if p.task_id == GOOD]) >= 4)

    polled = [poll.task_id for poll in env.api.polls[since:]]
    assert polled.count(GOOD) > len(polled) / 4
