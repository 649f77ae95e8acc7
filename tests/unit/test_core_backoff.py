"""The delay between two polls, and the delay after a failure."""

import random

import pytest

from bot.core.backoff import MAX_POLL_DELAY, max_poll_pause, poll_delay, retry_delay
from bot.core.clock import HOUR, MINUTE, SECOND


@pytest.mark.parametrize(
    ("age", "delay"),
    [
        (-5 * SECOND, 30 * SECOND),
        (0, 30 * SECOND),
        (15 * MINUTE, 30 * SECOND),
        (30 * MINUTE, 60 * SECOND),
        (HOUR, 2 * MINUTE),
        (150 * MINUTE, 5 * MINUTE),
        (6 * HOUR, 5 * MINUTE),
    ],
)
def test_poll_delay_grows_with_the_age_of_the_task(age: int, delay: int):
    """One interval until 15 minutes of age, then in proportion to the age, up to five minutes."""
    assert poll_delay(age, 30 * SECOND) == delay


@pytest.mark.parametrize(
    ("interval", "pause"),
    [
        (SECOND, 10 * MINUTE),
        (30 * SECOND, 10 * MINUTE),
        (5 * MINUTE, 10 * MINUTE),
        (5 * MINUTE + 1, 10 * MINUTE + 2),
        (HOUR, 2 * HOUR),
    ],
)
def test_longest_pause_of_polls_is_ten_minutes_or_two_intervals(interval: int, pause: int):
    """A task that is due further ahead counts as due now, so no delay may be longer."""
    assert max_poll_pause(interval) == pause
    assert max(poll_delay(100 * HOUR, interval), retry_delay(99, base=interval, cap=interval)) <= pause


@pytest.mark.parametrize("interval", [SECOND, 30 * SECOND, 5 * MINUTE, 20 * MINUTE])
@pytest.mark.parametrize("age", [0, 10 * MINUTE, HOUR, 100 * HOUR])
def test_poll_delay_is_never_below_the_interval(interval: int, age: int):
    """Also when POLL_INTERVAL is longer than the longest poll delay."""
    assert interval <= poll_delay(age, interval) <= max(interval, MAX_POLL_DELAY)


@pytest.mark.parametrize(
    ("attempt", "base"), [(0, 5), (1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (30, 600), (10_000, 600)]
)
@pytest.mark.parametrize("seed", range(5))
def test_retry_delay_doubles_up_to_ten_minutes(attempt: int, base: int, seed: int):
    """From 5 s to 10 min, plus at most a quarter."""
    delay = retry_delay(attempt, rng=random.Random(seed))

    assert base * SECOND <= delay <= base * SECOND * 1.25


def test_retry_delay_is_random():
    """A hundred tasks that fail together must not be retried together."""
    delays = {retry_delay(3) for _ in range(100)}

    assert len(delays) > 50


@pytest.mark.parametrize(("retry_after", "least"), [(None, 5_000), (0, 5_000), (1.0, 5_000), (90.5, 90_500)])
def test_retry_delay_is_never_shorter_than_retry_after(retry_after: float | None, least: int):
    """A short Retry-After does not shorten our own delay."""
    delay = retry_delay(1, retry_after=retry_after, rng=random.Random(1))

    assert least <= delay <= max(least, 6_250)
