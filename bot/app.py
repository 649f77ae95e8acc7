"""The one place that builds things, in order, and closes them in reverse: a running bot."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bot.chat.client import CourierClient, register_commands
from bot.chat.connection import connect, log_in, point_at
from bot.chat.messenger import DiscordMessenger
from bot.core.clock import SECOND, Clock, system_clock
from bot.core.errors import DependencyDown, StorageUnavailable
from bot.core.verdicts import PollRules
from bot.settings import Settings
from bot.storage.store import Store, open_store
from bot.veo.client import VideoApiClient, open_api_session
from bot.veo.download import VideoDownloader, open_download_session
from bot.work.card_keeper import CardKeeper
from bot.work.deliverer import Deliverer
from bot.work.loop import DurableLoop
from bot.work.pacing import ApiGate, RateBudget
from bot.work.poller import Poller
from bot.work.registry import Registry
from bot.work.shelf import Shelf

logger = logging.getLogger(__name__)

# What is being posted may finish; a question to the API is asked again after the next start.
_POSTING_GRACE = 20.0
_POLLING_GRACE = 2.0
_CARD_GRACE = 5.0
_FIRST_CONNECTION = 60.0
_UPLOADS_AT_ONCE = 4
_CARDS_AT_ONCE = 4
# Enough questions in flight to keep up the rate though each takes as long as it may.
_FEWEST_QUESTIONS, _MOST_QUESTIONS, _SECONDS_PER_ANSWER = 16, 1024, 10


@dataclass(slots=True)
class Loops:
    """The durable loops, and waking them: there is new work, whoever made it."""

    poller: DurableLoop[Any] | None = None
    deliverer: DurableLoop[Any] | None = None
    cards: DurableLoop[Any] | None = None

    def wake(self) -> None:
        for loop in self.all():
            loop.wake()

    def all(self) -> list[DurableLoop[Any]]:
        return [loop for loop in (self.poller, self.deliverer, self.cards) if loop is not None]


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Runs until `stop` is set. Raises CannotStart, or whatever a loop died of."""
    async with AsyncExitStack() as stack:
        prepare_folder(settings.data_dir)
        stack.enter_context(sole_owner(settings.database))
        store = await stack.enter_async_context(open_store_or_leave(settings))
        await _take_over(store, system_clock)
        client = await stack.enter_async_context(logged_in(settings))
        loops = await _build(stack, settings, store, client, stop, system_clock)
        await register_commands(client, store.facts, settings.discord_guild_id)
        await _serve(client, loops, stop)
    logger.info("stopped")


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


def prepare_folder(folder: Path) -> None:
    """Raises DependencyDown when nothing can be written there."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise DependencyDown(
            f"DATA_DIR: {folder} cannot be written ({error.strerror or error}): "
            "make the folder and let the bot's user write there"
        ) from error


@contextmanager
def sole_owner(database: str) -> Iterator[None]:
    """SQLite is for one bot: the operating system's lock, which ends with the process however it ends."""
    path = Path(database.removeprefix("sqlite:///"))
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


@asynccontextmanager
async def open_store_or_leave(settings: Settings) -> AsyncIterator[Store]:
    """A database that does not open at start is a reason to leave, later ones are not."""
    async with AsyncExitStack() as stack:
        opening = open_store(settings.database, limits=settings.limits, interval=settings.interval_ms)
        try:
            store = await stack.enter_async_context(opening)
        except StorageUnavailable as error:
            raise DependencyDown(f"DATABASE_URL: {error}") from error
        yield store


async def _take_over(store: Store, clock: Clock) -> None:
    """We hold the database alone, so every lease in it belongs to a process that is dead."""
    if orphans := await store.release_orphans(clock()):
        logger.info("taking over %d pieces of work from before the restart", orphans)


@asynccontextmanager
async def logged_in(settings: Settings) -> AsyncIterator[CourierClient]:
    """A client that may call Discord. Raises TokenRefused, DependencyDown."""
    if settings.discord_api_url is not None:
        point_at(str(settings.discord_api_url))
    client = CourierClient(proxy=str(settings.discord_proxy) if settings.discord_proxy else None)
    try:
        await log_in(client, settings.discord_token.get_secret_value(), settings.discord_api_url is not None)
        yield client
    finally:
        await client.close()


