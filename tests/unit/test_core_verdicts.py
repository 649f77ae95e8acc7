"""What ends a task: each row of the contract's table, on both sides of each limit."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import Doubt, TaskState, TrackedTask, Trouble
from bot.core.verdicts import Final, Others, PollRules, StillWaiting, Verdict, changes_card, judge
from tests.factories import NOW, URL, make_task

INTERVAL = 30 * SECOND
RULES = PollRules(interval=INTERVAL, deadline=6 * HOUR)
AWAY = RULES.deadline + DAY  # the longest silence of the API

K = AnswerKind
WAITING = Answer(K.WAITING, "processing")
COMPLETED = Answer(K.COMPLETED, "completed", video_url=URL, seconds=8.0, model="veo_3_1_fast")
FAILED = Answer(K.FAILED, "failed", words="nudity")
SILENCE = Answer(K.SILENCE)
NOT_FOUND = Answer(K.NOT_FOUND)
UNKNOWN_ID = Answer(K.UNKNOWN_ID, words="task not found")
REFUSALS = (Answer(K.ERROR, words="no access"), Answer(K.KEY_REFUSED, words="no access"))
UNUSABLE = (SILENCE, Answer(K.THROTTLED), NOT_FOUND, *REFUSALS)

ALONE = Others()
ANSWERED = Others(answered_since_last_poll=True, answered_since_first_404=True)
ALL_UNKNOWN = Others(known_id_is_unknown=True)


def polled(elapsed: int = INTERVAL, **row: Any) -> TrackedTask:
    """A task with a poll at NOW that planned the next one INTERVAL later; it is made after `elapsed` ms."""
    return make_task(judged_at=NOW, planned_delay=INTERVAL, polled_at=NOW + elapsed, **row)


def verdict_of(task: TrackedTask, answer: Answer, others: Others = ALONE) -> Verdict:
    assert task.polled_at is not None
    return judge(task, answer, task.polled_at, RULES, others)


def row_after(task: TrackedTask, answer: Answer, others: Others = ALONE) -> TrackedTask:
    """The row that is stored if the answer does not end the task."""
    verdict = verdict_of(task, answer, others)
    assert isinstance(verdict, StillWaiting)
    return verdict.task


def polls(task: TrackedTask, *answers: Answer, others: Others = ALONE) -> Verdict:
    """The verdict after several polls, each made when it was due."""
    verdict: Verdict = StillWaiting(task)
    for answer in answers:
        assert isinstance(verdict, StillWaiting), "ended too early"
        verdict = verdict_of(replace(verdict.task, polled_at=verdict.task.due_at), answer, others)
    return verdict


def is_lost(verdict: Verdict, code: ProblemCode) -> bool:
    return (
        isinstance(verdict, Final)
        and verdict.state is TaskState.LOST
        and verdict.cause is not None
        and verdict.cause.code is code
    )


# -- its own id with `completed` and a link, or `failed` -------------------------------------------

BURDENED = {
    "attempt": 3,
    "doubt": Doubt.UNKNOWN_ID,
    "doubt_count": 2,
    "silent_time": AWAY * 2,
    "answered_time": RULES.deadline * 2,
}


@pytest.mark.parametrize("burden", [{}, BURDENED])
def test_completed_with_a_link_is_final_at_once(burden: dict[str, Any]):
    """Earlier answers do not matter."""
    verdict = verdict_of(polled(**burden), COMPLETED)

    assert verdict == Final(
        TaskState.COMPLETED,
        video_url=URL,
        seconds=8.0,
        model="veo_3_1_fast",
        link_ends_at=NOW + INTERVAL + DAY,
    )


@pytest.mark.parametrize("burden", [{}, BURDENED])
def test_failed_is_final_at_once(burden: dict[str, Any]):
    """With the API's own words."""
    assert verdict_of(polled(**burden), FAILED) == Final(TaskState.FAILED, reason="nudity")


