"""The one place that builds things, in order, and closes them in reverse: a running bot."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.chat.client import CourierClient, register_commands
from bot.chat.membership import Membership
from bot.chat.messenger import DiscordMessenger
from bot.chat.outbound import CALLS, LocalTurns, Turns
from bot.core.budget import RateBudget
from bot.core.clock import SECOND, Clock, system_clock
from bot.core.errors import DependencyDown
from bot.core.meter import UNMETERED, Meter
from bot.core.verdicts import PollRules
from bot.media.fit import Fitter
from bot.roles import Role
from bot.serving import Job, serve
from bot.settings import Settings
from bot.startup import allow_open_files, logged_in, prepare_folder, sole_owner, store_of
from bot.storage.paces import SharedTurns
from bot.storage.store import CARDS, DELIVERIES, DISCORD, TASKS, Store
from bot.veo.client import VideoApiClient, open_api_session
from bot.veo.download import VideoDownloader, open_download_session
from bot.work.card_keeper import CardKeeper
from bot.work.deliverer import Deliverer
from bot.work.housekeeping import Chore, Housekeeper, forget_departed, tidy_videos
from bot.work.loop import DurableLoop, Source
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
DELIVERIES_AT_ONCE = 12
_CARDS_AT_ONCE = 4
HOUSEKEEPING_EVERY = 3600.0
# Enough questions in flight to keep up the rate though each takes as long as it may.
_FEWEST_QUESTIONS, _MOST_QUESTIONS, _SECONDS_PER_ANSWER = 16, 2048, 10
# Database, gateway, uploads, downloads, logs.
_OTHER_FILES = 256


class Loops:
    """The durable loops of this process by the queue they work on, and waking them, whoever made the work."""

    def __init__(self) -> None:
        self._by_queue: dict[str, DurableLoop[Any]] = {}

    def add(self, queue: str, loop: DurableLoop[Any]) -> None:
        self._by_queue[queue] = loop

    def wake(self, *queues: str) -> None:
        """Those that work on `queues`, or all: each look costs a transaction or two."""
        for queue, loop in self._by_queue.items():
            if not queues or queue in queues:
                loop.wake()

    def all(self) -> list[DurableLoop[Any]]:
        return list(self._by_queue.values())


@dataclass(frozen=True, slots=True)
class _Parts:
    """What every part of the process is built from."""

    settings: Settings
    store: Store
    client: CourierClient
    messenger: DiscordMessenger
    shelf: Shelf
    clock: Clock
    meter: Meter


async def run(settings: Settings, stop: asyncio.Event, role: Role = Role.ALL) -> None:
    """Runs until `stop` is set. Raises CannotStart, StorageUnavailable, or whatever a loop died of."""
    role.check(settings)
    async with AsyncExitStack() as stack:
        prepare_folder(settings.data_dir)
        stack.enter_context(sole_owner(settings.database))
        store = await stack.enter_async_context(store_of(settings))
        await _check_clock(settings, store, system_clock)
        await _take_over(store, system_clock)
        counted = _prometheus(settings)
        client = await stack.enter_async_context(logged_in(settings, counted or UNMETERED))
        parts = await _parts(stack, settings, store, client, system_clock, counted or UNMETERED)
        await _open_http(stack, parts, role, counted)
        loops = Loops()
        if role.works:
            await _build_loops(stack, parts, loops, stop)
        if role.chats:
            await _build_chat(parts, loops)
        jobs = [*loops.all(), *_news(settings, store, loops), _housekeeper(parts, role)]
        await serve(client, jobs, stop, has_gateway=role.chats)
    logger.info("stopped")


async def _check_clock(settings: Settings, store: Store, clock: Clock) -> None:
    """Raises DependencyDown: with clocks apart, work would be taken from processes that are alive."""
    if not store.database.is_shared:
        return
    from bot.storage.postgresql import clock_difference

    difference = await clock_difference(store.database, clock)
    if abs(difference) > settings.lease_ms / 3:
        raise DependencyDown(
            f"this machine's clock is {difference / SECOND:+.0f} s off the database's: set both by NTP"
        )


async def _take_over(store: Store, clock: Clock) -> None:
    if orphans := await store.take_over(clock()):
        logger.info("taking over %d pieces of work from before the restart", orphans)


async def _parts(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    client: CourierClient,
    clock: Clock,
    meter: Meter,
) -> _Parts:
    turns: Turns = LocalTurns(clock)
    if store.database.is_shared:
        turns = SharedTurns(store.database, DISCORD, CALLS, clock)
    messenger = DiscordMessenger(client, clock, turns, meter)
    shelf = await _shelf(stack, settings, store, clock, meter)
    return _Parts(settings, store, client, messenger, shelf, clock, meter)


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
    clear = shelf.tidy if store.database.is_shared else shelf.sweep
    if removed := await clear(await store.deliveries.tasks_to_keep(clock())):
        logger.info("removed %d files that a stop had left", removed)
    return shelf


async def _build_chat(parts: _Parts, loops: Loops) -> None:
    """Commands and buttons; returns once Discord knows them."""
    store, client = parts.store, parts.client
    registry = Registry(
        registrations=store.registrations,
        lookups=store.lookups,
        people=store.people,
        cards=store.cards,
        facts=store.facts,
        videos=parts.shelf,
        clock=parts.clock,
        on_work=loops.wake,
    )
    client.use(registry, parts.messenger, Membership(store.guilds, parts.clock, loops.wake))
    await register_commands(client, store.facts, parts.settings.discord_guild_id)


async def _build_loops(stack: AsyncExitStack, parts: _Parts, loops: Loops, stop: asyncio.Event) -> None:
    loops.add(TASKS, await _poller(stack, parts, loops))
    loops.add(DELIVERIES, _deliverer(parts, loops, stop))
    keeper = CardKeeper(cards=parts.store.cards, easel=parts.messenger, clock=parts.clock)
    loops.add(CARDS, _loop(parts, keeper, room=_CARDS_AT_ONCE, grace=_CARD_GRACE, may_cancel=False))


def _loop(
    parts: _Parts, source: Source[Any], *, room: int, grace: float, may_cancel: bool
) -> DurableLoop[Any]:
    """Renews early enough for one renewal to fail."""
    return DurableLoop(
        source,
        room=room,
        clock=parts.clock,
        grace=grace,
        may_cancel=may_cancel,
        renew_every=parts.settings.lease_time / 3,
    )


async def _poller(stack: AsyncExitStack, parts: _Parts, loops: Loops) -> DurableLoop[Any]:
    settings, store, clock = parts.settings, parts.store, parts.clock
    wanted = max(_FEWEST_QUESTIONS, min(_MOST_QUESTIONS, int(settings.poll_rate * _SECONDS_PER_ANSWER)))
    room = max(_FEWEST_QUESTIONS, allow_open_files(wanted + _OTHER_FILES) - _OTHER_FILES)
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
        on_change=partial(loops.wake, DELIVERIES, CARDS),
        meter=parts.meter,
    )
    return _loop(parts, poller, room=room, grace=_POLLING_GRACE, may_cancel=True)


def _deliverer(parts: _Parts, loops: Loops, stop: asyncio.Event) -> DurableLoop[Any]:
    deliverer = Deliverer(
        deliveries=parts.store.deliveries,
        messenger=parts.messenger,
        shelf=parts.shelf,
        clock=parts.clock,
        stop=stop,
        on_change=partial(loops.wake, CARDS),
        meter=parts.meter,
    )
    return _loop(parts, deliverer, room=DELIVERIES_AT_ONCE, grace=_POSTING_GRACE, may_cancel=False)


def _prometheus(settings: Settings) -> "PrometheusMeter | None":
    """Three MiB, for those who asked for it."""
    if settings.http_port is None:
        return None
    from bot.ops.counters import PrometheusMeter

    return PrometheusMeter()


async def _open_http(
    stack: AsyncExitStack, parts: _Parts, role: Role, counted: "PrometheusMeter | None"
) -> None:
    if parts.settings.http_port is None or counted is None:
        return
    from bot.ops.server import open_server

    server = open_server(
        parts.settings.http_port,
        parts.store,
        counted,
        parts.clock,
        gateway_is_up=parts.client.is_up if role.chats else None,
        asks=role.works,
    )
    await stack.enter_async_context(server)


def _news(settings: Settings, store: Store, loops: Loops) -> Sequence[Job]:
    """A process that only chats has no loop to wake."""
    if not store.database.is_shared or not loops.all():
        return []
    from bot.storage.postgresql import News

    return [News(settings.database, loops.wake)]


def _housekeeper(parts: _Parts, role: Role) -> Housekeeper:
    store, clock = parts.store, parts.clock
    chores: list[Chore] = []
    if role.works:
        chores += [
            partial(forget_departed, store.guilds, clock),
            partial(tidy_videos, store.deliveries, parts.shelf, clock),
        ]
    if role.chats:
        chores.append(parts.client.recheck)
    return Housekeeper(chores, every=HOUSEKEEPING_EVERY)
