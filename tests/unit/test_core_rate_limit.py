"""The rate limiter of one process after the clock was set back."""

import pytest

from bot.core.clock import HOUR, SECOND
from bot.core.rate_limit import RateLimit, RateLimiter
from tests.timing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> RateLimiter:
    """One call per second; all calls are used up at a time that is an hour ahead."""
    limiter = RateLimiter(RateLimit(1, burst=1), clock)
    limiter.spend(1)
    clock.now -= HOUR
    return limiter


def test_calls_go_on_after_the_clock_was_set_back(limiter: RateLimiter, clock: FakeClock):
    """Reading the remaining calls first must not restore the old time."""
    limiter.spend(0)
    clock.now += 2 * SECOND

    assert limiter.available() == 1


def test_time_of_the_next_call_is_right_after_the_clock_was_set_back(limiter: RateLimiter, clock: FakeClock):
    assert limiter.ready_at() <= clock.now + SECOND


def test_spent_calls_still_count_after_the_clock_was_set_back(limiter: RateLimiter):
    assert limiter.available() == 0
