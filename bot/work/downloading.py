"""Downloads the video of one delivery, or decides that the result is posted without it.

The rules are "What ends a download": after an odd answer the host is tried six times within about a minute,
then the API is polled for a fresh link. A failure on the way is retried for two hours. After a crash the
numbers in the delivery's row go on.
"""

import asyncio
import logging
from dataclasses import dataclass

from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, MINUTE, SECOND, Clock
from bot.core.errors import LinkRefused, StorageUnavailable, TryLater, VideoUnusable
from bot.core.problems import Problem, ProblemCode
from bot.core.results import LINK_SHOWN_AFTER, Video
from bot.core.tasks import Delivery, DueDelivery, TrackedTask
from bot.storage.delivery_queue import DeliveryQueue
from bot.work.fresh_links import FreshLinks, LinkState
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

_MAX_TRIES = 6
# Milliseconds before the next try: six tries take about a minute.
_TRY_DELAYS = (1 * SECOND, 3 * SECOND, 8 * SECOND, 16 * SECOND, 30 * SECOND)
MAX_FRESH_LINKS = 3
# After two hours the result is posted with the link.
_PATIENCE = 2 * HOUR
# A try has at least this time, also when the link should have ended already.
_MIN_TIMEOUT = MINUTE
_MIN_RETRY_DELAY = 2 * SECOND
_MAX_RETRY_DELAY = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The video is on our disk."""

    video: Video


@dataclass(frozen=True, slots=True)
class WithoutVideo:
    """The result is posted without the video, for this reason."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The delivery is due again after `delay` ms, with these columns changed."""

    delay: int
    problem: Problem
    changes: dict[str, int]


Download = Downloaded | WithoutVideo | TryAgain


class VideoDownloads:
    """Decides about the download of each delivery. Times in UTC milliseconds."""

    def __init__(
        self, *, queue: DeliveryQueue, videos: VideoCache, fresh_links: FreshLinks, clock: Clock
    ) -> None:
        self._queue = queue
        self._videos = videos
        self._fresh_links = fresh_links
        self._clock = clock

    async def download(self, due: DueDelivery, since: int) -> Download:
        """Try once. The first try was at `since`. Raises StorageUnavailable."""
        task, delivery = due.task, due.delivery
        assert task.video_url is not None  # noqa: S101 - only completed tasks with a link come here
        try:
            return Downloaded(await self._try_download(due, task.video_url, since))
        except VideoUnusable as error:
            return WithoutVideo(error.problem)
        except LinkRefused as error:
            return await self._after_refusal(task, delivery, error)
        except StorageUnavailable:
            raise
        except (TryLater, TimeoutError) as error:
            return await self._after_trouble(task, delivery, since, error)

    async def _try_download(self, due: DueDelivery, url: str, since: int) -> Video:
        """Download within the two hours and before the link ends.

        After ten minutes the card shows the link.
        """
        job = asyncio.ensure_future(
            self._videos.download(
                due.task.id, url, due.delivery.requester_id, self._time_left(due.task, since)
            )
        )
        showing = asyncio.ensure_future(self._show_link_later(due.task.id, since + LINK_SHOWN_AFTER))
        try:
            return await job
        finally:
            for each in (job, showing):
                each.cancel()
            await asyncio.gather(job, showing, return_exceptions=True)

    def _time_left(self, task: TrackedTask, since: int) -> float:
        """Return the seconds that a try may take, including the wait for a slot."""
        now = self._clock()
        end = min(since + _PATIENCE, task.link_ends_at or since + _PATIENCE)
        return max(end - now, _MIN_TIMEOUT) / SECOND

    async def _show_link_later(self, task_id: str, at: int) -> None:
        """Show the link at `at`, in each try again, because an earlier process may have ended before."""
        await asyncio.sleep(max(at - self._clock(), 0) / SECOND)
        await self._show_link(task_id, self._clock())

    async def _show_link(self, task_id: str, at: int) -> None:
        try:
            await self._queue.show_link(task_id, at)
        except StorageUnavailable as error:
            logger.warning("%s: its link is not on the card yet: %s", task_id, error)

    # -- failures on the way ---------------------------------------------------------------------

    async def _after_trouble(
        self, task: TrackedTask, delivery: Delivery, since: int, error: TryLater | TimeoutError
    ) -> Download:
        now = self._clock()
        if task.link_ends_at is not None and now >= task.link_ends_at:
            return WithoutVideo(Problem(ProblemCode.LINK_ENDED))
        if now - since >= _PATIENCE:
            return WithoutVideo(Problem(ProblemCode.DOWNLOAD_FAILED))
        attempt = 1 if getattr(error, "progressed", False) else delivery.download_attempt + 1
        delay = retry_delay(
            attempt,
            base=_MIN_RETRY_DELAY,
            cap=_MAX_RETRY_DELAY,
            retry_after=getattr(error, "retry_after", None),
        )
        delay = min(delay, _MAX_RETRY_DELAY, max(since + _PATIENCE - now, SECOND))
        shown_at = since + LINK_SHOWN_AFTER
        if now + delay >= shown_at:
            # Not before that time, because the card's text depends on it.
            await self._show_link(task.id, max(now, shown_at))
        problem = error.problem if isinstance(error, TryLater) else Problem(ProblemCode.DOWNLOAD_INTERRUPTED)
        return TryAgain(delay, problem, {"download_attempt": attempt})

    # -- odd answers -----------------------------------------------------------------------------

    async def _after_refusal(self, task: TrackedTask, delivery: Delivery, error: LinkRefused) -> Download:
        if error.progressed:
            return TryAgain(_TRY_DELAYS[0], error.problem, {"download_tries": 0})
        tries = delivery.download_tries + 1
        if tries < _MAX_TRIES:
            return TryAgain(_TRY_DELAYS[tries - 1], error.problem, {"download_tries": tries})
        return await self._poll_fresh_link(task, delivery, error)

    async def _poll_fresh_link(self, task: TrackedTask, delivery: Delivery, error: LinkRefused) -> Download:
        """Poll for a fresh link, which is tried like the first one. The same link again ends the download."""
        count = delivery.fresh_links + 1
        if count > MAX_FRESH_LINKS:
            return WithoutVideo(_final_problem(error))
        link = await self._fresh_links.poll(task)
        match link.state:
            case LinkState.FRESH:
                return TryAgain(0, error.problem, {"download_tries": 0, "fresh_links": count})
            case LinkState.SAME:
                return WithoutVideo(_final_problem(error))
            case LinkState.TOO_EARLY:
                delay = max(link.poll_again_at - self._clock(), SECOND)
                return TryAgain(delay, error.problem, {"download_tries": _MAX_TRIES - 1})
            case LinkState.NO_ANSWER:
                changes = {"download_tries": _MAX_TRIES - 1, "fresh_links": count}
                return TryAgain(30 * SECOND, error.problem, changes)


def _final_problem(error: LinkRefused) -> Problem:
    """Return why there is no video. A status of the host means a dead link; other reasons are more exact."""
    is_status = error.problem.code is ProblemCode.LINK_REFUSED
    return Problem(ProblemCode.LINK_DEAD) if is_status else error.problem
