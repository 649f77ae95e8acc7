"""What an answer of the video API, or its silence, means for a task."""

import pytest

from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.errors import VideoApiUnavailable
from bot.core.tasks import TaskState
from bot.core.verdicts import (
    Answer,
    Completed,
    Doubt,
    Doubtful,
    Failed,
    Final,
    PollRules,
    StillWaiting,
    Waiting,
    judge,
    judge_silence,
)
from tests.factories import NOW, URL, make_task

RULES = PollRules(interval=30 * SECOND, deadline=6 * HOUR)
UNKNOWN, NO_VIDEO = Doubtful(Doubt.UNKNOWN_ID), Doubtful(Doubt.NO_VIDEO)
SILENCE = VideoApiUnavailable("502")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Completed(URL), Final(TaskState.COMPLETED, video_url=URL)),
        (Completed(URL, 8.0), Final(TaskState.COMPLETED, video_url=URL, seconds=8.0)),
        (Failed("nudity"), Final(TaskState.FAILED, reason="nudity")),
        (Waiting("queued"), StillWaiting("queued", NOW + 30 * SECOND)),
    ],
)
def test_plain_answer_is_believed(answer: Answer, verdict):
    """The API's answer decides, at once."""
    assert judge(make_task(attempt=3, doubts=1), answer, NOW, RULES) == verdict


def test_waiting_task_is_polled_more_rarely_when_it_is_old():
    """After an hour, every two minutes."""
    assert judge(make_task(), Waiting("queued"), NOW + HOUR, RULES) == StillWaiting(
        "queued", NOW + HOUR + 2 * MINUTE
    )


@pytest.mark.parametrize("answer", [Completed(URL), Failed("nudity")])
def test_result_after_the_deadline_still_counts(answer: Answer):
    """A late video is better than none."""
    verdict = judge(make_task(), answer, NOW + 7 * HOUR, RULES)

    assert isinstance(verdict, Final)
    assert verdict.state is not TaskState.LOST


@pytest.mark.parametrize(("late", "final"), [(0, False), (1, True)])
def test_waiting_at_the_deadline_is_lost_one_millisecond_later(late: int, final: bool):
    """TASK_DEADLINE is the last moment at which a task may be unfinished."""
    verdict = judge(make_task(), Waiting("queued"), NOW + RULES.deadline + late, RULES)

    assert isinstance(verdict, Final) is final


@pytest.mark.parametrize(("late", "final"), [(0, False), (1, True)])
def test_silence_at_the_deadline_is_lost_one_millisecond_later(late: int, final: bool):
    """An API that is down for hours does not keep a task for ever."""
    verdict = judge_silence(make_task(), SILENCE, NOW + RULES.deadline + late, RULES)

    assert isinstance(verdict, Final) is final


@pytest.mark.parametrize(
    ("deadline", "words"),
    [
        (6 * HOUR, "6 hours"),
        (90 * MINUTE, "1.5 hours"),
        (20 * MINUTE, "20 minutes"),
        (5 * SECOND, "5 seconds"),
    ],
)
def test_lost_task_says_how_long_was_waited(deadline: int, words: str):
    """The person who asked reads it."""
    verdict = judge(make_task(), Waiting("queued"), NOW + 7 * HOUR, PollRules(1, deadline))

    assert verdict == Final(TaskState.LOST, reason=f"No result within {words}; the API still says “queued”.")


@pytest.mark.parametrize(
    ("doubts", "api_status", "answer", "ends"),
    [
        (0, None, UNKNOWN, False),
        (1, None, UNKNOWN, True),
        (1, "unknown id", UNKNOWN, True),
        (3, "queued", UNKNOWN, False),
        (4, "queued", UNKNOWN, True),
        (3, None, NO_VIDEO, False),
        (4, None, NO_VIDEO, True),
        (3, "processing", NO_VIDEO, False),
        (4, "processing", NO_VIDEO, True),
    ],
)
def test_doubt_ends_a_task_only_after_enough_of_them(
    doubts: int, api_status: str | None, answer: Answer, ends: bool
):
    """A stranger's id is doubted twice, a known one's five times, a missing video five times."""
    verdict = judge(make_task(doubts=doubts, api_status=api_status), answer, NOW, RULES)

    assert isinstance(verdict, Final) is ends


@pytest.mark.parametrize(
    ("api_status", "answer", "state", "part"),
    [
        ("queued", UNKNOWN, TaskState.LOST, "no longer knows"),
        (None, UNKNOWN, TaskState.LOST, "Is it complete?"),
        ("unknown id", UNKNOWN, TaskState.LOST, "Is it complete?"),
        ("queued", NO_VIDEO, TaskState.FAILED, "gives no video"),
    ],
)
def test_confirmed_doubt_says_what_happened(
    api_status: str | None, answer: Answer, state: TaskState, part: str
):
    """A typing mistake and a forgotten task are told apart."""
    verdict = judge(make_task(doubts=4, api_status=api_status), answer, NOW, RULES)

    assert isinstance(verdict, Final)
    assert verdict.state is state
    assert part in (verdict.reason or "")


@pytest.mark.parametrize(
    ("api_status", "answer", "shown"),
    [
        (None, UNKNOWN, "unknown id"),
        (None, NO_VIDEO, "completed, but without a video"),
        ("queued", UNKNOWN, None),
        ("processing", NO_VIDEO, None),
    ],
)
def test_doubt_keeps_the_status_of_a_known_task(api_status: str | None, answer: Answer, shown: str | None):
    """So it stays known, and its card does not flicker; a stranger's card shows the doubt."""
    verdict = judge(make_task(api_status=api_status), answer, NOW, RULES)

    assert verdict == StillWaiting(shown, NOW + RULES.interval, doubts=1)


def test_waiting_answer_forgets_the_doubts():
    """They count in a row."""
    assert judge(make_task(doubts=4, api_status="queued"), Waiting("queued"), NOW, RULES) == StillWaiting(
        "queued", NOW + RULES.interval, attempt=0, doubts=0
    )


def test_silence_keeps_status_and_doubts_and_counts_an_attempt():
    """Nothing was learnt about the task."""
    verdict = judge_silence(make_task(attempt=1, doubts=1, api_status="queued"), SILENCE, NOW, RULES)

    assert isinstance(verdict, StillWaiting)
    assert (verdict.api_status, verdict.attempt, verdict.doubts) == (None, 2, 1)


@pytest.mark.parametrize(("attempt", "least"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (50, 300)])
def test_silence_waits_longer_each_time(attempt: int, least: int):
    """From the interval to five minutes, and a quarter more at most."""
    verdict = judge_silence(make_task(attempt=attempt), SILENCE, NOW, RULES)

    assert isinstance(verdict, StillWaiting)
    assert least * SECOND <= verdict.due_at - NOW <= least * SECOND * 1.25


def test_silence_with_a_hint_waits_at_least_that_long():
    """A 503 may name a time."""
    verdict = judge_silence(make_task(), VideoApiUnavailable("503", retry_after=1000), NOW, RULES)

    assert isinstance(verdict, StillWaiting)
    assert verdict.due_at >= NOW + 1000 * SECOND


def test_silence_with_a_long_interval_is_not_hurried():
    """POLL_INTERVAL may be longer than the slowest poll."""
    verdict = judge_silence(make_task(attempt=9), SILENCE, NOW, PollRules(20 * MINUTE, 6 * HOUR))

    assert isinstance(verdict, StillWaiting)
    assert verdict.due_at >= NOW + 20 * MINUTE
