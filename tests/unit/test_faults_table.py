"""The tables of faults in tests/README.md name tests that exist.

`file: name` means the tests in test_file.py whose names begin with test_name.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (TESTS / "README.md").read_text(encoding="utf-8")
FAULTS = README.split("\n## Faults\n")[1].split("\n## ")[0].splitlines()
ROWS = [line for line in FAULTS if line.startswith("| ") and not line.endswith("| test |")]
_REFERENCE = re.compile(r"`((?:(?:unit|storage|crash|page)/|property/(?=\w))?[a-z0-9_]+)(?:: (\w+))?`")


def references() -> list[tuple[str, str]]:
    """The tests in the last column of every table, as file and beginning of the name."""
    return sorted({found for row in ROWS for found in _REFERENCE.findall(row.split("|")[-2])})


@pytest.mark.parametrize(("file", "name"), references())
def test_named_test_exists(file: str, name: str):
    tier, _, stem = file.rpartition("/")
    path = TESTS / (tier or "integration") / f"test_{stem}.py"

    assert path.exists()
    assert re.search(rf"def test_{name}", path.read_text(encoding="utf-8"))


def test_every_row_names_a_test_or_a_benchmark():
    assert len(ROWS) > 100
    assert [row for row in ROWS if "`" not in row.split("|")[-2]] == []
