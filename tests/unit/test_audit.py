"""The audit of pinned versions fails on a known vulnerability, and reports when no audit was possible."""

from pathlib import Path
from typing import Any

from tests.audit import read, verdict

LOCK = Path("requirements.lock")
UNKNOWN = {"name": "a", "skip_reason": "Dependency not found on PyPI"}
SOUND = {"name": "b", "version": "1.0", "vulns": []}
HURT = {"name": "c", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}


def judged(*packages: dict[str, Any]) -> tuple[int, str]:
    return verdict(LOCK, read({"dependencies": list(packages)}))


def test_known_vulnerability_fails_and_names_the_fixed_version():
    code, line = judged(SOUND, HURT, UNKNOWN)

    assert code == 1
    assert "c 2.0: PYSEC-1, fixed in 2.1" in line


def test_packages_without_vulnerability_pass_and_are_counted():
    assert judged(SOUND, UNKNOWN) == (
        0,
        "requirements.lock: no known vulnerability in 1 packages (1 unknown to it).",
    )


def test_index_that_knows_no_package_is_reported_as_no_audit():
    """A mirror without vulnerability data must not look like a passed audit."""
    code, line = judged(UNKNOWN)

    assert code == 0
    assert "not audited" in line


def test_unreachable_index_is_reported_as_no_audit():
    assert verdict(LOCK, None)[1] == judged(UNKNOWN)[1]
