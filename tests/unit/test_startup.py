"""What a process asks of its system before it begins."""

import resource
from collections.abc import Iterator

import pytest

from bot.startup import allow_open_files


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """As most systems begin: few at first, and more for the asking. The hard limit cannot be had back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    yield 600, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_process_that_needs_more_files_asks_for_them(limits: tuple[int, int]):
    """Each question in flight is a connection: two thousand do not fit into what a process has at first."""
    assert allow_open_files(700) == 700
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700


def test_process_that_needs_few_files_changes_nothing(limits: tuple[int, int]):
    assert allow_open_files(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY, reason="this system has no limit"
)
def test_process_takes_no_more_than_the_system_gives(limits: tuple[int, int]):
    """Then fewer questions are asked at once, and the database still gets its file."""
    hard = limits[1]

    assert allow_open_files(hard + 1) == hard