def test_end_keeps_the_model_and_creation_time_of_earlier_answers():
    """Not every reply holds them."""
    task = polled(model="veo_3_1_pro", created=NOW - HOUR, registered_at=NOW)
    verdict = verdict_of(task, replace(COMPLETED, model=None))

    assert isinstance(verdict, Final)
    assert (verdict.model, verdict.created) == ("veo_3_1_pro", NOW - HOUR)
    assert verdict.link_ends_at == NOW + 23 * HOUR


@pytest.mark.parametrize("answer", [COMPLETED, FAILED], ids=lambda answer: str(answer.kind))
@pytest.mark.parametrize("is_told_at_the_end", [True, False])
def test_end_says_how_long_the_api_took(answer: Answer, is_told_at_the_end: bool):
    """From `created`, of this answer or of an earlier one, to this poll."""
    created = NOW - 2 * MINUTE
    task = polled() if is_told_at_the_end else polled(created=created)
    verdict = verdict_of(task, replace(answer, created=created if is_told_at_the_end else None))

    assert isinstance(verdict, Final)
    assert verdict.took == 2 * MINUTE + INTERVAL


def test_doubtful_end_that_is_believed_says_how_long_the_api_took():
    """To the poll that confirmed it."""
    probably = replace(COMPLETED, kind=K.PROBABLY_COMPLETED)
    verdict = polls(polled(created=NOW - MINUTE), probably, probably)

    assert isinstance(verdict, Final)
    assert verdict.took == MINUTE + INTERVAL


@pytest.mark.parametrize(
    "task",
    [
        polled(2 * INTERVAL + 1, created=NOW),
        polled(attempt=1, created=NOW),
        make_task(polled_at=NOW + INTERVAL, created=NOW),
    ],
    ids=["after a stop of the bot", "after silence", "first poll"],
)
def test_end_that_nobody_saw_come_says_nothing_of_how_long_the_api_took(task: TrackedTask):
    """It may have ended long before this poll."""
    verdict = verdict_of(task, COMPLETED)

    assert isinstance(verdict, Final)
    assert verdict.took is None


def test_our_own_verdict_says_nothing_of_how_long_the_api_took():
    """The API did not say when it gave up."""
    task = polled(created=NOW, doubt=Doubt.NO_VIDEO, doubt_count=2, doubt_time=5 * INTERVAL)
    verdict = verdict_of(task, Answer(K.NO_VIDEO))

    assert isinstance(verdict, Final)
    assert (verdict.state, verdict.took) == (TaskState.FAILED, None)


# -- `completed` without a link; an unknown status word --------------------------------------------

PROBABLE = [
    (Answer(K.PROBABLY_COMPLETED, "succeed", video_url=URL), Doubt.COMPLETED, TaskState.COMPLETED),
    (Answer(K.PROBABLY_FAILED, "rejected", words="unsafe"), Doubt.FAILED, TaskState.FAILED),
]


@pytest.mark.parametrize(("answer", "doubt", "state"), PROBABLE)
def test_doubtful_end_is_final_when_a_second_answer_agrees(answer: Answer, doubt: Doubt, state: TaskState):
    """The second answer comes an interval later; until then the card shows the doubt."""
    first = row_after(polled(), answer)
    second = verdict_of(replace(first, polled_at=first.due_at), answer)

    assert (first.doubt, first.due_at) == (doubt, NOW + 2 * INTERVAL)
    assert isinstance(second, Final)
    assert second.state is state
    assert (second.video_url, second.reason) == (answer.video_url, answer.words)


@pytest.mark.parametrize(("answer", "doubt", "state"), PROBABLE)
def test_doubtful_end_is_dropped_when_the_second_answer_differs(
    answer: Answer, doubt: Doubt, state: TaskState
):
    """The two answers must be consecutive."""
    other = next(a for a, d, _ in PROBABLE if d is not doubt)

    assert isinstance(polls(polled(due_at=NOW), answer, WAITING, answer), StillWaiting)
    assert isinstance(polls(polled(due_at=NOW), answer, other, answer), StillWaiting)


