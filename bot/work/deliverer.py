"""Delivers one due result: downloads the video, posts the message, records what Discord answered.

Act, then record: a crash in between makes it act twice, which `posting.py` makes harmless.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from bot.aio import run_unless
from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, MINUTE, SECOND, Clock
from bot.core.errors import TryLater, Undeliverable
from bot.core.log_fields import log_about
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage
from bot.core.tasks import DueDelivery, TaskState
from bot.metrics import AttemptOutcome, Metrics
from bot.storage.delivery_queue import DeliveryQueue
from bot.work.downloading import Downloaded, TryAgain, VideoDownloads, WithoutVideo
from bot.work.posting import Messenger, Posted, ResultPoster
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

_MIN_RETRY_DELAY = 2 * SECOND
_MAX_RETRY_DELAY = 10 * MINUTE
_QUARANTINE_TIME = HOUR
# Attempts at a direct message before we give up reaching the person.
_MAX_ATTEMPTS_TO_TELL = 20


class Deliverer:
    """The handler of the delivery loop.

    `on_change` is called when a card must be edited, `on_free` when a channel is free for its next delivery
    although this one goes on.
    """

    name = "deliverer"

    def __init__(
        self,
        *,
        queue: DeliveryQueue,
        messenger: Messenger,
        videos: VideoCache,
        downloads: VideoDownloads,
        clock: Clock,
        stop: asyncio.Event,
        on_change: Callable[[], None],
        metrics: Metrics,
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._messenger = messenger
        self._videos = videos
        self._downloads = downloads
        self._poster = ResultPoster(messenger, videos, clock)
        self._clock = clock
        self._stop = stop
        self._on_change = on_change
        self._on_free = on_free
        self._metrics = metrics

    async def quarantine(self, lease: int, work: DueDelivery, reason: str) -> None:
        """Keep a delivery back for an hour, because our own bug stopped it."""
        self._metrics.attempted(AttemptOutcome.QUARANTINED)
        await self._postpone(
            lease,
            work,
            _QUARANTINE_TIME,
            last_error=Problem(ProblemCode.OUR_BUG).to_text(),
            quarantine_reason=reason,
        )

    async def handle(self, lease: int, work: DueDelivery) -> None:
        """Try to deliver one result, and record the outcome."""
        log_about("deliver", work)
        try:
            ended = await self._deliver(lease, work)
        except TryLater as error:
            await self._try_later(lease, work, error)
            return
        if ended:
            self._on_change()
        await self._remove_unneeded_files(work)

    async def _deliver(self, lease: int, due: DueDelivery) -> bool:
        """Whether it ended: not when it was postponed, the process stops, or the lease was lost."""
        result = await run_unless(self._stop, self._result(lease, due))
        if self._stop.is_set():
            # Nothing was posted: due again at once, for the next process.
            await self._queue.postpone(due.delivery.id, lease, self._clock(), is_preparing=False)
            return False
        if result is None:
            return False
        begun_at = await self._queue.begin_sending(due.delivery.id, lease, self._clock())
        if begun_at is None:
            return False  # untracked, or another process has it
        try:
            posted = await self._poster.post(replace(result, begun_at=begun_at))
        except Undeliverable as error:
            await self._give_up(lease, result, error)
        else:
            await self._record(lease, due, posted)
        return True

    async def _result(self, lease: int, due: DueDelivery) -> ResultMessage | None:
        """The message to post. None when there is none yet: postponed, or the lease was lost."""
        task = due.task
        if task.state is not TaskState.COMPLETED or task.video_url is None:
            return ResultMessage(due)
        video = await self._videos.find(task.id)
        if video is not None:
            result = ResultMessage(due, video=video)
            if await self._poster.fits(result):
                return result
        since = await self._queue.begin_preparing(due.delivery.id, lease, self._clock())
        if since is None:
            return None
        # Its channel is free for others from here on.
        self._on_free()
        return await self._prepared(lease, due, since)

    async def _prepared(self, lease: int, due: DueDelivery, since: int) -> ResultMessage | None:
        download = await self._downloads.download(due, since)
        match download:
            case Downloaded(video):
                return await self._poster.fitting(ResultMessage(due, video=video))
            case WithoutVideo(problem):
                return ResultMessage(due, problem=problem)
            case TryAgain(delay, problem, changes):
                await self._try_again(lease, due, delay, problem, changes)
                return None

    async def _try_again(
        self, lease: int, due: DueDelivery, delay: int, problem: Problem, changes: dict[str, int]
    ) -> None:
        logger.info("%s: no video yet: %s; next try in %d s", due.task.id, problem, delay // SECOND)
        self._metrics.attempted(AttemptOutcome.RETRIED)
        await self._queue.postpone(
            due.delivery.id,
            lease,
            self._clock() + delay,
            is_preparing=False,
            last_error=problem.to_text(),
            **changes,
        )

    async def _record(self, lease: int, due: DueDelivery, posted: Posted) -> None:
        now = self._clock()
        is_ours = await self._queue.mark_posted(
            due, lease, posted.message_id, now, channel_id=posted.channel_id
        )
        if posted.problem is None:
            logger.info("%s posted", due.task.id)
        else:
            logger.warning("%s posted without its video: %s", due.task.id, posted.problem)
        if is_ours:
            self._count_posted(due, posted, now)

    def _count_posted(self, due: DueDelivery, posted: Posted, now: int) -> None:
        """Count from the completion or the request, whichever is later."""
        self._metrics.attempted(AttemptOutcome.POSTED)
        if posted.problem is not None:
            self._metrics.posted_without_video(posted.problem.code)
        if due.task.state is TaskState.COMPLETED and due.task.finished_at is not None:
            since = max(due.task.finished_at, due.delivery.created_at)
            self._metrics.delivered((now - since) / SECOND)

    async def _give_up(self, lease: int, result: ResultMessage, error: Undeliverable) -> None:
        """Tell first, record after: a crash in between tells twice rather than never."""
        due = result.due
        logger.warning("%s cannot be posted: %s", due.task.id, error)
        told_before = due.delivery.ended_at is not None
        if not told_before:
            await self._send_privately(result, error)
        if await self._queue.mark_undeliverable(due, lease, error.problem, self._clock()):
            self._metrics.attempted(AttemptOutcome.UNDELIVERABLE)

    async def _send_privately(self, result: ResultMessage, why: Undeliverable) -> None:
        try:
            await self._messenger.send_privately(result, why.problem)
        except TryLater as unreachable:
            if result.due.delivery.attempt < _MAX_ATTEMPTS_TO_TELL:
                raise
            logger.warning("nor could its requester be told of %s: %s", result.due.task.id, unreachable)

    async def _try_later(self, lease: int, due: DueDelivery, error: TryLater) -> None:
        attempt = due.delivery.attempt + 1
        delay = retry_delay(
            attempt, base=_MIN_RETRY_DELAY, cap=_MAX_RETRY_DELAY, retry_after=error.retry_after
        )
        logger.warning("%s not posted yet: %s; next attempt in %d s", due.task.id, error, delay // SECOND)
        self._metrics.attempted(AttemptOutcome.RETRIED)
        await self._postpone(lease, due, delay, last_error=error.problem.to_text())

    async def _postpone(self, lease: int, due: DueDelivery, delay: int, **changes: str) -> None:
        await self._queue.postpone(
            due.delivery.id,
            lease,
            self._clock() + delay,
            attempt=due.delivery.attempt + 1,
            is_preparing=False,
            **changes,
        )

    async def _remove_unneeded_files(self, due: DueDelivery) -> None:
        if due.task.state is TaskState.COMPLETED and not await self._queue.is_owed(
            due.task.id, self._clock()
        ):
            await self._videos.remove(due.task.id)
