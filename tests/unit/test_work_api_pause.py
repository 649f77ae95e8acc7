"""How fast the video API is polled: the rate limit and the API pause."""

import pytest

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.tasks import Doubt
from bot.storage.store import Store
from bot.work.api_pause import ApiPause
from tests.conftest import INTERVAL
from tests.factories import ask_about, make_task, make_waiting, track
from tests.timing import FakeClock


class Counter:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


@pytest.fixture
def shown() -> Counter:
    """Counts how often the cards had to show or remove the pause."""
    return Counter()


@pytest.fixture
def pause(store: Store, clock: FakeClock, shown: Counter) -> ApiPause:
    return ApiPause(store.key_values, store.tasks, clock, interval=INTERVAL, on_cards=shown)


async def refuse(pause: ApiPause, clock: FakeClock, *ids: str) -> None:
    """A poll about each of these ids is answered with 401, in this order."""
    for task_id in ids:
        await pause.refuse_key(make_task(id=task_id), clock())


def limiter_of(rate: float, clock: FakeClock) -> RateLimiter:
    """Allows at most one second's worth of calls at once, as for the video API."""
    return RateLimiter(RateLimit(rate, burst=rate), clock)


async def stored(store: Store) -> PauseState | None:
    text = await store.key_values.get(API_PAUSE_KEY)
    return PauseState.from_text(text) if text else None


# -- the rate limit --------------------------------------------------------------------------------


def test_limiter_starts_with_the_calls_of_one_second(clock: FakeClock):
    """POLL_RATE polls at once, and no more."""
    assert limiter_of(10, clock).available() == 10


def test_calls_are_refilled_at_the_rate(clock: FakeClock):
    """Ten per second are one per 100 ms."""
    limiter = limiter_of(10, clock)
    limiter.spend(10)
    assert limiter.available() == 0
    clock.advance(250)

    assert limiter.available() == 2


def test_limiter_allows_at_most_the_calls_of_one_second_at_once(clock: FakeClock):
    """Also after hours without calls."""
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
def test_limiter_allows_a_call_at_the_time_it_named(clock: FakeClock, rate: float):
    """The loop sleeps until then; waking earlier would be a busy loop."""
    limiter = limiter_of(rate, clock)
    limiter.spend(limiter.available())
    ready_at = limiter.ready_at()
    clock.now = ready_at

    assert limiter.available() >= 1


def test_limiter_with_calls_left_is_ready_now(clock: FakeClock):
    assert limiter_of(10, clock).ready_at() <= clock()


def test_limiter_goes_on_after_the_clock_was_set_back(clock: FakeClock):
    """No calls are gained or lost."""
    limiter = limiter_of(10, clock)
    limiter.spend(10)
    clock.advance(-60 * MINUTE)
    assert limiter.available() == 0
    clock.advance(100)

    assert limiter.available() == 1