@pytest.mark.parametrize("noise", UNUSABLE)
def test_unusable_answer_between_two_that_agree_changes_nothing(noise: Answer):
    """It neither confirms nor clears a doubt."""
    answer = PROBABLE[0][0]

    assert isinstance(polls(polled(due_at=NOW), answer, noise, noise), StillWaiting)
    assert isinstance(polls(polled(due_at=NOW), answer, noise, answer), Final)


@pytest.mark.parametrize(
    ("count", "time", "ends"),
    [(2, 5 * INTERVAL, True), (2, 5 * INTERVAL - 1, False), (1, 5 * INTERVAL, False), (9, 0, False)],
)
def test_missing_video_fails_the_task_after_three_answers_over_six_intervals(
    count: int, time: int, ends: bool
):
    """Before that, the link may still follow."""
    task = polled(known=True, doubt=Doubt.NO_VIDEO, doubt_count=count, doubt_time=time)
    verdict = verdict_of(task, Answer(K.NO_VIDEO, "completed"))

    expected = Final(TaskState.FAILED, cause=Problem(ProblemCode.NO_VIDEO))
    assert verdict == expected if ends else isinstance(verdict, StillWaiting)


# -- "unknown id": never known before --------------------------------------------------------------


@pytest.mark.parametrize("answer", [UNKNOWN_ID, NOT_FOUND])
@pytest.mark.parametrize(
    ("count", "time", "ends"),
    [
        (2, 5 * INTERVAL, True),
        (2, 5 * INTERVAL - 1, False),
        (1, 5 * INTERVAL, False),
        (0, 5 * INTERVAL, False),
        (9, 4 * INTERVAL, False),
    ],
)
def test_new_id_is_lost_after_three_answers_over_six_intervals(
    answer: Answer, count: int, time: int, ends: bool
):
    """An API may need a minute or two until it knows an id that it created."""
    task = polled(doubt=Doubt.UNKNOWN_ID, doubt_count=count, doubt_time=time)

    assert is_lost(verdict_of(task, answer, ANSWERED), ProblemCode.UNKNOWN_ID) is ends


def test_new_id_is_polled_every_interval_until_it_is_given_up():
    """Seven polls: at the start and after one to six intervals."""
    answers = [UNKNOWN_ID] * 7
    task = make_task(due_at=NOW)

    waiting = polls(task, *answers[:-1])
    assert isinstance(waiting, StillWaiting)
    assert waiting.task.due_at == NOW + 6 * INTERVAL
    assert is_lost(polls(task, *answers), ProblemCode.UNKNOWN_ID)


def test_unknown_id_is_on_the_card_at_once():
    """The next poll is an interval later."""
    row = row_after(polled(), UNKNOWN_ID)

    assert (row.doubt, row.doubt_count, row.doubt_time) == (Doubt.UNKNOWN_ID, 1, 0)
    assert (row.known, row.due_at) == (False, NOW + 2 * INTERVAL)
    assert changes_card(polled(), row)


@pytest.mark.parametrize("clearing", [WAITING, Answer(K.NO_VIDEO), PROBABLE[0][0]])
def test_answer_of_another_kind_clears_the_count(clearing: Answer):
    """An id that was unknown for a while has no disadvantage later."""
    row = row_after(polled(doubt=Doubt.UNKNOWN_ID, doubt_count=2, doubt_time=5 * INTERVAL), clearing)
    again = row_after(replace(row, polled_at=row.due_at), UNKNOWN_ID)

    assert (again.known, again.doubt_count, again.doubt_time) == (True, 1, 0)


# -- "unknown id": known before --------------------------------------------------------------------


@pytest.mark.parametrize("others", [ALONE, ANSWERED, replace(ANSWERED, known_id_is_unknown=True)])
@pytest.mark.parametrize(("time", "ends"), [(59 * INTERVAL, True), (59 * INTERVAL - 1, False)])
def test_known_id_is_lost_after_sixty_intervals(others: Others, time: int, ends: bool):
    """While another known id is answered, or no other known id is unknown."""
    task = polled(known=True, doubt=Doubt.UNKNOWN_ID, doubt_count=50, doubt_time=time)

    assert is_lost(verdict_of(task, UNKNOWN_ID, others), ProblemCode.FORGOTTEN_ID) is ends


