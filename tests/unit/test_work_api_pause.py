"""How fast the video API is polled: the rate limit and the API pause."""

import pytest

from bot.core.clock import MINUTE, SECOND
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.verdicts import PauseReason, PauseState
from bot.storage.store import Store
from bot.work.api_pause import API_PAUSE_KEY, ApiPause
from tests.timing import FakeClock


@pytest.fixture
def pause(store: Store, clock: FakeClock) -> ApiPause:
    return ApiPause(store.key_values, clock)


def limiter_of(rate: float, clock: FakeClock) -> RateLimiter:
    """At most one second's worth at once, as for the video API."""
    return RateLimiter(RateLimit(rate, burst=rate), clock)


async def stored(store: Store) -> PauseState | None:
    text = await store.key_values.get(API_PAUSE_KEY)
    return PauseState.from_text(text) if text else None


# -- the rate limit --------------------------------------------------------------------------------


def test_limiter_begins_with_one_second_worth(clock: FakeClock):
    """POLL_RATE polls at once, no more."""
    assert limiter_of(10, clock).available() == 10


def test_spent_calls_come_back_at_the_rate(clock: FakeClock):
    """Ten per second are one per 100 ms."""
    limiter = limiter_of(10, clock)
    limiter.spend(10)
    assert limiter.available() == 0
    clock.advance(250)

    assert limiter.available() == 2


def test_limiter_allows_no_more_than_one_second_worth_at_once(clock: FakeClock):
    """Also after a quiet night."""
    limiter = limiter_of(10, clock)
    clock.advance(60 * MINUTE)

    assert limiter.available() == 10


def test_rate_below_one_per_second_still_allows_one(clock: FakeClock):
    """One poll every four seconds."""
    limiter = limiter_of(0.25, clock)
    assert limiter.available() == 1
    limiter.spend(1)
    clock.advance(3999)
    assert limiter.available() == 0
    clock.advance(1)

    assert limiter.available() == 1


@pytest.mark.parametrize("rate", [0.1, 0.3, 1, 3, 7, 10, 1000])
def test_limiter_is_ready_when_it_says_so(clock: FakeClock, rate: float):
    """The loop sleeps until then; a moment earlier would be a spin."""
    limiter = limiter_of(rate, clock)
    limiter.spend(limiter.available())
    ready_at = limiter.ready_at()
    clock.now = ready_at

    assert limiter.available() >= 1


def test_limiter_with_calls_left_is_ready_now(clock: FakeClock):
    """No waiting."""
    assert limiter_of(10, clock).ready_at() <= clock()


def test_limiter_survives_a_clock_that_is_set_back(clock: FakeClock):
    """Nothing is gained or lost by that."""
    limiter = limiter_of(10, clock)
    limiter.spend(10)
    clock.advance(-60 * MINUTE)
    assert limiter.available() == 0
    clock.advance(100)

    assert limiter.available() == 1


def test_limiter_allows_the_rate_over_a_minute(clock: FakeClock):
    """However often it is looked at."""
    limiter = limiter_of(10, clock)
    polls = 0
    for _ in range(60_000 // 7):
        allowed = limiter.available()
        limiter.spend(allowed)
        polls += allowed
        clock.advance(7)

    assert 595 <= polls <= 611


def test_limiter_allows_no_more_than_its_burst_at_once(clock: FakeClock):
    """Calls to Discord: a pause must not be followed by a burst."""
    limiter = RateLimiter(RateLimit(25, burst=4), clock)
    clock.advance(MINUTE)

    assert limiter.available() == 4


# -- the pause --------------------------------------------------------------------------------------


async def test_there_is_no_pause_at_first(pause: ApiPause):
    """Nothing to wait for."""
    assert pause.ends_at == 0


async def test_refused_key_pauses_for_five_minutes(pause: ApiPause, clock: FakeClock, store: Store):
    """Kept where /veo status finds it."""
    await pause.pause_for_key()

    assert pause.ends_at == clock() + 5 * MINUTE
    assert await stored(store) == PauseState(PauseReason.KEY_REFUSED, clock(), clock() + 5 * MINUTE)


@pytest.mark.parametrize(("wish", "length"), [(None, 30_000), (0, 0), (2.5, 2_500), (600, 600_000)])
async def test_throttle_pauses_for_as_long_as_the_api_wants(
    pause: ApiPause, clock: FakeClock, wish: float | None, length: int
):
    """Half a minute when it names no time."""
    await pause.throttle(wish)

    assert pause.ends_at == clock() + length


async def test_second_refusal_during_a_pause_is_not_logged_again(
    pause: ApiPause, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """Many polls were in flight."""
    since = clock()
    await pause.pause_for_key()
    clock.advance(SECOND)
    await pause.pause_for_key()

    assert pause.state
    assert pause.state.since == since
    assert len(caplog.records) == 1


async def test_longer_wish_during_a_pause_extends_it(pause: ApiPause, clock: FakeClock, store: Store):
    """Of several 429 the longest Retry-After counts."""
    await pause.throttle(5)
    await pause.throttle(60)

    assert pause.ends_at == clock() + MINUTE
    assert await stored(store) == pause.state


async def test_shorter_wish_during_a_pause_does_not_shorten_it(pause: ApiPause, clock: FakeClock):
    """Of several 429 the longest Retry-After counts."""
    await pause.throttle(60)
    await pause.throttle(5)

    assert pause.ends_at == clock() + MINUTE


async def test_pause_that_goes_on_remembers_since_when(pause: ApiPause, clock: FakeClock):
    """For people: "since 14:00"."""
    since = clock()
    await pause.pause_for_key()
    clock.advance(5 * MINUTE)
    await pause.pause_for_key()

    assert pause.state == PauseState(PauseReason.KEY_REFUSED, since, clock() + 5 * MINUTE)


async def test_pause_for_another_reason_has_its_own_beginning(pause: ApiPause, clock: FakeClock):
    """A throttle is no refused key."""
    await pause.pause_for_key()
    clock.advance(6 * MINUTE)
    await pause.throttle(10)

    assert pause.state == PauseState(PauseReason.THROTTLED, clock(), clock() + 10 * SECOND)


async def test_answer_to_a_poll_from_before_does_not_end_the_pause(pause: ApiPause, clock: FakeClock):
    """It was in flight when the pause began."""
    polled_at = clock()
    await pause.throttle(10)
    clock.advance(MINUTE)
    await pause.end_if_answered(polled_at)

    assert pause.state


async def test_answer_to_a_poll_after_the_pause_ends_it(pause: ApiPause, clock: FakeClock, store: Store):
    """And removes what was stored."""
    await pause.throttle(10)
    clock.advance(10 * SECOND)
    await pause.end_if_answered(clock())

    assert pause.state is None
    assert await stored(store) is None


async def test_answer_without_a_pause_changes_nothing(pause: ApiPause, clock: FakeClock):
    """The usual case."""
    await pause.end_if_answered(clock())

    assert pause.state is None


async def test_restart_ends_the_pause(pause: ApiPause, clock: FakeClock, store: Store):
    """It is what an operator does after mending the key."""
    await pause.pause_for_key()
    fresh = ApiPause(store.key_values, clock)
    await fresh.start()

    assert fresh.ends_at == 0
    assert await stored(store) is None
