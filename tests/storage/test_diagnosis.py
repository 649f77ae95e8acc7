"""What the doctor reports: late, overdue, refused and quarantined rows."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.core.clock import HOUR, MINUTE
from bot.core.errors import DiscordUnavailable
from bot.core.problems import Problem, ProblemCode
from bot.core.verdicts import Others, PollRules, judge
from bot.storage.diagnosis import RESULT_OVERDUE_AFTER, Diagnosis, UndeliverableResults, Waiting
from bot.storage.store import Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.conftest import INTERVAL
from tests.factories import (
    CHANNEL,
    GUILD,
    OTHER_CHANNEL,
    TASK,
    ask_about,
    look_up,
    make_waiting,
    mark_undeliverable,
    post_next,
    take_delivery,
    track,
    track_ended,
)
from tests.timing import FakeClock


@pytest.fixture
def diagnosis(store: Store) -> Diagnosis:
    return Diagnosis(store.key_values._database)


async def test_empty_database_has_nothing_to_report(diagnosis: Diagnosis):
    assert await diagnosis.tasks_by_state() == {}
    assert await diagnosis.most_overdue_poll() is None
    assert await diagnosis.most_overdue_delivery() is None
    assert await diagnosis.last_good_answer() is None
    assert await diagnosis.quarantined() == []
    assert await diagnosis.undeliverable() == []
    assert await diagnosis.places() == []


async def test_counts_by_state(diagnosis: Diagnosis, store: Store, clock: FakeClock):
    await track(store, clock, "open")
    await track(store, clock, "ended")
    await ask_about(store, clock, task_id="ended")

    assert await diagnosis.tasks_by_state() == {"waiting": 1, "completed": 1}
    assert await diagnosis.deliveries_by_state() == {"open": 1, "due": 1}
    assert await diagnosis.places() == [(GUILD, CHANNEL)]


async def test_most_overdue_poll_is_found(diagnosis: Diagnosis, store: Store, clock: FakeClock):
    since = clock()
    await track(store, clock, "first")
    clock.advance(HOUR)
    await track(store, clock, "second")

    late = await diagnosis.most_overdue_poll()

    assert late
    assert (late.task_id, late.since) == ("first", since)


async def test_silence_is_no_good_answer(diagnosis: Diagnosis, store: Store, clock: FakeClock):
    """The last usable answer counts, not the last poll."""
    await track(store, clock)
    await ask_about(store, clock, make_waiting(known=True, api_status="queued"))
    good = clock()
    assert await diagnosis.last_good_answer() == good

    clock.advance(INTERVAL)
    rules = PollRules(INTERVAL, HOUR)
    task = replace((await look_up(store)).task, polled_at=clock())
    silence = judge(task, Answer(AnswerKind.SILENCE), clock(), rules, Others())
    await ask_about(store, clock, silence)

    assert await diagnosis.last_good_answer() != clock()


async def test_oldest_open_result_is_counted_from_the_tasks_end(
    diagnosis: Diagnosis, store: Store, clock: FakeClock
):
    """Also if it was tried many times."""
    await track_ended(store, clock)
    ended = clock() - RESULT_FOLLOWS
    clock.advance(MINUTE)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.postpone(due.delivery.id, lease, clock() + HOUR, attempt=4, last_error="503")

    late = await diagnosis.most_overdue_delivery()

    assert late
    assert (late.task_id, late.channel_id, late.since) == (TASK, CHANNEL, ended)
    assert (late.attempt, late.last_error) == (4, "503")
    assert await diagnosis.tried_often(4) == [late]
    assert await diagnosis.tried_often(5) == []


async def test_refused_results_are_counted_by_channel_and_reason(
    diagnosis: Diagnosis, store: Store, clock: FakeClock
):
    await track(store, clock, "a", "b")
    for task_id in ("a", "b"):
        await ask_about(store, clock, task_id=task_id)
        lease, due = await take_delivery(store, clock)
        await mark_undeliverable(store, due, lease, clock())
    await track(store, clock, "c", channel=OTHER_CHANNEL)
    await ask_about(store, clock, task_id="c")
    await post_next(store, clock)

    refused = Problem(ProblemCode.NO_ACCESS).to_text()
    assert await diagnosis.undeliverable() == [UndeliverableResults(GUILD, CHANNEL, refused, 2)]
    assert await diagnosis.places() == [(GUILD, CHANNEL)]


async def test_quarantined_rows_are_found_with_their_reason(
    diagnosis: Diagnosis, store: Store, clock: FakeClock
):
    registered = await track(store, clock)
    claim = await store.tasks.claim(1, clock())
    await store.tasks.postpone(TASK, claim.lease, clock() + 1, quarantine_reason="KeyError: 1")
    clock.advance(1)
    await ask_about(store, clock, make_waiting(due_at=clock() + 1))
    assert await diagnosis.quarantined() == []
    clock.advance(1)
    await ask_about(store, clock)
    lease, due = await take_delivery(store, clock)
    await store.deliveries.postpone(
        due.delivery.id,
        lease,
        clock() + HOUR,
        attempt=1,
        last_error="a bug",
        quarantine_reason="ValueError: 2",
    )
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 7000, now=0)
    cards = await store.cards.claim(1, clock())
    await store.cards.postpone(
        registered.card.card.id, cards.lease, clock() + HOUR, attempt=1, quarantine_reason="TypeError: 3"
    )

    rows = await diagnosis.quarantined()

    assert [(row.queue, row.reason, row.due_at) for row in rows] == [
        ("deliveries", "ValueError: 2", clock() + HOUR),
        ("cards", "TypeError: 3", clock() + HOUR),
    ]
    assert (await look_up(store)).delivery.last_error == "a bug"


async def test_servers_that_were_left_are_found(diagnosis: Diagnosis, store: Store, clock: FakeClock):
    await track(store, clock)
    await store.guilds.left(GUILD, clock())

    assert await diagnosis.left_guilds() == {GUILD: clock()}


async def test_polls_due_within_an_interval_are_counted(diagnosis: Diagnosis, store: Store, clock: FakeClock):
    """The most overdue of all determines the delay."""
    assert await diagnosis.polls_wanted(clock()) == Waiting(0, None)
    since = clock()
    await track(store, clock, "now", "soon", "later", "ended")
    await ask_about(store, clock, make_waiting(id="later", due_at=since + HOUR), task_id="later")
    await ask_about(store, clock, task_id="ended")

    assert await diagnosis.polls_wanted(since) == Waiting(2, since)
    assert await diagnosis.polls_wanted(since + HOUR) == Waiting(3, since)


async def test_results_that_no_worker_claims_are_overdue(
    diagnosis: Diagnosis, store: Store, clock: FakeClock
):
    """RESULT_OVERDUE_AFTER counts from the task's end."""
    await track_ended(store, clock)
    ended = clock() - RESULT_FOLLOWS
    await track(store, clock, "waiting")
    assert await diagnosis.overdue_results(ended + RESULT_OVERDUE_AFTER - 1) == Waiting(0, None)
    assert await diagnosis.overdue_results(ended + RESULT_OVERDUE_AFTER) == Waiting(1, ended)

    await post_next(store, clock)
    assert await diagnosis.overdue_results(clock() + HOUR) == Waiting(0, None)


async def test_results_that_discord_refused_are_overdue_except_after_an_edge_block(
    diagnosis: Diagnosis, store: Store, clock: FakeClock
):
    """A quarantined one counts; one whose video is being downloaded does not."""
    reasons: dict[str, dict[str, Any]] = {
        "odd": {"odd_attempt": 1, "last_error": "418"},
        "bug": {"quarantine_reason": "KeyError"},
        "block": {"attempt": 1, "last_error": DiscordUnavailable("", blocked=1).problem.to_text()},
        "download": {"download_attempt": 1, "last_error": "504"},
    }
    await track(store, clock, *reasons)
    for task_id, changes in reasons.items():
        await ask_about(store, clock, task_id=task_id)
        lease, due = await take_delivery(store, clock)
        await store.deliveries.postpone(due.delivery.id, lease, clock() + 2 * HOUR, **changes)

    assert (await diagnosis.overdue_results(clock() + HOUR)).count == 2