def test_known_id_is_not_lost_while_the_api_knows_no_other_id_either():
    """The API as a whole is at fault then; the card still shows the doubt."""
    task = polled(known=True, doubt=Doubt.UNKNOWN_ID, doubt_count=50, doubt_time=59 * INTERVAL)
    row = row_after(task, UNKNOWN_ID, ALL_UNKNOWN)
    fresh = row_after(polled(known=True), UNKNOWN_ID, ALL_UNKNOWN)

    assert (row.doubt_count, row.doubt_time) == (50, 59 * INTERVAL)
    assert (fresh.doubt, fresh.doubt_count) == (Doubt.UNKNOWN_ID, 0)
    assert row.due_at == fresh.due_at == NOW + 2 * INTERVAL


@pytest.mark.parametrize(("time", "ends"), [(AWAY - INTERVAL, True), (AWAY - INTERVAL - 1, False)])
def test_known_id_that_is_unknown_with_all_others_is_lost_in_the_end(time: int, ends: bool):
    """After TASK_DEADLINE and a day."""
    task = polled(known=True, doubt=Doubt.UNKNOWN_ID, silent_time=time)

    assert isinstance(verdict_of(task, UNKNOWN_ID, ALL_UNKNOWN), Final) is ends


# -- a bare 404 or 410 -----------------------------------------------------------------------------


def test_bare_404_while_no_other_id_is_answered_is_no_usable_answer():
    """The card shows it at once, because the address may be wrong."""
    row = row_after(polled(), NOT_FOUND)

    assert (row.doubt, row.doubt_count, row.attempt, row.silent_time) == (Doubt.NOT_FOUND, 0, 1, INTERVAL)
    assert changes_card(polled(), row)
    assert polls(row, *[NOT_FOUND] * 100) != Final(TaskState.LOST)


def test_bare_404_counts_once_another_id_has_been_answered():
    """Answered since the first 404 for this id."""
    first = row_after(polled(), NOT_FOUND)
    second = row_after(replace(first, polled_at=first.due_at), NOT_FOUND, ANSWERED)

    assert (second.doubt, second.doubt_count, second.doubt_time) == (Doubt.UNKNOWN_ID, 1, 0)


def test_bare_404_does_not_add_to_earlier_unknown_id_answers():
    """First the API says that the id is unknown; then a proxy answers 404 to everything."""
    task = polled(doubt=Doubt.UNKNOWN_ID, doubt_count=2, doubt_time=5 * INTERVAL)
    row = row_after(task, NOT_FOUND, ALONE)

    assert (row.doubt_count, row.doubt_time) == (2, 5 * INTERVAL)


def test_status_clears_a_bare_404_from_the_card():
    """The address was right."""
    row = row_after(polled(doubt=Doubt.NOT_FOUND, silent_time=MINUTE, attempt=4), WAITING)

    assert (row.doubt, row.silent_time, row.attempt) == (None, 0, 0)


# -- errors about one id while others are answered -------------------------------------------------


@pytest.mark.parametrize("answer", REFUSALS)
@pytest.mark.parametrize(("time", "ends"), [(59 * INTERVAL, True), (59 * INTERVAL - 1, False)])
def test_refused_id_is_lost_with_the_apis_words_after_sixty_intervals(answer: Answer, time: int, ends: bool):
    """While other ids are answered."""
    task = polled(known=True, doubt=Doubt.REFUSED, doubt_count=9, doubt_time=time)
    verdict = verdict_of(task, answer, ANSWERED)

    expected = Final(TaskState.LOST, reason="no access", cause=Problem(ProblemCode.REFUSED_ID))
    assert verdict == expected if ends else isinstance(verdict, StillWaiting)


@pytest.mark.parametrize(("time", "trouble"), [(9 * INTERVAL - 1, None), (9 * INTERVAL, Trouble.REFUSED)])
def test_refused_id_is_on_the_card_after_ten_intervals(time: int, trouble: Trouble | None):
    """With the API's words."""
    task = polled(doubt=Doubt.REFUSED, doubt_count=3, doubt_time=time)
    row = row_after(task, REFUSALS[0], ANSWERED)

    assert (row.trouble, row.words) == (trouble, "no access")
    assert changes_card(task, row) is (trouble is not None)


