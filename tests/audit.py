"""`python -m tests.audit LOCK...`: fails on a known vulnerability in what is pinned.

pip-audit alone would not do: where its service cannot be reached it ends as if there were a vulnerability,
and where the service knows none of the packages (a mirror without that data) as if there were none.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_SECONDS = 120
_PIP_AUDIT = (sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json")


@dataclass(frozen=True, slots=True)
class Audit:
    """How many packages the service knew, how many not, and a line for every vulnerability."""

    known: int
    unknown: int
    vulnerable: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """1 for a known vulnerability; 0 for none, and also when nobody could tell, which it says."""
    locks = [Path(each) for each in arguments if not each.startswith("-")]
    options = [each for each in arguments if each.startswith("-")]
    verdicts = [verdict(lock, ask(lock, options)) for lock in locks]
    print(*(line for _, line in verdicts), sep="\n")
    return max(code for code, _ in verdicts)


def ask(lock: Path, options: Sequence[str] = ()) -> Audit | None:
    """None when the service gave no answer. Raises RuntimeError for a lock file that cannot be read."""
    command = [*_PIP_AUDIT, *options, "--require-hashes", "--disable-pip", "--requirement", str(lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.stdout.strip():
        return read(json.loads(done.stdout))
    # Only the network is forgiven: anything else must not look like a quiet day.
    if "ConnectionError" in done.stderr or "Timeout" in done.stderr:
        return None
    raise RuntimeError(f"pip-audit ended with {done.returncode}:\n{done.stderr}")


def read(document: dict[str, Any]) -> Audit:
    """What pip-audit reports as JSON."""
    packages: list[dict[str, Any]] = document["dependencies"]
    known = [package for package in packages if "vulns" in package]
    vulnerable = tuple(
        f"{package['name']} {package['version']}: {each['id']}, "
        f"mended in {', '.join(each['fix_versions']) or 'no version yet'}"
        for package in known
        for each in package["vulns"]
    )
    return Audit(len(known), len(packages) - len(known), vulnerable)


def verdict(lock: Path, audit: Audit | None) -> tuple[int, str]:
    """The exit code, and what to tell."""
    if audit is None or not audit.known:
        return 0, f"{lock.name}: not audited, since the data on vulnerabilities cannot be had here."
    if audit.vulnerable:
        return 1, "\n".join(f"{lock.name}: VULNERABLE {line}" for line in audit.vulnerable)
    unknown = f" ({audit.unknown} unknown to it)" if audit.unknown else ""
    return 0, f"{lock.name}: no known vulnerability in {audit.known} packages{unknown}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
