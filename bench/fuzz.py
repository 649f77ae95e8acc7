"""Runs every property of tests/property with very many examples.

The store's model is left out, because its examples are slow and are no outside input.
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
    """The number of examples that passed, by property, and pytest's output."""

    passed: dict[str, int]
    failed: bool
    output: str

    @property
    def cases(self) -> int:
        return sum(self.passed.values())


async def measure(*, cases: int) -> Fuzzed:
    """Run about `cases` examples in all, spread evenly over the properties and the cores.

    Ends with the first property that fails.
    """
    few = await _run(1)
    if few.failed:
        return few
    if not few.passed:
        raise RuntimeError(f"the properties cannot be counted:\n{few.output}")
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
    output = (await pytest.communicate())[0].decode(errors="replace")
    return Fuzzed(_counted(output), pytest.returncode != 0, output)


def _counted(output: str) -> dict[str, int]:
    """Examples by property, from Hypothesis' statistics: the sum of all phases."""
    counted: dict[str, int] = {}
    name = ""
    for line in output.splitlines():
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
        lines.append(fuzzed.output)
    return "\n".join(lines)


def as_json(fuzzed: Fuzzed) -> dict[str, object]:
    return {"cases": fuzzed.cases, "failed": fuzzed.failed, "by_property": fuzzed.passed}
