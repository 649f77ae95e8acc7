"""`python -m tests.audit LOCK...`: fails if a pinned version has a known vulnerability.

pip-audit alone is not enough. If its service cannot be reached, it exits as if there were a vulnerability. If
the service knows none of the packages (a mirror without that data), it exits as if there were none.
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
    """How many packages the service knew and did not know, and one line for each vulnerability."""

    known: int
    unknown: int
    vulnerable: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """1 if there is a known vulnerability; else 0, also if no audit was possible, which is printed."""
    locks = [Path(each) for each in arguments if not each.startswith("-")]
    options = [each for each in arguments if each.startswith("-")]
    verdicts = [verdict(lock, ask(lock, options)) for lock in locks]
    print(*(line for _, line in verdicts), sep="\n")
    return max(code for code, _ in verdicts)


def ask(lock: Path, options: Sequence[str] = ()) -> Audit | None:
    """None if the service gave no answer. Raises RuntimeError for a lock file that cannot be read."""
    command = [*_PIP_AUDIT, *options, "--require-hashes", "--disable-pip", "--requirement", str(lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.stdout.strip():
        return read(json.loads(done.stdout))
    # Only network errors are tolerated: any other failure must not look like "no vulnerability".
    if "ConnectionError" in done.stderr or "Timeout" in done.stderr:
        return None
    raise RuntimeError(f"pip-audit ended with {done.returncode}:\n{done.stderr}")


def read(document: dict[str, Any]) -> Audit:
    """Parse pip-audit's JSON report."""
    packages: list[dict[str, Any]] = document["dependencies"]
    known = [package for package in packages if "vulns" in package]
    vulnerable = tuple(
        f"{package['name']} {package['version']}: {each['id']}, "
        f"fixed in {', '.join(each['fix_versions']) or 'no version yet'}"
        for package in known
        for each in package["vulns"]
    )
    return Audit(len(known), len(packages) - len(known), vulnerable)


def verdict(lock: Path, audit: Audit | None) -> tuple[int, str]:
    """The exit code and the line to print."""
    if audit is None or not audit.known:
        return 0, f"{lock.name}: not audited, because no vulnerability data is available here."
    if audit.vulnerable:
        return 1, "\n".join(f"{lock.name}: VULNERABLE {line}" for line in audit.vulnerable)
    unknown = f" ({audit.unknown} unknown to it)" if audit.unknown else ""
    return 0, f"{lock.name}: no known vulnerability in {audit.known} packages{unknown}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
