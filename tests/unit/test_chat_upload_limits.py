"""What fits by boost level, and what a refusal teaches, for how long, and about which guild."""

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
def test_fits_by_boost_level_up_to_the_last_byte(boost_level: int, mib: int):
    """20 MiB for everybody, 50 and 100 for boosted servers; an unknown level is no promise."""
    limits = UploadLimits()

    assert limits.fits(1, boost_level, mib * MIB)
    assert not limits.fits(1, boost_level, mib * MIB + 1)


def test_fits_after_a_refusal_is_below_the_refused_size():
    """What was refused is not tried again; anything smaller is."""
    limits = UploadLimits()
    limits.refuse(1, 10 * MIB)

    assert not limits.fits(1, 0, 10 * MIB)
    assert limits.fits(1, 0, 10 * MIB - 1)


def test_fits_after_a_refusal_elsewhere_is_unchanged():
    """Limits belong to a guild."""
    limits = UploadLimits()
    limits.refuse(1, 10 * MIB)

    assert limits.fits(2, 0, 20 * MIB)


@pytest.mark.parametrize("sizes", [(10, 15), (15, 10)])
def test_fits_after_two_refusals_is_below_the_smaller(sizes: tuple[int, int]):
    """The order does not matter."""
    limits = UploadLimits()
    for size in sizes:
        limits.refuse(1, size * MIB)

    assert not limits.fits(1, 0, 10 * MIB)
    assert limits.fits(1, 0, 10 * MIB - 1)


@pytest.mark.parametrize(("hours", "forgotten"), [(5.99, False), (6.01, True)])
def test_refusal_after_six_hours_is_forgotten(hours: float, forgotten: bool):
    """Discord raises limits, too."""
    seconds = Seconds()
    limits = UploadLimits(seconds)
    limits.refuse(1, 10 * MIB)

    seconds.now += hours * HOUR

    assert limits.fits(1, 0, 15 * MIB) == forgotten


def test_refusal_after_a_forgotten_one_starts_anew():
    """The old, smaller size is not brought back by a new refusal."""
    seconds = Seconds()
    limits = UploadLimits(seconds)
    limits.refuse(1, 10 * MIB)
    seconds.now += 7 * HOUR

    limits.refuse(1, 18 * MIB)

    assert limits.fits(1, 0, 15 * MIB)
    assert not limits.fits(1, 0, 18 * MIB)