@pytest.mark.parametrize("answer", REFUSALS)
def test_refusal_while_no_other_id_is_answered_is_no_usable_answer(answer: Answer):
    """It may concern every id."""
    row = row_after(polled(doubt=Doubt.REFUSED, doubt_count=3, doubt_time=59 * INTERVAL), answer)

    assert (row.doubt_count, row.doubt_time, row.silent_time) == (3, 59 * INTERVAL, INTERVAL)


def test_refused_id_is_polled_more_and_more_rarely():
    """So that twenty such ids do not slow down the others."""
    row = row_after(polled(attempt=3), REFUSALS[0], ANSWERED)

    assert row.attempt == 4
    assert (row.due_at or 0) - NOW >= INTERVAL + 240 * SECOND


# -- "still processing" after TASK_DEADLINE --------------------------------------------------------


@pytest.mark.parametrize(("time", "is_late"), [(RULES.deadline, False), (RULES.deadline + 1, True)])
def test_waiting_after_the_deadline_is_final_when_a_second_answer_agrees(time: int, is_late: bool):
    first = row_after(polled(known=True, answered_time=time - INTERVAL), WAITING)
    second = verdict_of(replace(first, polled_at=first.due_at), WAITING)

    assert (first.doubt is Doubt.PAST_DEADLINE) is is_late
    late = Problem(ProblemCode.PAST_DEADLINE, {"deadline": RULES.deadline, "api_status": "processing"})
    if is_late:
        assert second == Final(TaskState.LOST, cause=late)


def test_video_in_the_second_poll_after_the_deadline_counts():
    row = row_after(polled(answered_time=RULES.deadline), WAITING)
    verdict = verdict_of(replace(row, polled_at=row.due_at), COMPLETED)

    assert isinstance(verdict, Final)
    assert verdict.state is TaskState.COMPLETED


def test_waiting_answer_clears_every_doubt():
    """Its status is shown with the time when it was first reported."""
    task = polled(
        api_status="queued",
        api_status_since=NOW - MINUTE,
        doubt=Doubt.REFUSED,
        doubt_count=9,
        doubt_time=HOUR,
        trouble=Trouble.REFUSED,
        words="no access",
        attempt=9,
        silent_time=HOUR,
    )
    row = row_after(task, WAITING)

    assert row == replace(
        make_task(),
        judged_at=NOW + INTERVAL,
        polled_at=NOW + INTERVAL,
        planned_delay=INTERVAL,
        due_at=NOW + 2 * INTERVAL,
        known=True,
        api_status="processing",
        api_status_since=NOW + INTERVAL,
        answered_time=INTERVAL,
    )
    assert row_after(task, Answer(K.WAITING, "queued")).api_status_since == NOW - MINUTE


def test_waiting_task_is_polled_less_often_with_age():
    """Every two minutes after an hour of answers."""
    row = row_after(polled(answered_time=HOUR - INTERVAL), WAITING)

    assert row.due_at == NOW + INTERVAL + 2 * MINUTE


# -- silence, 429 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", UNUSABLE)
@pytest.mark.parametrize(("time", "ends"), [(AWAY - INTERVAL, True), (AWAY - INTERVAL - 1, False)])
def test_silence_ends_a_task_after_the_deadline_and_a_day(answer: Answer, time: int, ends: bool):
    """An API that was away for a night still has its tasks."""
    verdict = verdict_of(polled(known=True, silent_time=time), answer)

    assert is_lost(verdict, ProblemCode.NO_ANSWER) is ends


@pytest.mark.parametrize("answer", UNUSABLE)
@pytest.mark.parametrize(("time", "trouble"), [(9 * INTERVAL - 1, None), (9 * INTERVAL, Trouble.SILENCE)])
def test_silence_is_on_the_card_after_ten_intervals(answer: Answer, time: int, trouble: Trouble | None):
    """It is removed when the silence is over."""
    row = row_after(polled(silent_time=time), answer)
    after = row_after(replace(row, polled_at=row.due_at), WAITING)

    assert (row.trouble, after.trouble) == (trouble, None)


