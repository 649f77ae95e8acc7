"""How much fits by boost level, and what a refusal teaches, for how long, and about which guild."""

import pytest

from bot.chat.upload_limits import UploadLimits

MIB = 1024**2
HOUR = 3600.0


class Seconds:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("boost_level", "mib"), [(0, 20), (1, 20), (2, 50), (3, 100), (4, 20)])
def test_limit_by_boost_level(boost_level: int, mib: int):
    """20 MiB for everybody, 50 and 100 for boosted servers; an unknown level is no promise."""
    limits = UploadLimits()

    assert limits.limit(1, boost_level) == mib * MIB


@pytest.mark.parametrize(("refused", "left"), [(40, 25), (20, 10), (15, 10), (10, 8), (8, 4), (1, 0.5)])
def test_limit_after_a_refusal_is_the_next_that_discord_is_known_for(refused: int, left: float):
    """Discord does not say what its limit is; a video made to fit must fit at the first try."""
    limits = UploadLimits()
    limits.refuse(1, refused * MIB)

    assert limits.limit(1, 2) == left * MIB


def test_limit_after_a_refusal_above_it_is_unchanged():
    """A server that lost its boosts."""
    limits = UploadLimits()
    limits.refuse(1, 40 * MIB)

    assert limits.limit(1, 0) == 20 * MIB


def test_limit_after_a_refusal_elsewhere_is_unchanged():
    """Limits belong to a guild."""
    limits = UploadLimits()
    limits.refuse(1, 10 * MIB)

    assert limits.limit(2, 0) == 20 * MIB


@pytest.mark.parametrize("sizes", [(10, 15), (15, 10)])
def test_limit_after_two_refusals_is_below_the_smaller(sizes: tuple[int, int]):
    """The order does not matter."""
    limits = UploadLimits()
    for size in sizes:
        limits.refuse(1, size * MIB)

    assert limits.limit(1, 0) == 8 * MIB


@pytest.mark.parametrize(("hours", "forgotten"), [(5.99, False), (6.01, True)])
def test_refusal_after_six_hours_is_forgotten(hours: float, forgotten: bool):
    """Discord raises limits, too."""
    seconds = Seconds()
    limits = UploadLimits(seconds)
    limits.refuse(1, 10 * MIB)

    seconds.now += hours * HOUR

    assert limits.limit(1, 0) == (20 if forgotten else 8) * MIB


def test_refusal_after_a_forgotten_one_starts_anew():
    """The old, smaller size is not brought back by a new refusal."""
    seconds = Seconds()
    limits = UploadLimits(seconds)
    limits.refuse(1, 10 * MIB)
    seconds.now += 7 * HOUR

    limits.refuse(1, 18 * MIB)

    assert limits.limit(1, 0) == 10 * MIB
