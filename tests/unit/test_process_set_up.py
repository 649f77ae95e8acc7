"""What a process asks of its system before it begins."""

import os
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


def test_process_takes_the_files_that_the_system_gives(limits: tuple[int, int]):
    """Each poll in flight is a connection: two thousand do not fit into what a process has at first."""
    _, hard = limits
    allowed = raise_file_limit()

    assert allowed == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert allowed == hard or hard == resource.RLIM_INFINITY
    assert raise_file_limit() == allowed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
@pytest.mark.parametrize("made", ["", "data", "data/videos"])
def test_folder_of_another_user_is_named(tmp_path: Path, made: str):
    """At the start, before anything is registered."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    videos = tmp_path / "data" / "videos"
    if made:
        (tmp_path / made).mkdir(parents=True)
    script = (
        "import os, sys, pathlib; from bot.process import prepare_folder\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: prepare_folder(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(videos)], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert said.stdout == (
        f"DATA_DIR: {videos} cannot be written (Permission denied): "
        "it must be a folder that the bot's user may write to\n"
    )


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