@pytest.mark.parametrize("answer", UNUSABLE)
def test_unusable_answer_keeps_every_other_sum(answer: Answer):
    """It adds only to the sum of the silence."""
    known: dict[str, Any] = {
        "known": True,
        "api_status": "queued",
        "api_status_since": NOW - HOUR,
        "doubt": Doubt.NO_VIDEO,
        "doubt_count": 2,
        "doubt_time": MINUTE,
        "answered_time": HOUR,
    }
    row = row_after(polled(attempt=1, silent_time=MINUTE, **known), answer)

    assert {name: getattr(row, name) for name in known} == known
    assert (row.attempt, row.silent_time) == (2, MINUTE + INTERVAL)


@pytest.mark.parametrize(("attempt", "least"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (50, 300)])
def test_silence_makes_each_delay_longer(attempt: int, least: int):
    """From one interval to five minutes, plus at most a quarter."""
    row = row_after(polled(0, attempt=attempt), SILENCE)

    assert least * SECOND <= (row.due_at or 0) - NOW <= least * SECOND * 1.25


@pytest.mark.parametrize(
    ("kind", "wish", "delay"),
    [
        (K.THROTTLED, None, INTERVAL),
        (K.THROTTLED, 1, INTERVAL),
        (K.THROTTLED, 90.5, 90_500),
        (K.THROTTLED, 600, 10 * MINUTE),
        (K.THROTTLED, 3600, 10 * MINUTE),
        (K.ERROR, 400, 400 * SECOND),
        (K.ERROR, 3600, 10 * MINUTE),
    ],
)
def test_retry_after_is_honoured_up_to_ten_minutes(kind: AnswerKind, wish: float | None, delay: int):
    """MAX_PAUSE of polls."""
    row = row_after(polled(0), Answer(kind, retry_after=wish))

    assert (row.due_at, row.planned_delay) == (NOW + delay, delay)


@pytest.mark.parametrize(("wish", "delay"), [(1, 20 * MINUTE), (1500, 25 * MINUTE), (3600, 40 * MINUTE)])
def test_retry_after_with_a_long_interval_is_honoured_up_to_two_intervals(wish: float, delay: int):
    """The delay is never shorter than POLL_INTERVAL."""
    verdict = judge(
        polled(0), Answer(K.THROTTLED, retry_after=wish), NOW, PollRules(20 * MINUTE, 6 * HOUR), ALONE
    )

    assert isinstance(verdict, StillWaiting)
    assert verdict.task.due_at == NOW + delay


# -- polled time -----------------------------------------------------------------------------------

SUMS = [
    (WAITING, "answered_time", {}),
    (SILENCE, "silent_time", {}),
    (Answer(K.NO_VIDEO), "doubt_time", {"doubt": Doubt.NO_VIDEO, "doubt_count": 1}),
    (UNKNOWN_ID, "doubt_time", {"doubt": Doubt.UNKNOWN_ID, "doubt_count": 1, "known": True}),
    (REFUSALS[0], "doubt_time", {"doubt": Doubt.REFUSED, "doubt_count": 1}),
]


@pytest.mark.parametrize(("answer", "name", "row"), SUMS)
@pytest.mark.parametrize(
    ("elapsed", "counted"),
    [
        (INTERVAL, INTERVAL),
        (2 * INTERVAL, 2 * INTERVAL),
        (2 * INTERVAL + 1, 2 * INTERVAL),
        (8 * HOUR, 2 * INTERVAL),
        (1, 1),
        (0, 0),
        (-1, 0),
        (-8 * HOUR, 0),
    ],
)
def test_poll_adds_between_zero_and_twice_the_planned_pause(
    answer: Answer, name: str, row: dict[str, Any], elapsed: int, counted: int
):
    """So that a stop, or a clock that is wrong or stands still, does not use up the deadline."""
    after = row_after(polled(elapsed, **row), answer, ANSWERED)

    assert getattr(after, name) == counted
    assert after.judged_at == NOW + elapsed


