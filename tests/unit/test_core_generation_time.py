"""How long the API took for a video, and how long it usually takes."""

import pytest

from bot.core.clock import DAY, SECOND
from bot.core.generation_time import UsualTime, generation_time, usual_time
from tests.factories import NOW

INTERVAL = 30 * SECOND


@pytest.mark.parametrize("count", [0, 1, 9])
def test_fewer_than_ten_videos_say_nothing_of_what_is_usual(count: int):
    """One slow video would decide."""
    assert usual_time([SECOND] * count) is None


def test_usual_time_leaves_out_the_fastest_and_the_slowest_tenth():
    """In any order; one video that waited for hours changes nothing that people read."""
    times = [*range(100 * SECOND, 200 * SECOND, 10 * SECOND), 9_000 * SECOND]

    usual = usual_time(times[::-1])

    assert usual == UsualTime(low=110 * SECOND, high=190 * SECOND, count=11)


def test_usual_time_of_equal_times_is_that_time():
    """Whole milliseconds."""
    assert usual_time([SECOND] * 50) == UsualTime(SECOND, SECOND, 50)


@pytest.mark.parametrize("pause", [0, 2 * INTERVAL])
def test_generation_time_is_from_the_creation_to_the_poll_that_found_the_end(pause: int):
    """Known to an interval or two, because the task was still waiting so shortly before."""
    took = generation_time(NOW - 90 * SECOND, last_waiting_at=NOW - pause, ended_at=NOW, interval=INTERVAL)

    assert took == 90 * SECOND


@pytest.mark.parametrize(
    ("created", "last_waiting_at"),
    [
        (None, NOW - INTERVAL),
        (NOW - 90 * SECOND, None),
        (NOW - 90 * SECOND, NOW - 2 * INTERVAL - 1),
        (NOW - 90 * SECOND, NOW + 1),
        (NOW, NOW - INTERVAL),
        (NOW + SECOND, NOW - INTERVAL),
        (NOW - DAY, NOW - INTERVAL),
    ],
    ids=[
        "no creation",
        "ended when first polled",
        "not polled for long",
        "our clock was put back",
        "created at the end",
        "created after the end",
        "a day",
    ],
)
def test_generation_time_is_not_guessed(created: int | None, last_waiting_at: int | None):
    """A wrong number would stand on everybody's cards."""
    took = generation_time(created, last_waiting_at=last_waiting_at, ended_at=NOW, interval=INTERVAL)

    assert took is None
