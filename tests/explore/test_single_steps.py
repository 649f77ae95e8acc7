"""Everything that may go wrong at each step of each scenario: no promise is broken."""

from collections.abc import Callable

import pytest

from tests.explore.explorer import explorer
from tests.explore.scenarios import ALL_SCENARIOS, Scenario

_PARTS = [(s, part) for s in ALL_SCENARIOS.values() for part in range(s.parts)]


@pytest.mark.parametrize(
    ("scenario", "part"), _PARTS, ids=lambda p: p.name if isinstance(p, Scenario) else str(p)
)
def test_every_single_step(
    scenario: Scenario, part: int, record_property: Callable[[str, object], None]
) -> None:
    with explorer() as exploring:
        schedules = list(exploring.singles(scenario.name))[:: scenario.every]
        for schedule in schedules[part :: scenario.parts]:
            exploring.run(schedule)

    record_property("schedules", len(schedules[part :: scenario.parts]))
    assert [failure.report() for failure in exploring.found.failures] == []
