"""A deliverer with the real store and folder; Discord, video API, downloads and fitting are scripted."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from bot.core.answers import Answer
from bot.core.errors import DiscordUnavailable
from bot.core.problems import Problem
from bot.core.rate_limit import RateLimit, RateLimiter
from bot.core.reactions import Reaction
from bot.core.results import LookUp, ResultMessage
from bot.core.tasks import Delivery
from bot.media.mp4 import Mp4, inspect_mp4
from bot.metrics import Metrics
from bot.storage.store import Store
from bot.storage.tables import deliveries
from bot.work.deliverer import Deliverer
from bot.work.downloading import VideoDownloads
from bot.work.fresh_links import FreshLinks
from bot.work.video_cache import VideoCache
from tests.boxes import FILM, box
from tests.conftest import INTERVAL
from tests.factories import CHANNEL, COMPLETED, look_up, make_refusal
from tests.timing import FakeClock

# Still a whole video when cut within its last box, because that box holds no sample.
MP4 = FILM + box(b"free", bytes(64))


class ScriptedDiscord:
    """Accepts every message, unless a test has queued an error. One nonce is one message."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.accepts_then_cuts = False
        self.deleted: set[str] = set()
        self.tried: list[ResultMessage] = []
        self.messages: dict[str, tuple[int, bytes | None, Problem | None]] = {}
        self.forgets_nonces = False
        self.looked_up: list[int] = []
        self.look_up: LookUp | None = None  # the result of every look-up
        self.sent_privately: list[tuple[int, Problem]] = []
        self.tried_privately: list[tuple[ResultMessage, int | None]] = []
        self.unreachable: deque[Exception] = deque()
        self.rights: int | None = None
        self.takes_text = True
        # The error that a channel always answers with, by its id.
        self.always: dict[int, Exception] = {}
        self.parent: int | None = None
        self.refuses_more_than: int | None = None
        self.found_only_in: int | None = None
        self.upload_limit_of_guild = 10 * 1024 * 1024
        self.held_uploads: asyncio.Event | None = None
        self.uploading = 0

    async def post(self, result: ResultMessage, *, not_after: float) -> int | None:
        self.tried.append(result)
        if self.errors:
            raise self.errors.popleft()
        if result.channel_id in self.always:
            raise self.always[result.channel_id]
        if self.refuses_more_than is not None and result.attachment:
            self._check_size(result.attachment.size, self.refuses_more_than)
        if self.held_uploads and result.attachment:
            await self._upload_slowly(self.held_uploads)
        nonce = result.due.delivery.nonce
        if nonce in self.deleted:
            return None
        if nonce not in self.messages or self.forgets_nonces:
            video = result.attachment
            data = await asyncio.to_thread(video.path.read_bytes) if video else None
            self.messages[nonce] = (5000 + len(self.tried), data, result.problem)
        if self.accepts_then_cuts:
            self.accepts_then_cuts = False
            raise DiscordUnavailable("connection cut")
        return self.messages[nonce][0]

    async def _upload_slowly(self, held: asyncio.Event) -> None:
        self.uploading += 1
        try:
            await held.wait()
        finally:
            self.uploading -= 1

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            self.upload_limit_of_guild = limit
            raise make_refusal(Reaction.TOO_LARGE)

    async def send_privately(
        self, result: ResultMessage, why: Problem, *, since: int | None, not_after: float
    ) -> None:
        self.tried_privately.append((result, since))
        if self.unreachable:
            raise self.unreachable.popleft()
        self.sent_privately.append((result.due.delivery.requester_id, why))

    async def find(self, result: ResultMessage, *, since: int) -> LookUp:
        self.looked_up.append(result.channel_id)
        if self.look_up is not None:
            return self.look_up
        if self.found_only_in not in (None, result.channel_id):
            return LookUp(is_absent=True)
        found = self.messages.get(result.due.delivery.nonce)
        return LookUp(message_id=found[0]) if found else LookUp(is_absent=True)

    async def parent_of(self, thread_id: int) -> int | None:
        return self.parent

    async def upload_limit(self, guild_id: int, wanted: int) -> int:
        return self.upload_limit_of_guild

    def rights_in(self, guild_id: int, channel_id: int) -> int | None:
        return self.rights

    def may_send_text(self, guild_id: int, channel_id: int) -> bool:
        return self.takes_text

    @property
    def uploads(self) -> int:
        """How many uploads of the video were tried, to the channel or the person, accepted or not."""
        sent = [*self.tried, *(result for result, _ in self.tried_privately)]
        return sum(result.attachment is not None for result in sent)


