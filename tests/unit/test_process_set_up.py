"""The set-up of a process: file limit, folders, garbage collection."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.cli import check
from bot.core.errors import DependencyDown
from bot.process import raise_file_limit
from bot.resources import prepare_files
from bot.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """A low soft limit as on most systems. The hard limit stays, because it cannot be raised again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    yield 600, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_process_raises_its_file_limit_to_the_hard_limit(limits: tuple[int, int]):
    """Each poll in progress is a connection: 2,000 do not fit the usual soft limit."""
    _, hard = limits
    allowed = raise_file_limit()

    assert allowed == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert allowed == hard or hard == resource.RLIM_INFINITY
    assert raise_file_limit() == allowed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
@pytest.mark.parametrize("made", ["", "data", "data/videos"])
def test_folder_of_another_user_is_named(tmp_path: Path, made: str):
    """At the start, before a task can be tracked."""
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


@pytest.mark.parametrize("look", [prepare_files, check._check_files], ids=["start", "check"])
@pytest.mark.parametrize("place", ["videos", "bot.db", "bot.db-wal", "bot.db-shm", "bot.db.lock"])
def test_file_or_folder_that_cannot_be_written_is_named(
    tmp_path: Path, place: str, look: Callable[[Settings], object]
):
    """A folder in place of a file, or a file in place of a folder."""
    data = tmp_path / "data"
    if place == "videos":
        data.mkdir()
        (data / place).write_text("")
    else:
        (data / place).mkdir(parents=True)
    values = {"discord_token": "t" * 20, "veo_api_key": "k" * 20, "data_dir": data}

    with pytest.raises(DependencyDown) as refusal:
        look(read_settings(_env_file=None, **values))

    assert f"{data / place} cannot be written (" in str(refusal.value)


def test_garbage_collector_ignores_the_objects_of_the_libraries():
    """It took a quarter of the CPU at full polling. Tested in a separate process."""
    script = (
        "import gc, bot.resources; from bot.process import tune_garbage_collection as tune; "
        "tune(); print(gc.get_freeze_count())"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert int(said.stdout) > 50_000


def test_imports_are_made_without_garbage_collection_and_never_looked_at_again():
    """It took a tenth of a start. In a separate process; collection goes on also after a failed import."""
    script = (
        "import gc; from bot.process import imports\n"
        "try:\n"
        "    with imports(): print(gc.isenabled()); import missing\n"
        "except ImportError: print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert said.stdout.split() == ["False", "True", "True"]
