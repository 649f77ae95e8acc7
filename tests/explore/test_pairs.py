"""Two things that go wrong, in a seeded order, as far as some seconds reach."""

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.explore.explorer import explorer
from tests.explore.scenarios import ALL_SCENARIOS

_SECONDS = float(os.environ.get("EXPLORE_SECONDS", "60"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_pairs_of_steps(seed: int, record_property: Callable[[str, object], None]) -> None:
    ends = time.monotonic() + _SECONDS
    with explorer(is_over=lambda: time.monotonic() > ends) as exploring:
        chance = random.Random(seed)
        while not exploring.is_over():
            exploring.pairs(chance, chance.choice(list(ALL_SCENARIOS)))
        failures = [exploring.shortest(failure) for failure in list(exploring.found.failures)]

    record_property("pairs", exploring.found.schedules)
    assert [failure.report() for failure in failures] == []