class ScriptedFitter:
    """Cuts the video off at the limit, unless a test has queued an error."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.limits: list[int] = []

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        self.limits.append(limit)
        if self.errors:
            raise self.errors.popleft()
        data = await asyncio.to_thread(source.read_bytes)
        await asyncio.to_thread(destination.write_bytes, data[:limit])


class ScriptedDownloads:
    """Writes the video, unless a test has queued an error or holds the download."""

    def __init__(self) -> None:
        self.errors: deque[Exception] = deque()
        self.urls: list[str] = []
        self.timeouts: list[float] = []
        self.held: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def fetch(
        self, url: str, destination: Path, *, timeout: float, on_progress: Callable[[int], None]
    ) -> Mp4:
        self.urls.append(url)
        self.timeouts.append(timeout)
        self.begun.set()
        if self.held:
            await self.held.wait()
        if self.errors:
            raise self.errors.popleft()
        on_progress(len(MP4))
        await asyncio.to_thread(destination.write_bytes, MP4)
        return await asyncio.to_thread(inspect_mp4, destination)


class ScriptedApi:
    """Answers every poll with the same answer."""

    def __init__(self, answer: Answer = COMPLETED) -> None:
        self.answer = answer
        self.polled: list[str] = []

    async def poll(self, task_id: str) -> Answer:
        self.polled.append(task_id)
        return self.answer


def scripted_fresh_links(store: Store, clock: FakeClock, api: ScriptedApi) -> FreshLinks:
    limiter = RateLimiter(RateLimit(1000, burst=1000), clock)
    return FreshLinks(api=api, queue=store.tasks, limiter=limiter, interval=INTERVAL, clock=clock)


@dataclass
class DelivererEnv:
    """A deliverer and all its dependencies."""

    store: Store
    clock: FakeClock
    folder: Path
    discord: ScriptedDiscord = field(default_factory=ScriptedDiscord)
    downloads: ScriptedDownloads = field(default_factory=ScriptedDownloads)
    fitter: ScriptedFitter = field(default_factory=ScriptedFitter)
    api: ScriptedApi = field(default_factory=ScriptedApi)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)
    changes: int = 0
    frees: int = 0
    channels: int = 2000  # the last channel id given out
    wake: Callable[[], None] = lambda: None
    videos: VideoCache = field(init=False)
    fresh_links: FreshLinks = field(init=False)
    deliverer: Deliverer = field(init=False)

    def __post_init__(self) -> None:
        self.videos = VideoCache(self.folder, self.downloads, self.fitter, self.metrics)
        self.fresh_links = scripted_fresh_links(self.store, self.clock, self.api)
        self.deliverer = Deliverer(
            queue=self.store.deliveries,
            messenger=self.discord,
            videos=self.videos,
            downloads=VideoDownloads(
                queue=self.store.deliveries,
                videos=self.videos,
                fresh_links=self.fresh_links,
                clock=self.clock,
            ),
            clock=self.clock,
            interval=INTERVAL,
            stop=self.stop,
            on_change=self._changed,
            on_free=self._freed,
            metrics=self.metrics,
        )

    def _changed(self) -> None:
        self.changes += 1

    def _freed(self) -> None:
        self.frees += 1
        self.wake()

    async def deliver(self, count: int = 1) -> None:
        """Attempt the next `count` due deliveries, one after the other."""
        for _ in range(count):
            claim = await self.store.deliveries.claim(1, self.clock())
            (due,) = claim.work
            await self.deliverer.handle(claim.lease, due)

    async def delivery(self, channel: int = CHANNEL) -> Delivery:
        return (await look_up(self.store, channel=channel)).delivery

    def files(self) -> list[Path]:
        return list(self.folder.iterdir())


async def restart(env: DelivererEnv) -> None:
    """Remove the mark of this process from the rows, so that nothing proves they were never sent."""
    await env.store.database.run(
        lambda connection: connection.execute(sa.update(deliveries).values(run=None))
    )


async def make_due(env: DelivererEnv) -> None:
    """Make every delivery due now, as if its back-off were over."""
    await env.store.database.run(
        lambda connection: connection.execute(sa.update(deliveries).values(due_at=0))
    )
