"""A fresh link to a finished video: polled at most once an interval, and only the link changes."""

import asyncio

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.core.clock import DAY, HOUR, SECOND
from bot.core.tasks import TaskState, TrackedTask
from bot.storage.store import Store
from bot.work.fresh_links import LinkState
from tests.conftest import INTERVAL
from tests.deliverer_env import ScriptedApi, scripted_fresh_links
from tests.factories import OWNER, TASK, URL, look_up, track_ended
from tests.timing import FakeClock

FRESH = "https://cdn.example/v/2.mp4"


async def completed(store: Store, clock: FakeClock) -> TrackedTask:
    """A completed task that was last polled an interval ago."""
    await track_ended(store, clock)
    clock.advance(INTERVAL)
    return (await look_up(store)).task


async def test_fresh_link_replaces_the_old_one_and_nothing_else(store: Store, clock: FakeClock):
    """State, reason and end time stay."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))

    link = await scripted_fresh_links(store, clock, api).poll(task)

    assert link.state is LinkState.FRESH
    stored = (await look_up(store)).task
    assert stored.video_url == link.task.video_url == FRESH
    assert stored.link_ends_at == clock() + DAY
    assert (stored.state, stored.finished_at) == (TaskState.COMPLETED, task.finished_at)


async def test_same_link_again_is_reported(store: Store, clock: FakeClock):
    """The caller then has no other link to try."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=URL))

    assert (await scripted_fresh_links(store, clock, api).poll(task)).state is LinkState.SAME


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
    """A completed task stays completed."""
    task = await completed(store, clock)

    link = await scripted_fresh_links(store, clock, ScriptedApi(answer)).poll(task)

    assert link.state is LinkState.NO_ANSWER
    stored = (await look_up(store)).task
    assert (stored.state, stored.video_url) == (TaskState.COMPLETED, URL)


async def test_api_is_not_polled_before_the_interval_is_over(store: Store, clock: FakeClock):
    """It counts from the last poll, also from one for a link."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=URL))
    links = scripted_fresh_links(store, clock, api)
    await links.poll(task)
    clock.advance(INTERVAL - SECOND)

    link = await links.poll((await look_up(store)).task)

    assert (link.state, link.poll_again_at) == (LinkState.TOO_EARLY, clock() + SECOND)
    assert api.polled == [TASK]


async def test_link_that_another_channel_got_is_used(store: Store, clock: FakeClock):
    """Without another poll."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))
    links = scripted_fresh_links(store, clock, api)
    await links.poll(task)

    link = await links.poll(task)

    assert (link.state, link.task.video_url) == (LinkState.FRESH, FRESH)
    assert api.polled == [TASK]


async def test_last_poll_in_the_future_does_not_delay_the_next(store: Store, clock: FakeClock):
    """The clock was ahead and has been corrected."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))
    clock.advance(-8 * HOUR)

    link = await scripted_fresh_links(store, clock, api).poll(task)

    assert (link.state, api.polled) == (LinkState.FRESH, [TASK])


async def test_channels_that_ask_at_once_share_one_poll(store: Store, clock: FakeClock):
    """The others try again after the interval, and find the link that this poll returned."""
    task = await completed(store, clock)
    api = ScriptedApi(Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH))
    links = scripted_fresh_links(store, clock, api)

    answers = await asyncio.gather(*(links.poll(task) for _ in range(5)))

    assert api.polled == [TASK]
    assert {answer.state for answer in answers} <= {LinkState.FRESH, LinkState.TOO_EARLY}
    assert (await links.poll(task)).task.video_url == FRESH


async def test_erased_task_is_not_polled_for_a_link(store: Store, clock: FakeClock):
    """Its only user was forgotten during the download."""
    task = await completed(store, clock)
    clock.advance(HOUR)
    await store.people.erase(OWNER, clock())
    api = ScriptedApi()

    link = await scripted_fresh_links(store, clock, api).poll(task)

    assert (link.state, api.polled) == (LinkState.NO_ANSWER, [])
