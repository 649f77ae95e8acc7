"""A fresh link to a finished video: asked for no sooner than the interval, and only the link changes."""

import asyncio

import pytest

from bot.core.clock import DAY, HOUR, SECOND
from bot.core.tasks import TaskState, TrackedTask
from bot.core.verdicts import Answer, AnswerKind
from bot.storage.store import Store
from bot.work.fresh_links import LinkState
from tests.conftest import INTERVAL
from tests.deliverer_env import ScriptedApi, scripted_fresh_links
from tests.factories import OWNER, TASK, URL, look_up, track_ended
from tests.timing import FakeClock

FRESH = "https://cdn.example/v/2.mp4"


async def completed(store: Store, clock: FakeClock) -> TrackedTask:
    """A completed task whose last poll is an interval ago."""
    await track_ended(store, clock)
    clock.advance(INTERVAL)
    return (await look_up(store)).task


async def test_fresh_link_replaces_the_old_one_and_nothing_else(store: Store, clock: FakeClock):
    """State, reason and the time of the end stay."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))

    link = await scripted_fresh_links(store, clock, api).ask(task)

    assert link.state is LinkState.FRESH
    stored = (await look_up(store)).task
    assert stored.video_url == link.task.video_url == FRESH
    assert stored.link_ends_at == clock() + DAY
    assert (stored.state, stored.finished_at) == (TaskState.COMPLETED, task.finished_at)


async def test_same_link_again_is_said(store: Store, clock: FakeClock):
    """There is no other one to try."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=URL))

    assert (await scripted_fresh_links(store, clock, api).ask(task)).state is LinkState.SAME


@pytest.mark.parametrize(
    "answer",
    [
        Answer(AnswerKind.SILENCE),
        Answer(AnswerKind.FAILED, "failed", words="no"),
        Answer(AnswerKind.UNKNOWN_ID, words="task not found"),
        Answer(AnswerKind.PROBABLY_COMPLETED, "done", video_url=FRESH),
    ],
)
async def test_other_answers_change_nothing(store: Store, clock: FakeClock, answer: Answer):
    """A completed task stays completed, whatever the API says about it later."""
    task = await completed(store, clock)

    link = await scripted_fresh_links(store, clock, ScriptedApi(answer)).ask(task)

    assert link.state is LinkState.NO_ANSWER
    stored = (await look_up(store)).task
    assert (stored.state, stored.video_url) == (TaskState.COMPLETED, URL)


async def test_api_is_not_polled_before_the_interval_is_over(store: Store, clock: FakeClock):
    """It counts from the last poll, also from one for a link."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=URL))
    links = scripted_fresh_links(store, clock, api)
    await links.ask(task)
    clock.advance(INTERVAL - SECOND)

    link = await links.ask((await look_up(store)).task)

    assert (link.state, link.ask_again_at) == (LinkState.TOO_EARLY, clock() + SECOND)
    assert api.polled == [TASK]


async def test_link_that_another_channel_was_given_is_used(store: Store, clock: FakeClock):
    """Without another poll."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))
    links = scripted_fresh_links(store, clock, api)
    await links.ask(task)

    link = await links.ask(task)

    assert (link.state, link.task.video_url) == (LinkState.FRESH, FRESH)
    assert api.polled == [TASK]


async def test_poll_by_a_clock_that_was_ahead_keeps_nobody_waiting(store: Store, clock: FakeClock):
    """It was set right since: by it the last poll is in the future."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))
    clock.advance(-8 * HOUR)

    link = await scripted_fresh_links(store, clock, api).ask(task)

    assert (link.state, api.polled) == (LinkState.FRESH, [TASK])


async def test_channels_that_ask_at_once_are_one_poll(store: Store, clock: FakeClock):
    """The others look again when the interval is over, and find the link that it brought."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))
    links = scripted_fresh_links(store, clock, api)

    answers = await asyncio.gather(*(links.ask(task) for _ in range(5)))

    assert api.polled == [TASK]
    assert {answer.state for answer in answers} <= {LinkState.FRESH, LinkState.TOO_EARLY}
    assert (await links.ask(task)).task.video_url == FRESH


async def test_task_that_was_erased_meanwhile_is_not_asked_about(store: Store, clock: FakeClock):
    """Whoever asked had themselves forgotten during the download."""
    task = await completed(store, clock)
    clock.advance(HOUR)
    await store.people.erase(OWNER, clock())
    api = ScriptedApi()

    link = await scripted_fresh_links(store, clock, api).ask(task)

    assert (link.state, api.polled) == (LinkState.NO_ANSWER, [])
