"""A process of the bot in a run: its real parts, wired as `bot.app` does, over the models."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from bot import app
from bot.chat.gateway.membership import Membership
from bot.core.clock import SECOND
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.metrics import Metrics
from bot.settings import Role, read_settings
from bot.storage.store import open_store
from bot.work.download_slots import DownloadSlots
from bot.work.fresh_links import FreshLinks
from bot.work.tracking import Tracking
from bot.work.video_cache import VideoCache
from tests.explore.api_model import Downloader, Fitter
from tests.explore.discord_model import Messenger
from tests.explore.loop import Process
from tests.explore.people import Command
from tests.explore.schedule import World

INTERVAL = 30 * SECOND
LEASE = 60 * SECOND
SETTINGS = read_settings(
    _env_file=None,
    discord_token="explored-token",
    veo_api_key="explored-key",
    veo_api_url="http://127.0.0.1:1",
    poll_interval=INTERVAL / SECOND,
    lease_time=LEASE / SECOND,
    task_deadline=1200,
)
_METRICS = Metrics()


@dataclass(slots=True)
class Bot:
    """A process of the bot with what people and the gateway need of it."""

    process: Process
    stop: asyncio.Event
    loops: app.WorkerLoops = field(default_factory=app.WorkerLoops)
    tracking: Tracking | None = None  # once it has started
    membership: Membership | None = None
    messenger: Messenger | None = None
    commands: list[Command] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        return self.tracking is not None and not (self.process.is_frozen or self.process.is_dead)

    @property
    def is_busy(self) -> bool:
        if self.process.is_dead or self.process.is_frozen:
            return False
        return bool(self.process.in_flight) or any(loop._jobs for loop in self.loops._by_queue.values())

    async def run(self, world: World, *, recover: bool) -> None:
        """As `bot.app` does, with the models in the place of Discord, the API, the host and ffmpeg."""
        self.process.in_flight += 1
        async with open_store(
            f"sqlite:///{world.database}", limits=SETTINGS.limits, interval=INTERVAL, lease_time=LEASE
        ) as store:
            if recover:
                await store.recover(world.now(), INTERVAL)
            slots = DownloadSlots(seconds=world.loop.time)
            videos = VideoCache(
                world.videos,
                Downloader(world, world.films),
                Fitter(world, world.scenario.smaller),
                _METRICS,
                slots,
            )
            clear = videos.sweep if recover else videos.tidy
            await clear(await store.deliveries.tasks_to_keep(world.now()))
            limiter = RateLimiter(RateLimit(100, burst=100), world.now)
            links = FreshLinks(
                api=world.api, queue=store.tasks, limiter=limiter, interval=INTERVAL, clock=world.now
            )
            self.messenger = Messenger(world)
            self.membership = Membership(store.guilds, world.now, self.loops.wake)
            built = app._Dependencies(
                settings=SETTINGS,
                store=store,
                client=cast("Any", SimpleNamespace(recheck=lambda: self.membership.changed(world.guild))),
                messenger=cast("Any", self.messenger),
                videos=videos,
                api=cast("Any", world.api),
                poll_slots=32,
                poll_limiter=limiter,
                fresh_links=links,
                clock=world.now,
                metrics=_METRICS,
            )
            await app._add_loops(built, self.loops, self.stop)
            jobs = [*self.loops.jobs(), app._housekeeping(built, Role.ALL)]
            running = [asyncio.create_task(job(self.stop)) for job in jobs]
            self.tracking = Tracking(
                store=store, videos=videos, fresh_links=links, clock=world.now, on_work=self.loops.wake
            )
            self.process.in_flight -= 1
            await asyncio.gather(*running)
