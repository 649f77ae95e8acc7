"""Every property of tests/property with very many examples: what comes from outside breaks nothing.

The store's model is left out: its examples are slow, and come from us.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PROPERTIES = "tests/property"
_COUNTED = re.compile(r"^(tests/property/\S+::\w+):$|- (\d+) passing(?: examples)?, ")


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """Examples that passed, by property; what pytest said when one did not."""

    passed: dict[str, int]
    failed: bool
    said: str

    @property
    def cases(self) -> int:
        return sum(self.passed.values())


async def measure(*, cases: int) -> Fuzzed:
    """About `cases` examples in all, spread evenly over the properties and over the cores.

    Ends with the first property that fails.
    """
    few = await _run(1)
    if few.failed:
        return few
    if not few.passed:
        raise RuntimeError(f"the properties cannot be counted:\n{few.said}")
    return await _run(-(-cases // len(few.passed)))


async def _run(examples: int) -> Fuzzed:
    pytest = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", _PROPERTIES, "-q", "-x", "-p", "no:cacheprovider"),
        *("-n", "auto", "--timeout", "0", "--hypothesis-show-statistics", "-k", "not TestStore"),
        cwd=_ROOT,
        env=os.environ | {"FUZZ_EXAMPLES": str(examples)},
        stdout=PIPE,
        stderr=STDOUT,
    )
    said = (await pytest.communicate())[0].decode(errors="replace")
    return Fuzzed(_counted(said), pytest.returncode != 0, said)


def _counted(said: str) -> dict[str, int]:
    """From Hypothesis' own statistics, every phase added up."""
    counted: dict[str, int] = {}
    name = ""
    for line in said.splitlines():
        found = _COUNTED.search(line)
        if found and found[1]:
            name = found[1].partition("::")[2]
        elif found:
            counted[name] = counted.get(name, 0) + int(found[2])
    return counted


def table(fuzzed: Fuzzed) -> str:
    lines = [f"{count:>10,}  {name}" for name, count in sorted(fuzzed.passed.items())]
    lines.append(f"{fuzzed.cases:>10,}  cases, {'AND A FAILURE' if fuzzed.failed else 'no failure'}")
    if fuzzed.failed:
        lines.append(fuzzed.said)
    return "\n".join(lines)


def as_json(fuzzed: Fuzzed) -> dict[str, object]:
    return {"cases": fuzzed.cases, "failed": fuzzed.failed, "by_property": fuzzed.passed}
