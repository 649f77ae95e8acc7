"""`python -m tests.audit`: fails on a known vulnerability in what the bot is installed with.

pip-audit alone would not do: where its service cannot be reached it ends as if there were a vulnerability, and
where the service knows none of the packages (a mirror without that data) as if there were none.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
_MOST_SECONDS = 120
_PIP_AUDIT = (sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json")


def main(options: Sequence[str], lock: Path = LOCK) -> int:
    """1 for a known vulnerability; 0 for none, and also when nobody could tell, which it says."""
    packages = _ask([*options, "--require-hashes", "--disable-pip", "--requirement", str(lock)])
    unknown = [package["name"] for package in packages if "vulns" not in package]
    found = [line for package in packages for line in _lines(package)]
    print(*found, sep="\n", end="\n" if found else "")
    if not packages:
        print("pip-audit: its service cannot be reached, so vulnerabilities were not looked for")
    elif unknown:
        print(f"pip-audit: its service knows nothing of {len(unknown)} of {len(packages)} packages")
    elif not found:
        print(f"pip-audit: no known vulnerability in {len(packages)} packages")
    return 1 if found else 0


def _ask(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """One entry a package; none when the service gave no answer."""
    try:
        done = subprocess.run(
            [*_PIP_AUDIT, *arguments], capture_output=True, text=True, timeout=_MOST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return []
    if done.stdout.strip():
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        return packages
    # Only the network is forgiven: a lock file that pip-audit cannot read must not look like a quiet day.
    if "ConnectionError" in done.stderr or "Timeout" in done.stderr:
        return []
    raise RuntimeError(f"pip-audit ended with {done.returncode}:\n{done.stderr}")


def _lines(package: dict[str, Any]) -> list[str]:
    return [
        f"VULNERABLE {package['name']} {package['version']}: {each['id']}, "
        f"mended in {', '.join(each['fix_versions']) or 'no version yet'}"
        for each in package.get("vulns", [])
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
