"""What may go wrong at the steps of each scenario: no promise is broken.

One schedule in EXPLORE_EVERY is run, because all of them take minutes; the bench runs all.
"""

import os
from collections.abc import Callable

import pytest

from tests.explore.explorer import explorer
from tests.explore.scenarios import ALL_SCENARIOS, Scenario

_EVERY = int(os.environ.get("EXPLORE_EVERY", "3"))
_PARTS = [(s, part) for s in ALL_SCENARIOS.values() for part in range(s.parts)]


@pytest.mark.parametrize(
    ("scenario", "part"), _PARTS, ids=lambda p: p.name if isinstance(p, Scenario) else str(p)
)
def test_single_steps(scenario: Scenario, part: int, record_property: Callable[[str, object], None]) -> None:
    with explorer() as exploring:
        schedules = list(exploring.singles(scenario.name))[:: scenario.every * _EVERY]
        for schedule in schedules[part :: scenario.parts]:
            exploring.run(schedule)

    record_property("schedules", len(schedules[part :: scenario.parts]))
    assert [failure.report() for failure in exploring.found.failures] == []
