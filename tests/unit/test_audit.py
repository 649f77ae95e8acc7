"""The audit of pinned versions: fails for a known vulnerability, and says so when nobody looked."""

from pathlib import Path
from typing import Any

from tests.audit import read, verdict

LOCK = Path("requirements.lock")
UNKNOWN = {"name": "a", "skip_reason": "Dependency not found on PyPI"}
SOUND = {"name": "b", "version": "1.0", "vulns": []}
HURT = {"name": "c", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}


def judged(*packages: dict[str, Any]) -> tuple[int, str]:
    return verdict(LOCK, read({"dependencies": list(packages)}))


def test_known_vulnerability_fails_and_names_the_way_out():
    code, line = judged(SOUND, HURT, UNKNOWN)

    assert code == 1
    assert "c 2.0: PYSEC-1, mended in 2.1" in line


def test_sound_packages_pass_with_their_number():
    assert judged(SOUND, UNKNOWN) == (
        0,
        "requirements.lock: no known vulnerability in 1 packages (1 unknown to it).",
    )


def test_index_that_knows_nothing_is_no_audit():
    """A mirror without the data must not look like a clean bill of health."""
    code, line = judged(UNKNOWN)

    assert code == 0
    assert "not audited" in line


def test_index_out_of_reach_is_no_audit():
    assert verdict(LOCK, None)[1] == judged(UNKNOWN)[1]
