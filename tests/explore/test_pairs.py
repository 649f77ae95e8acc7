"""Two things that go wrong, in a seeded order, as far as some seconds reach."""

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.explore.explorer import explorer

_SECONDS = float(os.environ.get("EXPLORE_SECONDS", "15"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_pairs_of_steps(seed: int, record_property: Callable[[str, object], None]) -> None:
    began = time.monotonic()
    with explorer() as exploring:
        chance = random.Random(seed)
        while time.monotonic() - began < _SECONDS and not exploring.found.failures:
            exploring.run(exploring.pair(chance))
        failures = [exploring.shortest(failure) for failure in list(exploring.found.failures)]

    record_property("pairs", exploring.found.schedules)
    assert [failure.report() for failure in failures] == []