def test_first_poll_adds_nothing():
    """However long the task waited for it."""
    task = make_task(registered_at=NOW - 30 * DAY, polled_at=NOW)

    assert row_after(task, WAITING).answered_time == 0
    assert row_after(task, SILENCE).silent_time == 0


@pytest.mark.parametrize("step", [8 * HOUR, HOUR, -HOUR])
@pytest.mark.parametrize("answer", [WAITING, SILENCE])
def test_clock_step_during_a_poll_does_not_plan_a_longer_pause(answer: Answer, step: int):
    """Otherwise the next poll could add twice that step."""
    task = polled(attempt=0)
    assert task.polled_at is not None
    verdict = judge(task, answer, task.polled_at + step, RULES, ALONE)

    assert isinstance(verdict, StillWaiting)
    row = verdict.task
    assert row.due_at is not None
    assert row.planned_delay <= 1.25 * INTERVAL + 30 * SECOND
    later = row_after(replace(row, polled_at=row.due_at), answer)
    assert later.answered_time + later.silent_time <= 5 * INTERVAL


def test_clock_eight_hours_ahead_loses_no_task():
    """The clock jumps ahead, stays there for a few polls, and comes back."""
    task = row_after(polled(known=True), WAITING)
    for step in (8 * HOUR, INTERVAL, INTERVAL, -8 * HOUR, INTERVAL, INTERVAL):
        task = row_after(replace(task, polled_at=(task.judged_at or 0) + step), WAITING)

    assert task.answered_time == INTERVAL + 6 * INTERVAL


# -- contradictions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        (WAITING, UNKNOWN_ID),
        (WAITING, Answer(K.NO_VIDEO, "completed")),
        (WAITING, REFUSALS[0]),
        (UNKNOWN_ID, REFUSALS[0]),
        (SILENCE, UNKNOWN_ID, REFUSALS[0]),
        (PROBABLE[0][0], PROBABLE[1][0]),
    ],
)
def test_answers_that_always_contradict_each_other_end_the_task(pattern: tuple[Answer, ...]):
    """Two servers behind one address may never agree."""
    verdict: Verdict = StillWaiting(make_task(known=True))
    polled_until = NOW + 2 * AWAY
    while isinstance(verdict, StillWaiting) and (verdict.task.due_at or 0) < polled_until:
        verdict = polls(verdict.task, pattern[0], others=ANSWERED)
        pattern = (*pattern[1:], pattern[0])

    assert isinstance(verdict, Final)


# -- cards -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "is_shown"),
    [
        ({}, False),
        ({"due_at": NOW + HOUR, "attempt": 3, "polled_at": NOW, "judged_at": NOW}, False),
        ({"answered_time": HOUR, "silent_time": HOUR, "doubt_time": HOUR, "doubt_count": 9}, False),
        ({"created": NOW, "known": True}, False),
        ({"model": "veo"}, True),
        ({"words": "unseen"}, False),
        ({"doubt": Doubt.REFUSED, "words": "unseen"}, False),
        ({"api_status": "processing"}, True),
        ({"doubt": Doubt.UNKNOWN_ID}, True),
        ({"doubt": Doubt.NOT_FOUND}, True),
        ({"doubt": Doubt.NO_VIDEO}, True),
        ({"doubt": Doubt.COMPLETED}, True),
        ({"doubt": Doubt.PAST_DEADLINE}, True),
        ({"trouble": Trouble.SILENCE}, True),
        ({"trouble": Trouble.REFUSED, "words": "no access"}, True),
    ],
)
def test_card_is_edited_only_for_changes_that_it_shows(changes: dict[str, Any], is_shown: bool):
    """Doubts at once, trouble when it has lasted; never sums and times."""
    before = make_task()

    assert changes_card(before, replace(before, **changes)) is is_shown


def test_card_is_edited_when_the_words_of_a_refusal_change():
    """The card shows them."""
    before = make_task(trouble=Trouble.REFUSED, words="no access")

    assert changes_card(before, replace(before, words="banned"))
