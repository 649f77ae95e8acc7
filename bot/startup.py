"""What a command needs before it can do anything: folder, database, log-in, and signals that stop it."""

import asyncio
import gc
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bot.chat.client import CourierClient
from bot.chat.connection import log_in, point_at
from bot.chat.outbound import rate_limit_trace
from bot.core.budget import Pace
from bot.core.errors import DependencyDown
from bot.core.meter import UNMETERED, Meter
from bot.settings import Settings
from bot.storage.store import Store, open_store


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set.

    asyncio's own SIGINT handling would cancel whatever is running, uploads included.
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


def collect_garbage_seldom() -> None:
    """For a process of its own, once everything is imported.

    What the libraries made stays for good, and a question leaves next to nothing in circles: looking for some
    after every 700 objects took a quarter of the CPU of full polling (bench/README.md).
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


def allow_open_files(wanted: int) -> int:
    """How many files and connections this process may have open: as many, if the system lets it.

    Many systems give a process 1,024 at first and more when it asks; every question in flight takes one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


@contextmanager
def sole_owner(url: str) -> Iterator[None]:
    """SQLite is for one bot: the operating system's lock, which ends with the process however it ends."""
    if not url.startswith("sqlite:///"):
        yield
        return
    path = sqlite_file(url)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise DependencyDown(f"another veo-courier already runs on {path}: stop it first") from None
    except OSError as error:
        raise DependencyDown(f"DATABASE_URL: {path} cannot be locked: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def sqlite_file(url: str) -> Path:
    """The file that a sqlite:/// address names."""
    return Path(url.removeprefix("sqlite:///"))


def store_of(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Opened with what the settings say. Raises DependencyDown, StorageUnavailable."""
    return open_store(
        settings.database,
        limits=settings.limits,
        interval=settings.interval_ms,
        lease_time=settings.lease_ms,
        pace=Pace(settings.poll_rate, saved=settings.poll_rate),
    )


@asynccontextmanager
async def logged_in(settings: Settings, meter: Meter = UNMETERED) -> AsyncIterator[CourierClient]:
    """A client that may call Discord. Raises TokenRefused, DependencyDown."""
    if settings.discord_api_url is not None:
        point_at(str(settings.discord_api_url))
    client = CourierClient(
        proxy=str(settings.discord_proxy) if settings.discord_proxy else None,
        shard_count=settings.shard_count,
        shard_ids=settings.shard_ids,
    )
    client.http.http_trace = rate_limit_trace(meter)
    try:
        await log_in(client, settings.discord_token.get_secret_value(), settings.discord_api_url is not None)
        yield client
    finally:
        await client.close()
