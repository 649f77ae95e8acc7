"""What a process asks of its system before it begins."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.process import raise_file_limit

ROOT = Path(__file__).parents[2]


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """As most systems begin: few at first, and more for the asking. The hard limit cannot be had back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    yield 600, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_process_that_needs_more_files_asks_for_them(limits: tuple[int, int]):
    """Each poll in flight is a connection: two thousand do not fit into what a process has at first."""
    assert raise_file_limit(700) == 700
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700


def test_process_that_needs_few_files_changes_nothing(limits: tuple[int, int]):
    assert raise_file_limit(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY, reason="this system has no limit"
)
def test_process_takes_no_more_than_the_system_gives(limits: tuple[int, int]):
    """Then fewer polls are in flight at once, and the database still gets its file."""
    hard = limits[1]

    assert raise_file_limit(hard + 1) == hard


def test_what_the_libraries_made_is_not_looked_through_again():
    """It was a quarter of the CPU of full polling. In a process of its own: tests need the collector."""
    script = (
        "import gc, bot.resources; from bot.process import tune_garbage_collection as tune; "
        "tune(); print(gc.get_freeze_count())"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert int(said.stdout) > 50_000
