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
from bot.core.errors import LinkRefused, TryLater, Undeliverable, VideoUnusable
from bot.core.log_fields import log_about
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage
from bot.core.tasks import DueDelivery, TaskState
from bot.metrics import AttemptOutcome, Metrics
from bot.storage.delivery_queue import DeliveryQueue
from bot.work.posting import Messenger, Posted, ResultPoster
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# Some eight minutes of 4xx from the video's host: a new link may need a moment, a dead one stays dead.
_MAX_LINK_REFUSALS = 8
_MIN_RETRY_DELAY = 2 * SECOND
_MAX_RETRY_DELAY = 10 * MINUTE
_QUARANTINE_TIME = HOUR
# Before the link ends, people need this long to use it when our attempts have failed.
_LINK_TIME_FOR_PEOPLE = 2 * HOUR
_MIN_ATTEMPTS_BEFORE_LINK = 3
# Attempts at a direct message before we give up reaching the person.
_MAX_ATTEMPTS_TO_TELL = 20


class Deliverer:
    """The handler of the delivery loop. `on_change` is called when a card must be edited."""

    name = "deliverer"

    def __init__(
        self,
        *,
        queue: DeliveryQueue,
        messenger: Messenger,
        videos: VideoCache,
        clock: Clock,
        stop: asyncio.Event,
        on_change: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._messenger = messenger
        self._videos = videos
        self._poster = ResultPoster(messenger, videos, clock)
        self._clock = clock
        self._stop = stop
        self._on_change = on_change
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
        """Whether it ended. It did not when the process is stopping, or when the lease was lost."""
        result = await self._result(due)
        if result is None or self._stop.is_set():
            # Nothing was tried: due again at once, for the next process.
            await self._queue.postpone(due.delivery.id, lease, self._clock())
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

    async def _record(self, lease: int, due: DueDelivery, posted: Posted) -> None:
        now = self._clock()
        is_ours = await self._queue.mark_posted(
            due, lease, posted.message_id, now, channel_id=posted.channel_id
        )
        logger.info("%s posted", due.task.id)
        if is_ours:
            self._count_posted(due, now)

    def _count_posted(self, due: DueDelivery, now: int) -> None:
        """Count from the completion or the request, whichever is later."""
        self._metrics.attempted(AttemptOutcome.POSTED)
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

    async def _result(self, due: DueDelivery) -> ResultMessage | None:
        """The message to post. None when the process is stopping: the next one downloads the video."""
        task = due.task
        if task.state is not TaskState.COMPLETED or task.video_url is None:
            return ResultMessage(due)
        return await run_unless(self._stop, self._with_video(due, task.video_url))

    async def _with_video(self, due: DueDelivery, url: str) -> ResultMessage:
        try:
            path = await self._videos.video(due.task.id, url)
        except VideoUnusable as error:
            return ResultMessage(due, problem=error.problem)
        except TryLater as error:
            problem = self._reason_to_give_up(due, error)
            if problem is None:
                raise
            _log_download_failure(due, error)
            return ResultMessage(due, problem=problem)
        return await self._poster.fitting(ResultMessage(due, video=path))

    def _reason_to_give_up(self, due: DueDelivery, error: TryLater) -> Problem | None:
        """Why the video is not downloaded again; None to go on trying."""
        attempt, ends_at = due.delivery.attempt + 1, due.task.link_ends_at
        if ends_at is not None and self._clock() >= ends_at:
            return Problem(ProblemCode.LINK_ENDED)
        if isinstance(error, LinkRefused) and attempt >= _MAX_LINK_REFUSALS:
            return Problem(ProblemCode.LINK_DEAD)
        ends_soon = ends_at is not None and self._clock() >= ends_at - _LINK_TIME_FOR_PEOPLE
        give_up = ends_soon and attempt >= _MIN_ATTEMPTS_BEFORE_LINK
        return Problem(ProblemCode.LINK_ENDING) if give_up else None

    async def _postpone(self, lease: int, due: DueDelivery, delay: int, **changes: str) -> None:
        await self._queue.postpone(
            due.delivery.id,
            lease,
            self._clock() + delay,
            attempt=due.delivery.attempt + 1,
            **changes,
        )

    async def _remove_unneeded_files(self, due: DueDelivery) -> None:
        if due.task.state is TaskState.COMPLETED and not await self._queue.is_owed(
            due.task.id, self._clock()
        ):
            await self._videos.remove(due.task.id)


def _log_download_failure(due: DueDelivery, error: TryLater) -> None:
    logger.error("%s: the video could not be downloaded: %s", due.task.id, error)
