"""Posts one result message in the form that its channel takes: whole, smaller, as a link, in few words.

Every form carries the delivery's one nonce, because a form that Discord refused was not posted.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Protocol

from bot.core.clock import MINUTE, Clock
from bot.core.errors import (
    CannotFit,
    DownloadInterrupted,
    MessageRefused,
    PermissionLost,
    ThreadClosed,
    TooLargeForDiscord,
    Undeliverable,
)
from bot.core.problems import Problem, ProblemCode
from bot.core.results import ResultMessage
from bot.core.tasks import TaskState
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# Discord keeps a nonce for "the past few minutes" (Create Message): within two we rely on it alone.
_NONCE_IS_FRESH = 2 * MINUTE
# Uploads have slots of their own, so that a result without a video never waits for one.
MAX_UPLOADS = 4
MAX_POSTS = 12


class Messenger(Protocol):
    """Discord, as the deliverer sees it. All methods may raise DiscordUnavailable."""

    async def post(self, result: ResultMessage) -> int | None:
        """The result message's id; None when it was posted before and deleted since.

        Raises Undeliverable, TooLargeForDiscord.
        """
        ...

    async def find(self, result: ResultMessage) -> int | None:
        """Look up the id of a result message that an earlier attempt left in that channel."""
        ...

    async def parent_of(self, thread_id: int) -> int | None:
        """The channel of a thread, if messages can be posted in it."""
        ...

    async def upload_limit(self, guild_id: int, wanted: int) -> int:
        """The largest file that this server takes, in bytes; only as exact as `wanted` needs."""
        ...

    async def send_privately(self, result: ResultMessage, why: Problem) -> None:
        """Send the result in a direct message to the person who asked, because the channel refuses it.

        A person who takes no direct messages is not told; the card and the list still show the result.
        """
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """What Discord answered. `message_id` is None for a message that was deleted meanwhile.

    `problem` says why the video of a completed task is not in it.
    """

    message_id: int | None
    channel_id: int
    problem: Problem | None


class ResultPoster:
    """Tries one form after the other, each at most once."""

    def __init__(self, messenger: Messenger, videos: VideoCache, clock: Clock) -> None:
        self._messenger = messenger
        self._videos = videos
        self._clock = clock
        self._posts = asyncio.Semaphore(MAX_POSTS)
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)

    async def post(self, result: ResultMessage) -> Posted:
        """Raises DiscordUnavailable, or Undeliverable when no form is taken."""
        while True:
            try:
                return Posted(await self._post_form(result), result.channel_id, result.problem)
            except (Undeliverable, TooLargeForDiscord) as error:
                other = await self._other_form(result, error)
                if other is None:
                    raise
                logger.warning("%s is posted in another form: %s", result.due.task.id, error)
                result = other

    async def fits(self, result: ResultMessage) -> bool:
        """Whether the channel takes the video as it is."""
        assert result.video is not None  # noqa: S101 - asked only about a video
        size = result.video.size
        return size <= await self._messenger.upload_limit(result.due.delivery.guild_id, size)

    async def fitting(self, result: ResultMessage) -> ResultMessage:
        """The result with its video as it is, made smaller, or replaced by a link."""
        video = result.video
        if video is None:
            return result
        limit = await self._messenger.upload_limit(result.due.delivery.guild_id, video.size)
        if video.size <= limit:
            return result
        try:
            smaller = await self._videos.fitted(result.due.task.id, limit)
        except CannotFit as error:
            logger.warning("%s cannot be made to fit: %s", result.due.task.id, error)
            return replace(
                result, video=None, problem=Problem(ProblemCode.TOO_LARGE_HERE), original_size=None
            )
        return replace(result, video=smaller, original_size=result.original_size or video.size)

    async def _post_form(self, result: ResultMessage) -> int | None:
        slots = self._posts if result.video is None else self._uploads
        async with slots:
            return await self._look_up_and_post(result)

    async def _look_up_and_post(self, result: ResultMessage) -> int | None:
        """Look it up right before it is sent, because earlier steps may have taken longer than a nonce lives.

        Also on the first attempt: while we waited for an upload slot, our lease may have ended and another
        process may have posted it.
        """
        if result.begun_at is not None and self._clock() - result.begun_at >= _NONCE_IS_FRESH:
            found = await self._messenger.find(result)
            if found is not None:
                return found
            if result.due.delivery.first_sent_at is not None:
                _warn_of_duplicate(result)
        try:
            return await self._messenger.post(result)
        except FileNotFoundError as error:
            # The delivery of another channel removed it between our check and our opening.
            raise DownloadInterrupted("the video's file was removed meanwhile") from error

    async def _other_form(self, result: ResultMessage, error: Exception) -> ResultMessage | None:
        """The form to try after a refusal with `error`; None when there is none."""
        if isinstance(error, TooLargeForDiscord) and result.video:
            return await self._smaller(result)
        if isinstance(error, PermissionLost) and result.video:
            return replace(result, video=None, problem=Problem(ProblemCode.MAY_NOT_ATTACH))
        if isinstance(error, MessageRefused) and not result.bare and not _is_only_a_link(result):
            return replace(result, bare=True)
        if isinstance(error, ThreadClosed) and result.parent_id is None:
            parent_id = await self._messenger.parent_of(result.due.delivery.channel_id)
            return None if parent_id is None else replace(result, parent_id=parent_id)
        return None

    async def _smaller(self, result: ResultMessage) -> ResultMessage:
        """A smaller video. The messenger has learnt the limit from the refusal."""
        other = await self.fitting(result)
        if other.video == result.video:
            return replace(result, video=None, problem=Problem(ProblemCode.TOO_LARGE_HERE))
        return other


def _warn_of_duplicate(result: ResultMessage) -> None:
    logger.warning(
        "%s: no message of an earlier attempt found in channel %d, posting again "
        "(without Read Message History none can be found, and it may be there twice)",
        result.due.task.id,
        result.channel_id,
    )


def _is_only_a_link(result: ResultMessage) -> bool:
    """Whether nothing is left without words from outside; a direct message takes its place."""
    return result.video is None and result.due.task.state is TaskState.COMPLETED
