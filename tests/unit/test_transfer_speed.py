"""The minimum speed of a download, over any time window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.veo.body import LeastSpeed

SPEED, WINDOW = 16 * 1024, 60.0
NEEDED = SPEED * WINDOW
STEP = WINDOW / 60


def test_download_without_any_byte_ends_after_one_window():
    """The first window begins with the body."""
    assert LeastSpeed(SPEED, WINDOW).deadline == WINDOW


def test_byte_a_second_ends_after_one_window():
    speed = LeastSpeed(SPEED, WINDOW)
    for second in range(60):
        speed.add(1, second)
    assert speed.deadline == WINDOW


def test_burst_does_not_pay_for_a_second_window():
    """100 MiB in the first second do not allow a slow second minute."""
    speed = LeastSpeed(SPEED, WINDOW)
    speed.add(100 << 20, 1)
    assert speed.deadline == pytest.approx(WINDOW + 1)
    for second in range(2, 60):
        speed.add(1, second)
    assert speed.deadline == pytest.approx(WINDOW + 1)


def test_exactly_the_minimum_speed_goes_on():
    """For an hour."""
    speed = LeastSpeed(SPEED, WINDOW)
    for second in range(1, 3600):
        assert second <= speed.deadline
        speed.add(SPEED, second)


def test_number_of_stored_marks_is_bounded():
    """For pieces of any size."""
    speed = LeastSpeed(SPEED, WINDOW)
    for piece in range(100_000):
        speed.add(20, piece / 1000)
    assert len(speed._marks) < 70


@given(st.lists(st.tuples(st.floats(0.001, 20), st.integers(1, 200_000)), max_size=60))
def test_deadline_matches_the_plain_definition(pieces: list[tuple[float, int]]):
    """To the precision of one step, in the host's favour."""
    speed, now = LeastSpeed(SPEED, WINDOW), 0.0
    came: list[tuple[float, int]] = []
    for gap, size in pieces:
        now += gap
        if now > speed.deadline:
            break
        speed.add(size, now)
        came.append((now, size))

    def in_window(end: float) -> int:
        return sum(size for at, size in came if end - WINDOW < at <= end)

    assert speed.deadline >= WINDOW
    if speed.deadline > WINDOW:
        # Just before the deadline's step the window held enough bytes; a step after it, too few.
        assert in_window(speed.deadline - STEP - 0.001) >= NEEDED
    assert in_window(speed.deadline + 0.001) < NEEDED