def test_limiter_allows_the_rate_over_a_minute(clock: FakeClock):
    """However often it is called."""
    limiter = limiter_of(10, clock)
    polls = 0
    for _ in range(60_000 // 7):
        allowed = limiter.available()
        limiter.spend(allowed)
        polls += allowed
        clock.advance(7)

    assert 595 <= polls <= 611


def test_limiter_allows_at_most_its_burst_at_once(clock: FakeClock):
    """For calls to Discord: a pause must not be followed by a burst."""
    limiter = RateLimiter(RateLimit(25, burst=4), clock)
    clock.advance(MINUTE)

    assert limiter.available() == 4


# -- the pause --------------------------------------------------------------------------------------


async def test_there_is_no_pause_at_first(pause: ApiPause, clock: FakeClock):
    assert pause.ends_at(clock()) == 0


async def test_key_refused_for_two_ids_pauses_for_an_interval(
    pause: ApiPause, clock: FakeClock, store: Store
):
    """Stored where /veo status reads it."""
    await track(store, clock, "t1", "t2")
    await refuse(pause, clock, "t1")
    assert await stored(store) is None
    await refuse(pause, clock, "t2")

    assert pause.ends_at(clock()) == clock() + INTERVAL
    assert await stored(store) == PauseState(PauseReason.KEY_REFUSED, clock(), clock() + INTERVAL)


async def test_key_refused_repeatedly_for_one_id_does_not_pause(
    pause: ApiPause, clock: FakeClock, store: Store
):
    """Nothing shows that the key is refused for the other task."""
    await track(store, clock, "t1", "t2")
    await refuse(pause, clock, "t1", "t1", "t1")

    assert await stored(store) is None


async def test_key_refused_for_an_id_that_was_refused_before_does_not_pause(
    pause: ApiPause, clock: FakeClock, store: Store
):
    """The refusal concerns only that id until it is answered again."""
    await track(store, clock, "t1", "t2", "t3")
    await pause.refuse_key(make_task(id="t1", doubt=Doubt.REFUSED), clock())
    await pause.refuse_key(make_task(id="t2", doubt=Doubt.REFUSED), clock())

    assert await stored(store) is None


async def test_key_refused_for_the_only_id_pauses(pause: ApiPause, clock: FakeClock, store: Store):
    """There is no other id to compare with, except refused ones."""
    await track(store, clock, "t1", "t2")
    await ask_about(store, clock, make_waiting(id="t2", doubt=Doubt.REFUSED), task_id="t2")
    await refuse(pause, clock, "t1")

    assert pause.ends_at(clock()) == clock() + INTERVAL


async def test_accepted_poll_between_two_refusals_prevents_the_pause(
    pause: ApiPause, clock: FakeClock, store: Store
):
    """It shows that the key is right."""
    await track(store, clock, "t1", "t2", "t3")
    await refuse(pause, clock, "t1")
    await pause.accept("ok")
    await refuse(pause, clock, "t2")

    assert await stored(store) is None


async def test_second_refusal_during_a_pause_is_not_logged_again(
    pause: ApiPause, clock: FakeClock, store: Store, caplog: pytest.LogCaptureFixture
):
    """Refusals of polls in flight neither extend the pause nor fill the log."""
    await track(store, clock, "t1", "t2")
    polled_at = clock()
    await refuse(pause, clock, "t1", "t2")
    began = await stored(store)
    clock.advance(SECOND)
    await pause.refuse_key(make_task(id="t3"), polled_at)

    assert await stored(store) == began
    assert len(caplog.records) == 1


async def test_pause_that_goes_on_doubles_to_five_minutes_and_keeps_its_start(
    pause: ApiPause, clock: FakeClock, store: Store
):
    """Users read "since 14:00"."""
    await track(store, clock, "t1", "t2")
    since = clock()
    await refuse(pause, clock, "t1", "t2")
    lengths = []
    for _ in range(7):
        lengths.append((pause.ends_at(clock()) - clock()) // SECOND)
        clock.now = pause.ends_at(clock())
        await refuse(pause, clock, "t1")

    assert lengths == [30, 60, 120, 240, 300, 300, 300]
    state = await stored(store)
    assert state
    assert state.since == since


async def test_longest_pause_of_a_longer_interval_is_that_interval(store: Store, clock: FakeClock):
    """With POLL_INTERVAL of an hour the API is not polled more often either."""
    pause = ApiPause(store.key_values, store.tasks, clock, interval=HOUR, on_cards=Counter())
    await refuse(pause, clock, "t1", "t2")
    clock.now = pause.ends_at(clock())
    await refuse(pause, clock, "t1")

    assert pause.ends_at(clock()) == clock() + HOUR


@pytest.mark.parametrize(
    ("wish", "length"),
    [(None, INTERVAL), (0, INTERVAL), (2.5, INTERVAL), (45, 45 * SECOND), (600, 600_000), (1e9, 600_000)],
)
async def test_two_throttled_ids_pause_for_retry_after(
    pause: ApiPause, clock: FakeClock, store: Store, wish: float | None, length: int
):
    """At least an interval, at most ten minutes."""
    await pause.throttle("t1", clock(), wish)
    assert await stored(store) is None
    await pause.throttle("t2", clock(), wish)

    assert pause.ends_at(clock()) == clock() + length
    assert await stored(store) == PauseState(PauseReason.THROTTLED, clock(), clock() + length)


async def test_one_throttled_id_does_not_pause(pause: ApiPause, clock: FakeClock, store: Store):
    """Only that id waits."""
    for _ in range(3):
        await pause.throttle("t1", clock(), 60)

    assert await stored(store) is None


async def test_pause_for_another_reason_starts_anew(pause: ApiPause, clock: FakeClock, store: Store):
    """Throttling and a refused key are different reasons."""
    await refuse(pause, clock, "t1", "t2")
    clock.advance(6 * MINUTE)
    await pause.throttle("t1", clock(), 60)

    assert await stored(store) == PauseState(PauseReason.THROTTLED, clock(), clock() + MINUTE)


async def test_end_further_ahead_than_any_pause_is_ignored(pause: ApiPause, clock: FakeClock):
    """A wrong clock set it."""
    await refuse(pause, clock, "t1", "t2")
    ahead = pause.ends_at(clock())

    assert pause.ends_at(ahead - 10 * MINUTE) == ahead
    assert pause.ends_at(ahead - 10 * MINUTE - 1) == 0


async def test_accepted_poll_ends_the_pause(pause: ApiPause, clock: FakeClock, store: Store, shown: Counter):
    """The stored pause is removed. No card had shown it, so none is edited. The next pause is short."""
    await refuse(pause, clock, "t1", "t2")
    for _ in range(3):
        clock.now = pause.ends_at(clock())
        await refuse(pause, clock, "t1")
    await pause.accept("ok")
    assert (await stored(store), pause.ends_at(clock()), shown.calls) == (None, 0, 0)

    await refuse(pause, clock, "t1", "t2")

    assert pause.ends_at(clock()) == clock() + INTERVAL


async def test_accepted_poll_without_a_pause_changes_nothing(pause: ApiPause, clock: FakeClock, store: Store):
    await pause.accept("ok")

    assert (await stored(store), pause.ends_at(clock())) == (None, 0)


async def test_pause_is_shown_on_the_cards_after_ten_intervals_and_until_its_end(
    pause: ApiPause, clock: FakeClock, store: Store, shown: Counter
):
    """Every card of a waiting task is edited at both times."""
    registered = await track(store, clock)
    assert registered.card
    await store.cards.set_message(registered.card.card.id, 900, now=0)
    await refuse(pause, clock, "t1", "t2")
    clock.advance(10 * INTERVAL - 1)
    await pause.show_if_long(clock())
    assert (shown.calls, await store.cards.next_due()) == (0, None)
    clock.advance(1)
    await pause.show_if_long(clock())
    await pause.show_if_long(clock())

    assert shown.calls == 1
    claim = await store.cards.claim(1, clock())
    (view,) = claim.work
    assert view.pause == pause.state
    assert view.pause
    assert view.pause.is_shown
    await store.cards.mark_edited(view.card, claim.lease, clock())
    await pause.accept("ok")
    assert shown.calls == 2
    assert (await store.cards.claim(1, clock())).work[0].pause is None


async def test_restart_ends_the_pause(pause: ApiPause, clock: FakeClock, store: Store, shown: Counter):
    """Operators restart after correcting the key. The cards stop showing the pause."""
    await refuse(pause, clock, "t1", "t2")
    fresh = ApiPause(store.key_values, store.tasks, clock, interval=INTERVAL, on_cards=shown)
    await fresh.start()

    assert fresh.ends_at(clock()) == 0
    assert await stored(store) is None
    assert shown.calls == 1


def test_pause_that_version_0_1_0_stored_is_read():
    """It has the field `kind`, and no field about cards."""
    text = '{"kind": "key refused", "since": 5, "until": 9}'

    assert PauseState.from_text(text) == PauseState(PauseReason.KEY_REFUSED, 5, 9, is_shown=False)


def test_stored_pause_is_read_as_it_was():
    state = PauseState(PauseReason.THROTTLED, 5, 9, is_shown=True)

    assert PauseState.from_text(state.to_text()) == state
