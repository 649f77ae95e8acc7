"""How fast the video API may be asked: the budget and the gate."""

import pytest

from bot.core.budget import RateBudget
from bot.core.clock import MINUTE, SECOND
from bot.core.trouble import ApiTrouble, TroubleKind
from bot.storage.store import Store
from bot.work.pacing import TROUBLE_FACT, ApiGate
from tests.timing import FakeClock


@pytest.fixture
def gate(store: Store, clock: FakeClock) -> ApiGate:
    return ApiGate(store.facts, clock)


async def stored(store: Store) -> ApiTrouble | None:
    text = await store.facts.get(TROUBLE_FACT)
    return ApiTrouble.from_text(text) if text else None


# -- the budget ------------------------------------------------------------------------------------


def test_budget_begins_with_a_second_worth(clock: FakeClock):
    """POLL_RATE questions at once, no more."""
    assert RateBudget(10, clock).available() == 10


def test_budget_spent_comes_back_at_the_rate(clock: FakeClock):
    """Ten per second are one per 100 ms."""
    budget = RateBudget(10, clock)
    budget.spend(10)
    assert budget.available() == 0
    clock.advance(250)

    assert budget.available() == 2


def test_budget_saves_no_more_than_a_second_worth(clock: FakeClock):
    """A quiet night is no licence for a burst."""
    budget = RateBudget(10, clock)
    clock.advance(60 * MINUTE)

    assert budget.available() == 10


def test_budget_below_one_per_second_still_gives_one(clock: FakeClock):
    """One question each four seconds."""
    budget = RateBudget(0.25, clock)
    assert budget.available() == 1
    budget.spend(1)
    clock.advance(3999)
    assert budget.available() == 0
    clock.advance(1)

    assert budget.available() == 1


@pytest.mark.parametrize("rate", [0.1, 0.3, 1, 3, 7, 10, 1000])
def test_budget_is_ready_when_it_says_so(clock: FakeClock, rate: float):
    """The loop sleeps until then; a moment earlier would be a spin."""
    budget = RateBudget(rate, clock)
    budget.spend(budget.available())
    ready_at = budget.ready_at()
    clock.now = ready_at

    assert budget.available() >= 1


def test_budget_with_something_left_is_ready_now(clock: FakeClock):
    """No waiting."""
    assert RateBudget(10, clock).ready_at() <= clock()


def test_budget_survives_a_clock_that_is_set_back(clock: FakeClock):
    """Nothing is gained or lost by that."""
    budget = RateBudget(10, clock)
    budget.spend(10)
    clock.advance(-60 * MINUTE)
    assert budget.available() == 0
    clock.advance(100)

    assert budget.available() == 1


def test_budget_over_a_minute_gives_the_rate(clock: FakeClock):
    """However often it is looked at."""
    budget = RateBudget(10, clock)
    asked = 0
    for _ in range(60_000 // 7):
        questions = budget.available()
        budget.spend(questions)
        asked += questions
        clock.advance(7)

    assert 595 <= asked <= 611


# -- the gate --------------------------------------------------------------------------------------


async def test_gate_is_open_until_there_is_trouble(gate: ApiGate):
    """Nothing to wait for."""
    assert gate.closed_until == 0


async def test_refused_key_closes_for_five_minutes(gate: ApiGate, clock: FakeClock, store: Store):
    """Kept where /veo status finds it."""
    await gate.refuse_key()

    assert gate.closed_until == clock() + 5 * MINUTE
    assert await stored(store) == ApiTrouble(TroubleKind.KEY_REFUSED, clock(), clock() + 5 * MINUTE)


@pytest.mark.parametrize(("wish", "pause"), [(None, 30_000), (0, 0), (2.5, 2_500), (600, 600_000)])
async def test_throttle_closes_for_as_long_as_the_api_wants(
    gate: ApiGate, clock: FakeClock, wish: float | None, pause: int
):
    """Half a minute when it names no time."""
    await gate.throttle(wish)

    assert gate.closed_until == clock() + pause


async def test_second_refusal_during_a_pause_is_told_once(
    gate: ApiGate, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """Many questions were on their way."""
    since = clock()
    await gate.refuse_key()
    clock.advance(SECOND)
    await gate.refuse_key()

    assert gate.trouble
    assert gate.trouble.since == since
    assert len(caplog.records) == 1


async def test_longer_wish_during_a_pause_extends_it(gate: ApiGate, clock: FakeClock, store: Store):
    """Of several 429 the longest Retry-After counts."""
    await gate.throttle(5)
    await gate.throttle(60)

    assert gate.closed_until == clock() + MINUTE
    assert await stored(store) == gate.trouble


async def test_shorter_wish_during_a_pause_does_not_shorten_it(gate: ApiGate, clock: FakeClock):
    """Of several 429 the longest Retry-After counts."""
    await gate.throttle(60)
    await gate.throttle(5)

    assert gate.closed_until == clock() + MINUTE


async def test_trouble_that_goes_on_remembers_since_when(gate: ApiGate, clock: FakeClock):
    """For people: "since 14:00"."""
    since = clock()
    await gate.refuse_key()
    clock.advance(5 * MINUTE)
    await gate.refuse_key()

    assert gate.trouble == ApiTrouble(TroubleKind.KEY_REFUSED, since, clock() + 5 * MINUTE)


async def test_other_trouble_has_a_beginning_of_its_own(gate: ApiGate, clock: FakeClock):
    """A throttle is no refused key."""
    await gate.refuse_key()
    clock.advance(6 * MINUTE)
    await gate.throttle(10)

    assert gate.trouble == ApiTrouble(TroubleKind.THROTTLED, clock(), clock() + 10 * SECOND)


async def test_answer_to_a_question_from_before_does_not_open(gate: ApiGate, clock: FakeClock):
    """It was on its way when the gate closed."""
    asked_at = clock()
    await gate.throttle(10)
    clock.advance(MINUTE)
    await gate.answered(asked_at)

    assert gate.trouble


async def test_answer_to_a_question_after_the_pause_opens(gate: ApiGate, clock: FakeClock, store: Store):
    """And the stored trouble goes."""
    await gate.throttle(10)
    clock.advance(10 * SECOND)
    await gate.answered(clock())

    assert gate.trouble is None
    assert await stored(store) is None


async def test_answer_without_trouble_changes_nothing(gate: ApiGate, clock: FakeClock):
    """The usual case."""
    await gate.answered(clock())

    assert gate.trouble is None


async def test_restart_forgets_the_trouble(gate: ApiGate, clock: FakeClock, store: Store):
    """It is what an operator does after mending the key."""
    await gate.refuse_key()
    fresh = ApiGate(store.facts, clock)
    await fresh.start()

    assert fresh.closed_until == 0
    assert await stored(store) is None


def test_budget_saves_up_no_more_than_told(clock: FakeClock):
    """Calls to Discord: a pause must not be followed by a burst."""
    budget = RateBudget(25, clock, saved=4)
    clock.advance(MINUTE)

    assert budget.available() == 4
