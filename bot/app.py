"""The one place that builds things, in order, and closes them in reverse: a running bot."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from bot.chat.client import CourierClient, register_commands
from bot.chat.connection import log_in, point_at
from bot.chat.membership import Membership
from bot.chat.messenger import DiscordMessenger
from bot.chat.outbound import rate_limit_trace
from bot.core.budget import RateBudget
from bot.core.clock import SECOND, Clock, system_clock
from bot.core.errors import DependencyDown, StorageUnavailable
from bot.core.meter import UNMETERED, Meter
from bot.core.verdicts import PollRules
from bot.media.fit import Fitter
from bot.serving import serve
from bot.settings import Settings
from bot.storage.store import Store, open_store
from bot.veo.client import VideoApiClient, open_api_session
from bot.veo.download import VideoDownloader, open_download_session
from bot.work.card_keeper import CardKeeper
from bot.work.deliverer import Deliverer
from bot.work.housekeeping import Housekeeper
from bot.work.loop import DurableLoop
from bot.work.pacing import ApiGate
from bot.work.poller import Poller
from bot.work.registry import Registry
from bot.work.shelf import Shelf

if TYPE_CHECKING:
    from bot.ops.counters import PrometheusMeter

logger = logging.getLogger(__name__)

# What is being posted may finish; a question to the API is asked again after the next start.
_POSTING_GRACE = 20.0
_POLLING_GRACE = 2.0
_CARD_GRACE = 5.0
# Uploads have a limit of their own; these are downloads and videos made smaller as well.
_DELIVERIES_AT_ONCE = 12
_CARDS_AT_ONCE = 4
HOUSEKEEPING_EVERY = 3600.0
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
        counted = _prometheus(settings)
        meter = counted or UNMETERED
        client = await stack.enter_async_context(logged_in(settings, meter))
        shelf = await _shelf(stack, settings, store, system_clock, meter)
        await _open_http(stack, settings, store, client, counted)
        loops = await _build(stack, settings, store, client, shelf, stop, system_clock, meter)
        await register_commands(client, store.facts, settings.discord_guild_id)
        await serve(client, [*loops.all(), _housekeeper(store, shelf, client, system_clock)], stop)
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
async def logged_in(settings: Settings, meter: Meter = UNMETERED) -> AsyncIterator[CourierClient]:
    """A client that may call Discord. Raises TokenRefused, DependencyDown."""
    if settings.discord_api_url is not None:
        point_at(str(settings.discord_api_url))
    client = CourierClient(proxy=str(settings.discord_proxy) if settings.discord_proxy else None)
    client.http.http_trace = rate_limit_trace(meter)
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
    shelf: Shelf,
    stop: asyncio.Event,
    clock: Clock,
    meter: Meter,
) -> Loops:
    loops = Loops()
    messenger = DiscordMessenger(client, clock, meter)
    registry = Registry(
        registrations=store.registrations,
        lookups=store.lookups,
        people=store.people,
        cards=store.cards,
        facts=store.facts,
        videos=shelf,
        clock=clock,
        on_work=loops.wake,
    )
    client.use(registry, messenger, Membership(store.guilds, clock, loops.wake))
    loops.poller = await _poller(stack, settings, store, loops, clock, meter)
    loops.deliverer = _deliverer(store, messenger, shelf, loops, stop, clock, meter)
    keeper = CardKeeper(cards=store.cards, easel=messenger, clock=clock)
    loops.cards = DurableLoop(keeper, room=_CARDS_AT_ONCE, clock=clock, grace=_CARD_GRACE, may_cancel=False)
    return loops


async def _poller(
    stack: AsyncExitStack, settings: Settings, store: Store, loops: Loops, clock: Clock, meter: Meter
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
        meter=meter,
    )
    return DurableLoop(poller, room=room, clock=clock, grace=_POLLING_GRACE, may_cancel=True)


async def _shelf(
    stack: AsyncExitStack, settings: Settings, store: Store, clock: Clock, meter: Meter
) -> Shelf:
    """The video folder, rid of what a stop had left."""
    local = settings.api_on_loopback
    session = await stack.enter_async_context(open_download_session(allow_loopback=local))
    downloader = VideoDownloader(
        session=session, max_bytes=int(settings.max_video_bytes), allow_loopback=local
    )
    shelf = Shelf(settings.data_dir / "videos", downloader, Fitter(), meter)
    if swept := await shelf.sweep(await store.deliveries.tasks_to_keep(clock())):
        logger.info("removed %d files that a stop had left", swept)
    return shelf


def _deliverer(
    store: Store,
    messenger: DiscordMessenger,
    shelf: Shelf,
    loops: Loops,
    stop: asyncio.Event,
    clock: Clock,
    meter: Meter,
) -> DurableLoop[Any]:
    deliverer = Deliverer(
        deliveries=store.deliveries,
        messenger=messenger,
        shelf=shelf,
        clock=clock,
        stop=stop,
        on_change=loops.wake,
        meter=meter,
    )
    return DurableLoop(
        deliverer, room=_DELIVERIES_AT_ONCE, clock=clock, grace=_POSTING_GRACE, may_cancel=False
    )


def _prometheus(settings: Settings) -> "PrometheusMeter | None":
    """Three MiB, for those who asked for it."""
    if settings.http_port is None:
        return None
    from bot.ops.counters import PrometheusMeter

    return PrometheusMeter()


async def _open_http(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    client: CourierClient,
    counted: "PrometheusMeter | None",
) -> None:
    if settings.http_port is None or counted is None:
        return
    from bot.ops.server import open_server

    server = open_server(settings.http_port, store, counted, client.is_up, system_clock)
    await stack.enter_async_context(server)


def _housekeeper(store: Store, shelf: Shelf, client: CourierClient, clock: Clock) -> Housekeeper:
    return Housekeeper(
        guilds=store.guilds,
        deliveries=store.deliveries,
        shelf=shelf,
        recheck=client.recheck,
        clock=clock,
        every=HOUSEKEEPING_EVERY,
    )
