"""What belongs to the process: signals, garbage collector, file limit, data folder."""

import asyncio
import gc
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.core.errors import DependencyDown


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set.

    asyncio's own SIGINT handling would cancel everything that runs, uploads included.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def tune_garbage_collection() -> None:
    """Collect garbage seldom. Call once everything is imported.

    Polling creates almost no reference cycles; with the default threshold the garbage collector used 25 % of
    the CPU of full polling (bench/README.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def prepare_folder(folder: Path) -> None:
    """Raises DependencyDown when nothing can be written there."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        # Another process may be trying the same.
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise DependencyDown(
            f"DATA_DIR: {folder} cannot be written ({error.strerror or error}): "
            "make the folder and let the bot's user write there"
        ) from error


def raise_file_limit(wanted: int) -> int:
    """Raise the limit of open files and connections to `wanted`; returns what the system allows.

    Many systems start a process with 1,024 and allow more; every poll in flight takes one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return allowed
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
