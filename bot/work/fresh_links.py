"""Polls the video API for a fresh link to a finished video. Only the link changes, never state or reason."""

import logging
from dataclasses import dataclass
from enum import StrEnum

from bot.core.answers import AnswerKind
from bot.core.clock import Clock
from bot.core.rate_limit import RateLimiter
from bot.core.results import link_end
from bot.core.tasks import TrackedTask
from bot.storage.task_queue import TaskQueue
from bot.work.poller import VideoApi

logger = logging.getLogger(__name__)


class LinkState(StrEnum):
    """What the API says about the link of a finished video."""

    FRESH = "fresh"
    SAME = "same"
    NO_ANSWER = "no_answer"
    TOO_EARLY = "too_early"  # the interval since the last poll is not over


@dataclass(frozen=True, slots=True)
class FreshLink:
    """The state, and the task with its link. `poll_again_at` is for TOO_EARLY, in UTC milliseconds."""

    state: LinkState
    task: TrackedTask
    poll_again_at: int = 0


class FreshLinks:
    """Polls for fresh links.

    `interval` is POLL_INTERVAL in milliseconds; it holds for these polls as well.
    """

    def __init__(
        self, *, api: VideoApi, queue: TaskQueue, limiter: RateLimiter, interval: int, clock: Clock
    ) -> None:
        self._api = api
        self._queue = queue
        self._limiter = limiter
        self._interval = interval
        self._clock = clock

    async def poll(self, task: TrackedTask) -> FreshLink:
        """Poll a completed task once more, for its link. Raises StorageUnavailable."""
        now = self._clock()
        stored = await self._queue.begin_link_poll(task.id, now, self._interval)
        if stored is None:
            return FreshLink(LinkState.NO_ANSWER, task)
        if stored.video_url != task.video_url:
            return FreshLink(LinkState.FRESH, stored)  # another channel's delivery has fetched it
        # A poll in the future was made with a wrong clock, and does not count.
        if stored.polled_at is not None and now - self._interval < stored.polled_at <= now:
            return FreshLink(LinkState.TOO_EARLY, stored, stored.polled_at + self._interval)
        return await self._poll_api(stored)

    async def _poll_api(self, task: TrackedTask) -> FreshLink:
        await self._limiter.acquire()
        answer = await self._api.poll(task.id)
        if answer.kind is not AnswerKind.COMPLETED or answer.video_url is None:
            logger.info("%s: no fresh link: %s (%s)", task.id, answer.kind, answer.where)
            return FreshLink(LinkState.NO_ANSWER, task)
        if answer.video_url == task.video_url:
            return FreshLink(LinkState.SAME, task)
        now = self._clock()
        ends_at = link_end(answer.video_url, None, task.registered_at, now)
        logger.info("%s has a fresh link", task.id)
        return FreshLink(LinkState.FRESH, await self._queue.replace_link(task.id, answer.video_url, ends_at))
