"""What may go wrong at each step of each scenario: no promise is broken."""

from collections.abc import Callable

import pytest

from tests.explore.explorer import explorer
from tests.explore.scenarios import ALL_SCENARIOS, Scenario

_PARTS = [(s, part) for s in ALL_SCENARIOS.values() for part in range(s.parts)]


@pytest.mark.parametrize(
    ("scenario", "part"), _PARTS, ids=lambda p: p.name if isinstance(p, Scenario) else str(p)
)
def test_single_steps(scenario: Scenario, part: int, record_property: Callable[[str, object], None]) -> None:
    with explorer() as exploring:
        exploring.single_steps(scenario.name, part=part, parts=scenario.parts)

    record_property("schedules", exploring.found.schedules)
    assert [failure.report() for failure in exploring.found.failures] == []
