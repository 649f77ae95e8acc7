"""Memory of a process, and the summary of many measurements in a few numbers."""

import asyncio
from collections.abc import Sequence
from math import ceil
from statistics import median

import psutil


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` percent of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def spread(values: Sequence[float], form: str) -> str:
    """The median, with the range in brackets."""
    low, middle, high = (format(v, form) for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})"


async def peak_memory(process: psutil.Process) -> int:
    """Sample the resident memory until cancelled or the process ends, and return the highest value."""
    highest = 0
    try:
        while True:
            highest = max(highest, process.memory_info().rss)
            await asyncio.sleep(0.002)
    except (asyncio.CancelledError, psutil.NoSuchProcess):
        return highest
