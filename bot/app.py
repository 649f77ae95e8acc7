"""The composition root: builds everything of a running bot, in order, and closes it in reverse."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.chat.client import CourierClient
from bot.chat.command_sync import CommandSync
from bot.chat.gateway.connection import connect
from bot.chat.gateway.membership import Membership
from bot.chat.gateway.state import GatewayRecorder
from bot.chat.messenger import DiscordMessenger
from bot.chat.outbound import DISCORD_RATE
from bot.core.clock import SECOND, Clock, system_clock
from bot.core.errors import DependencyDown
from bot.core.rate_limit import Limiter, RateLimit, RateLimiter
from bot.core.verdicts import PollRules
from bot.introduction import introduction
from bot.media.fit import Fitter
from bot.metrics import Metrics
from bot.ops.gauges import Gateway, gauges
from bot.ops.health import HealthCheck
from bot.ops.server import open_server
from bot.process import raise_file_limit
from bot.resources import VIDEOS, logged_in_client, opened_store, prepare_files
from bot.settings import Role, Settings
from bot.storage.clock_watch import ClockWatch
from bot.storage.rate_limit import SharedRateLimiter
from bot.storage.sqlite_files import exclusive_file_lock
from bot.storage.store import CARDS, DELIVERIES, DISCORD, TASKS, Store
from bot.supervisor import Job, supervise
from bot.veo.client import VideoApiClient, open_api_session
from bot.veo.download import VideoDownloader, open_download_session
from bot.work.api_pause import ApiPause
from bot.work.card_updater import CardUpdater
from bot.work.deliverer import Deliverer
from bot.work.downloading import VideoDownloads
from bot.work.fresh_links import FreshLinks
from bot.work.housekeeping import Chore, purge_left_guilds, run_chores, tidy_videos
from bot.work.loop import DurableLoop, Handler, Queue
from bot.work.poll_rate import watch_poll_rate
from bot.work.poller import Poller
from bot.work.tracking import Tracking
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# In seconds. A post that has begun may finish; a cancelled poll is repeated after the next start.
_POSTING_SHUTDOWN = 20.0
_POLLING_SHUTDOWN = 2.0
_CARD_SHUTDOWN = 5.0
# Most deliveries wait for a download; downloads, uploads and other posts have separate slots.
DELIVERY_SLOTS = 1024
_CARD_SLOTS = 4
HOUSEKEEPING_INTERVAL = 3600.0
_CLOCK_INTERVAL = 180.0
# Enough polls at once to use the whole rate when each takes 10 seconds.
_MIN_POLLS, _MAX_POLLS, _SECONDS_PER_ANSWER = 16, 2048, 10
# Files for database, gateway, uploads, downloads, logs.
_OTHER_FILES = 256


class WorkerLoops:
    """The durable loops of this process by their queue, so that new work can wake them."""

    def __init__(self) -> None:
        self._by_queue: dict[str, DurableLoop[Any]] = {}

    def add(self, queue: str, loop: DurableLoop[Any]) -> None:
        self._by_queue[queue] = loop

    def wake(self, *queues: str) -> None:
        """Wake the loops of these queues (all if none named); each wake costs a transaction or two."""
        for queue, loop in self._by_queue.items():
            if not queues or queue in queues:
                loop.wake()

    def jobs(self) -> list[Job]:
        return [loop.run for loop in self._by_queue.values()]


@dataclass(frozen=True, slots=True)
class _Dependencies:
    """The objects that every part of the process is built from."""

    settings: Settings
    store: Store
    client: CourierClient
    messenger: DiscordMessenger
    videos: VideoCache
    api: VideoApiClient
    poll_slots: int
    poll_limiter: RateLimiter
    fresh_links: FreshLinks
    clock: Clock
    metrics: Metrics


async def run(settings: Settings, stop: asyncio.Event, role: Role = Role.ALL) -> None:
    """Run the bot until `stop` is set. Raises CannotStart, StorageUnavailable, or what a job raised."""
    role.check(settings)
    for line in introduction(settings, role):
        logger.info("%s", line)
    if settings.api_is_unencrypted:
        logger.warning("VEO_API_URL is plain http: VEO_API_KEY can be read on the way")
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        prepare_files(settings)
        stack.enter_context(exclusive_file_lock(settings.database))
        store = await stack.enter_async_context(opened_store(settings))
        clocks = ClockWatch(store.database, system_clock, limit=settings.lease_ms / 3)
        await _check_clock(clocks)
        await _recover(settings, store, system_clock)
        client = await stack.enter_async_context(logged_in_client(settings, metrics))
        built = await _dependencies(stack, settings, store, client, system_clock, metrics)
        await _open_http(stack, built, role, clocks)
        loops = WorkerLoops()
        if role.works:
            await _add_loops(built, loops, stop)
        jobs = [*loops.jobs(), *_listeners(settings, store, loops), _housekeeping(built, role)]
        if role.works:
            jobs.append(partial(watch_poll_rate, store.diagnosis, settings.rate, system_clock))
        if store.database.is_shared:
            jobs.append(partial(run_chores, [clocks.look], _CLOCK_INTERVAL))
        if role.chats:
            jobs += _chat_jobs(built, loops)
        gateway = partial(connect, client, own_gateway=settings.discord_api_url is not None)
        await supervise(client, jobs, stop, gateway=gateway if role.chats else None)
    logger.info("stopped")


async def _check_clock(clocks: ClockWatch) -> None:
    """Raise DependencyDown when the clock is wrong at the start. Later that is only reported."""
    await clocks.look()
    if clocks.problem is not None:
        raise DependencyDown(clocks.problem)


async def _recover(settings: Settings, store: Store, clock: Clock) -> None:
    if released := await store.recover(clock(), settings.interval_ms):
        logger.info("taking over %d pieces of work from before the restart", released)


async def _dependencies(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    client: CourierClient,
    clock: Clock,
    metrics: Metrics,
) -> _Dependencies:
    limiter: Limiter = RateLimiter(DISCORD_RATE, clock)
    if store.database.is_shared:
        limiter = SharedRateLimiter(store.database, DISCORD, DISCORD_RATE, clock)
    messenger = DiscordMessenger(client, clock, limiter, metrics)
    videos = await _video_cache(stack, settings, store, clock, metrics)
    wanted = max(_MIN_POLLS, min(_MAX_POLLS, int(settings.poll_rate * _SECONDS_PER_ANSWER)))
    poll_slots = max(_MIN_POLLS, min(wanted, raise_file_limit() - _OTHER_FILES))
    session = await stack.enter_async_context(open_api_session(connections=poll_slots))
    api = VideoApiClient(base_url=str(settings.veo_api_url), key=settings.veo_api_key, session=session)
    poll_limiter = RateLimiter(RateLimit(settings.poll_rate, burst=settings.poll_rate), clock)
    return _Dependencies(
        settings=settings,
        store=store,
        client=client,
        messenger=messenger,
        videos=videos,
        api=api,
        poll_slots=poll_slots,
        poll_limiter=poll_limiter,
        fresh_links=FreshLinks(
            api=api, queue=store.tasks, limiter=poll_limiter, interval=settings.interval_ms, clock=clock
        ),
        clock=clock,
        metrics=metrics,
    )


async def _video_cache(
    stack: AsyncExitStack, settings: Settings, store: Store, clock: Clock, metrics: Metrics
) -> VideoCache:
    """Build the video cache, and remove what a crash left in its folder."""
    local, networks = settings.api_on_loopback, settings.video_networks
    session = await stack.enter_async_context(open_download_session(allow_loopback=local, networks=networks))
    downloader = VideoDownloader(
        session=session,
        max_bytes=int(settings.max_video_bytes),
        allow_loopback=local,
        networks=networks,
    )
    videos = VideoCache(settings.data_dir / VIDEOS, downloader, Fitter(), metrics)
    clear = videos.tidy if store.database.is_shared else videos.sweep
    if removed := await clear(await store.deliveries.tasks_to_keep(clock())):
        logger.info("removed %d files that a stop had left", removed)
    return videos


def _chat_jobs(built: _Dependencies, loops: WorkerLoops) -> list[Job]:
    """Add commands and buttons to the client; the jobs register the commands and store gateway state."""
    store, client = built.store, built.client
    tracking = Tracking(
        store=store,
        videos=built.videos,
        fresh_links=built.fresh_links,
        clock=built.clock,
        on_work=loops.wake,
    )
    client.use(tracking, built.messenger, Membership(store.guilds, built.clock, loops.wake))
    commands = CommandSync(client, client.tree, store.key_values, built.settings.discord_guild_id)
    return [commands.run, GatewayRecorder(client, store.key_values, built.clock).run]


async def _add_loops(built: _Dependencies, loops: WorkerLoops, stop: asyncio.Event) -> None:
    loops.add(TASKS, await _poll_loop(built, loops))
    loops.add(DELIVERIES, _delivery_loop(built, loops, stop))
    updater = CardUpdater(queue=built.store.cards, editor=built.messenger, clock=built.clock)
    loops.add(
        CARDS,
        _loop(
            built,
            built.store.cards,
            updater,
            slots=_CARD_SLOTS,
            shutdown_timeout=_CARD_SHUTDOWN,
            may_cancel=False,
        ),
    )


def _loop(
    built: _Dependencies,
    queue: Queue[Any],
    handler: Handler[Any],
    *,
    slots: int,
    shutdown_timeout: float,
    may_cancel: bool,
) -> DurableLoop[Any]:
    """Make a loop that renews its leases early enough for one renewal to fail."""
    return DurableLoop(
        queue,
        handler,
        slots=slots,
        clock=built.clock,
        shutdown_timeout=shutdown_timeout,
        may_cancel=may_cancel,
        renew_interval=built.settings.lease_time / 3,
    )


async def _poll_loop(built: _Dependencies, loops: WorkerLoops) -> DurableLoop[Any]:
    settings, store, clock = built.settings, built.store, built.clock
    on_cards = partial(loops.wake, CARDS)
    pause = ApiPause(store.key_values, store.tasks, clock, interval=settings.interval_ms, on_cards=on_cards)
    await pause.start()
    poller = Poller(
        api=built.api,
        queue=store.tasks,
        pause=pause,
        limiter=built.poll_limiter,
        rules=PollRules(settings.interval_ms, int(settings.task_deadline * SECOND)),
        clock=clock,
        on_change=partial(loops.wake, DELIVERIES, CARDS),
        metrics=built.metrics,
    )
    return _loop(
        built, poller, poller, slots=built.poll_slots, shutdown_timeout=_POLLING_SHUTDOWN, may_cancel=True
    )


def _delivery_loop(built: _Dependencies, loops: WorkerLoops, stop: asyncio.Event) -> DurableLoop[Any]:
    downloads = VideoDownloads(
        queue=built.store.deliveries,
        videos=built.videos,
        fresh_links=built.fresh_links,
        clock=built.clock,
    )
    deliverer = Deliverer(
        queue=built.store.deliveries,
        messenger=built.messenger,
        videos=built.videos,
        downloads=downloads,
        clock=built.clock,
        interval=built.settings.interval_ms,
        stop=stop,
        on_change=partial(loops.wake, CARDS),
        on_free=partial(loops.wake, DELIVERIES),
        metrics=built.metrics,
    )
    return _loop(
        built,
        built.store.deliveries,
        deliverer,
        slots=DELIVERY_SLOTS,
        shutdown_timeout=_POSTING_SHUTDOWN,
        may_cancel=False,
    )


async def _open_http(stack: AsyncExitStack, built: _Dependencies, role: Role, clocks: ClockWatch) -> None:
    """Serve health and metrics, if HTTP_PORT is set."""
    settings, store, clock, client = built.settings, built.store, built.clock, built.client
    if settings.http_port is None:
        return
    check = HealthCheck(
        store,
        clock,
        settings.rate,
        gateway=client.gateway_problem if role.chats else None,
        clock_problem=lambda: clocks.problem,
        works=role.works,
    )
    gateway = partial(_gateway, client) if role.chats else None
    server = open_server(
        settings.http_host,
        settings.http_port,
        check=check,
        gauges=partial(gauges, store.diagnosis, clock, gateway),
        metrics=built.metrics,
    )
    await stack.enter_async_context(server)


def _gateway(client: CourierClient) -> Gateway:
    return Gateway(client.is_up(), len(client.guilds))


def _listeners(settings: Settings, store: Store, loops: WorkerLoops) -> list[Job]:
    """Return the listener for notifications of other processes.

    A `chat` process has no loops and needs none.
    """
    if not store.database.is_shared or not loops.jobs():
        return []
    from bot.storage.postgresql import NotificationListener

    return [NotificationListener(settings.database, loops.wake).run]


def _housekeeping(built: _Dependencies, role: Role) -> Job:
    store, clock = built.store, built.clock
    chores: list[Chore] = []
    if role.works:
        chores += [
            partial(purge_left_guilds, store.guilds, clock),
            partial(tidy_videos, store.deliveries, built.videos, clock),
        ]
    if role.chats:
        chores.append(built.client.recheck)
    return partial(run_chores, chores, HOUSEKEEPING_INTERVAL)
