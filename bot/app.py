"""The composition root: builds everything of a running bot, in order, and closes it in reverse."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.chat.client import CourierClient, register_commands
from bot.chat.gateway.membership import Membership
from bot.chat.messenger import DiscordMessenger
from bot.chat.outbound import DISCORD_RATE
from bot.core.clock import SECOND, Clock, system_clock
from bot.core.errors import DependencyDown
from bot.core.rate_limit import Limiter, RateLimit, RateLimiter
from bot.core.verdicts import PollRules
from bot.media.fit import Fitter
from bot.metrics import Metrics
from bot.ops.server import open_server
from bot.process import prepare_folder, raise_file_limit
from bot.resources import logged_in_client, opened_store
from bot.settings import Role, Settings
from bot.storage.rate_limit import SharedRateLimiter
from bot.storage.sqlite import exclusive_file_lock
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
from bot.work.poller import Poller
from bot.work.tracking import Tracking
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# Seconds. What is being posted may finish; a cancelled poll is made again after the next start.
_POSTING_SHUTDOWN = 20.0
_POLLING_SHUTDOWN = 2.0
_CARD_SHUTDOWN = 5.0
# Most of them wait for a download; downloads, uploads and other posts have slots of their own.
DELIVERY_SLOTS = 1024
_CARD_SLOTS = 4
HOUSEKEEPING_INTERVAL = 3600.0
# Enough polls in flight to keep up the rate although each may take long.
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
    """What every part of the process is built from."""

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
    if settings.api_is_unencrypted:
        logger.warning("VEO_API_URL is plain http: VEO_API_KEY can be read on the way")
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        prepare_folder(settings.data_dir)
        stack.enter_context(exclusive_file_lock(settings.database))
        store = await stack.enter_async_context(opened_store(settings))
        await _check_clock(settings, store, system_clock)
        await _recover(settings, store, system_clock)
        client = await stack.enter_async_context(logged_in_client(settings, metrics))
        built = await _dependencies(stack, settings, store, client, system_clock, metrics)
        await _open_http(stack, built, role)
        loops = WorkerLoops()
        if role.works:
            await _add_loops(built, loops, stop)
        if role.chats:
            await _connect_chat(built, loops)
        jobs = [*loops.jobs(), *_listeners(settings, store, loops), _housekeeping(built, role)]
        await supervise(client, jobs, stop, has_gateway=role.chats)
    logger.info("stopped")


async def _check_clock(settings: Settings, store: Store, clock: Clock) -> None:
    """Raises DependencyDown: with clocks apart, work would be claimed from processes that are alive."""
    if not store.database.is_shared:
        return
    from bot.storage.postgresql import clock_difference

    difference = await clock_difference(store.database, clock)
    if abs(difference) > settings.lease_ms / 3:
        raise DependencyDown(
            f"this machine's clock is {difference / SECOND:+.0f} s off the database's: set both by NTP"
        )


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
    poll_slots = max(_MIN_POLLS, raise_file_limit(wanted + _OTHER_FILES) - _OTHER_FILES)
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
    """The video folder, without what a crash left in it."""
    local, networks = settings.api_on_loopback, settings.video_networks
    session = await stack.enter_async_context(open_download_session(allow_loopback=local, networks=networks))
    downloader = VideoDownloader(
        session=session,
        max_bytes=int(settings.max_video_bytes),
        allow_loopback=local,
        networks=networks,
    )
    videos = VideoCache(settings.data_dir / "videos", downloader, Fitter(), metrics)
    clear = videos.tidy if store.database.is_shared else videos.sweep
    if removed := await clear(await store.deliveries.tasks_to_keep(clock())):
        logger.info("removed %d files that a stop had left", removed)
    return videos


async def _connect_chat(built: _Dependencies, loops: WorkerLoops) -> None:
    """Add commands and buttons; returns once Discord knows the commands."""
    store, client = built.store, built.client
    tracking = Tracking(
        store=store,
        videos=built.videos,
        fresh_links=built.fresh_links,
        clock=built.clock,
        on_work=loops.wake,
    )
    client.use(tracking, built.messenger, Membership(store.guilds, built.clock, loops.wake))
    await register_commands(client, store.key_values, built.settings.discord_guild_id)


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
    """A loop that renews its leases early enough for one renewal to fail."""
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


async def _open_http(stack: AsyncExitStack, built: _Dependencies, role: Role) -> None:
    """Serve health and metrics, if HTTP_PORT is set."""
    if built.settings.http_port is None:
        return
    server = open_server(
        built.settings.http_port,
        built.store,
        built.metrics,
        built.clock,
        interval=built.settings.interval_ms,
        gateway_is_up=built.client.is_up if role.chats else None,
        polls=role.works,
    )
    await stack.enter_async_context(server)


def _listeners(settings: Settings, store: Store, loops: WorkerLoops) -> list[Job]:
    """Notifications from other processes. A `chat` process runs no loops, so it does not listen."""
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
