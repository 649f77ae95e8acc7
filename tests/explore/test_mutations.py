"""Each safeguard is switched off, and the explorer finds it; the table in README.md says what it finds."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.explore.explorer import explorer
from tests.explore.mutations import MUTATIONS, Mutation

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.safeguard)
def test_absence_of_a_safeguard_is_found(mutation: Mutation) -> None:
    with ExitStack() as exit_:
        for patch in mutation.off():
            exit_.enter_context(patch)
        broken = exit_.enter_context(explorer()).at(mutation.scenario, mutation.where)
        assert any(violation.startswith(f"{mutation.breaks}:") for violation in broken)


def test_every_safeguard_is_in_the_table() -> None:
    text = README.read_text()

    assert [m.safeguard for m in MUTATIONS if m.table_row not in text] == []
