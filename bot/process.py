"""The process: signals, imports, garbage collector, file limit, data folder."""

import asyncio
import gc
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.core.errors import DependencyDown

# The limit to use where the system names none.
_MANY_FILES = 65_536


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGINT and SIGTERM set.

    asyncio's handling of SIGINT would cancel everything that runs, uploads included.
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


@contextmanager
def imports() -> Iterator[None]:
    """Disable garbage collection for the imports inside: it takes a tenth of a start and finds nothing.

    What was imported lives as long as the process, so later collections leave it out, too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune_garbage_collection() -> None:
    """Make garbage collection rare. Call it once everything is imported.

    Polling creates almost no reference cycles; with the default threshold the garbage collector used 25 % of
    the CPU of full polling (bench/README.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def prepare_folder(folder: Path) -> None:
    """Make the folder if it is missing. Raises DependencyDown when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable("DATA_DIR", folder, error) from error
    check_folder(folder)


def check_folder(folder: Path, setting: str = "DATA_DIR") -> None:
    """Raise DependencyDown when nothing can be written in the folder.

    It writes a file, because only the system knows what a user may do on a file system.
    """
    probe = folder / f".writable-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _not_writable(setting, folder, error) from error


def _not_writable(setting: str, folder: Path, error: OSError) -> DependencyDown:
    return DependencyDown(
        f"{setting}: {folder} cannot be written ({error.strerror or error}): "
        "it must be a folder that the bot's user may write to"
    )


def raise_file_limit() -> int:
    """Raise the limit of open files and connections as far as the system allows; returns the limit.

    Many systems start a process with 1,024 and allow more; every poll in flight takes one.
    """
    try:
        import resource
    except ImportError:  # a system without such limits
        return _MANY_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        return soft  # macOS calls its limit infinite, and has another one below
    return wanted