async def _build(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    client: CourierClient,
    stop: asyncio.Event,
    clock: Clock,
) -> Loops:
    loops = Loops()
    messenger = DiscordMessenger(client, clock)
    registry = Registry(
        registrations=store.registrations,
        lookups=store.lookups,
        cards=store.cards,
        facts=store.facts,
        clock=clock,
        on_work=loops.wake,
    )
    client.use(registry, messenger)
    loops.poller = await _poller(stack, settings, store, loops, clock)
    loops.deliverer = await _deliverer(stack, settings, store, messenger, loops, stop, clock)
    keeper = CardKeeper(cards=store.cards, easel=messenger, clock=clock)
    loops.cards = DurableLoop(keeper, room=_CARDS_AT_ONCE, clock=clock, grace=_CARD_GRACE, may_cancel=False)
    return loops


async def _poller(
    stack: AsyncExitStack, settings: Settings, store: Store, loops: Loops, clock: Clock
) -> DurableLoop[Any]:
    room = max(_FEWEST_QUESTIONS, min(_MOST_QUESTIONS, int(settings.poll_rate * _SECONDS_PER_ANSWER)))
    session = await stack.enter_async_context(open_api_session(connections=room))
    gate = ApiGate(store.facts, clock)
    await gate.start()
    poller = Poller(
        api=VideoApiClient(base_url=str(settings.veo_api_url), key=settings.veo_api_key, session=session),
        tasks=store.tasks,
        gate=gate,
        budget=RateBudget(settings.poll_rate, clock),
        rules=PollRules(settings.interval_ms, int(settings.task_deadline * SECOND)),
        clock=clock,
        on_change=loops.wake,
    )
    return DurableLoop(poller, room=room, clock=clock, grace=_POLLING_GRACE, may_cancel=True)


async def _deliverer(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    messenger: DiscordMessenger,
    loops: Loops,
    stop: asyncio.Event,
    clock: Clock,
) -> DurableLoop[Any]:
    local = settings.api_on_loopback
    session = await stack.enter_async_context(open_download_session(allow_loopback=local))
    downloader = VideoDownloader(
        session=session, max_bytes=int(settings.max_video_bytes), allow_loopback=local
    )
    shelf = Shelf(settings.data_dir / "videos", downloader)
    if swept := await shelf.sweep(await store.deliveries.tasks_to_keep()):
        logger.info("removed %d files that a stop had left", swept)
    deliverer = Deliverer(
        deliveries=store.deliveries,
        messenger=messenger,
        shelf=shelf,
        clock=clock,
        stop=stop,
        on_change=loops.wake,
    )
    return DurableLoop(deliverer, room=_UPLOADS_AT_ONCE, clock=clock, grace=_POSTING_GRACE, may_cancel=False)


async def _serve(client: CourierClient, loops: Loops, stop: asyncio.Event) -> None:
    """Everything that must not die quietly, side by side: the first to end ends the process."""
    connection = asyncio.create_task(connect(client), name="gateway")
    jobs = {connection}
    stopping = asyncio.create_task(stop.wait(), name="stop")
    ready = asyncio.create_task(client.connected.wait(), name="ready")
    try:
        first = {connection, ready, stopping}
        done, _ = await asyncio.wait(first, timeout=_FIRST_CONNECTION, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise DependencyDown(f"Discord's gateway did not let us in within {_FIRST_CONNECTION:g} s")
        if not connection.done() and not stop.is_set():
            jobs |= {asyncio.create_task(loop.run(stop), name="loop") for loop in loops.all()}
            await asyncio.wait(jobs | {stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _shut_down(jobs - {connection}, connection, stop)
    finally:
        for job in (ready, stopping):
            job.cancel()
        await asyncio.gather(ready, stopping, return_exceptions=True)


async def _shut_down(
    loops: set[asyncio.Task[None]], connection: asyncio.Task[None], stop: asyncio.Event
) -> None:
    asked_to = stop.is_set()
    if asked_to:
        logger.info("stopping: no new work is taken")
    stop.set()
    outcomes = await asyncio.gather(*loops, return_exceptions=True)
    # The gateway stays up until here: buttons and commands are still answered while uploads finish.
    if connection.done():
        outcomes.append(connection.exception())
    else:
        connection.cancel()
        await asyncio.gather(connection, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    if not asked_to:
        raise RuntimeError("a loop ended without being told to")
