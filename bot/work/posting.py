"""Posts one result message in the first form that its channel takes: whole, smaller, as a link, bare.

Every form has the same nonce. That is safe because a form that Discord refused was not posted.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import Protocol

from bot.core.clock import MINUTE, Clock
from bot.core.errors import CannotFit, DiscordRefused, DiscordUnavailable, DownloadInterrupted, NotTold
from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction
from bot.core.results import LookUp, ResultMessage
from bot.core.tasks import Form, TaskState
from bot.storage.delivery_queue import DeliveryQueue
from bot.work.telling import CERTAIN_FOR, DirectMessenger, Teller
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# Tries of one form after odd answers, within about a minute.
MAX_ODD_ATTEMPTS = 6
# Uploads and other posts have separate slots, so that a result without a video never waits for an upload.
MAX_UPLOADS = 4
MAX_POSTS = 12
# Where files are refused, the video is sent by direct message first. The link waits at most this long for it.
_DIRECT_MESSAGE_FIRST = 10 * MINUTE


class Messenger(DirectMessenger, Protocol):
    """The calls to Discord that the deliverer makes. Each async method may raise DiscordUnavailable."""

    async def post(self, result: ResultMessage, *, not_after: float) -> int | None:
        """Post the result; returns the message's id, or None when it was posted before and deleted since.

        The call is not begun after `not_after` (monotonic seconds). Raises DiscordRefused.
        """
        ...

    async def find(self, result: ResultMessage, *, since: int) -> LookUp:
        """Look up the result message that an earlier attempt may have posted since `since` (UTC ms)."""
        ...

    async def parent_of(self, thread_id: int) -> int | None:
        """Return the thread's parent channel, if results of the thread may be posted there."""
        ...

    async def upload_limit(self, guild_id: int, wanted: int) -> int:
        """Return the server's upload limit in bytes, exact enough for a file of `wanted` bytes."""
        ...

    def rights_in(self, guild_id: int, channel_id: int) -> int | None:
        """Return our rights in a channel as Discord's permission bits; None when they are unknown."""
        ...

    def may_send_text(self, guild_id: int, channel_id: int) -> bool:
        """Whether our rights allow a message without a file; true when they are unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """A result that was posted. `message_id` is None when the message was deleted meanwhile.

    `problem` says why the video of a completed task is not in it.
    """

    message_id: int | None
    channel_id: int
    problem: Problem | None


class ResultPoster:
    """Posts a result: tries one form after the other, each at most once in an attempt."""

    def __init__(
        self, queue: DeliveryQueue, messenger: Messenger, teller: Teller, videos: VideoCache, clock: Clock
    ) -> None:
        self._queue = queue
        self._messenger = messenger
        self._teller = teller
        self._videos = videos
        self._clock = clock
        self._posts = asyncio.Semaphore(MAX_POSTS)
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)

    async def post(self, lease: int, result: ResultMessage) -> Posted | None:
        """Post the result in the first form that Discord takes; None when the lease was lost.

        Raises DiscordUnavailable, NotTold, or DiscordRefused when Discord takes no form.
        """
        while True:
            result = _with_video_or_link(result)
            try:
                return await self._post_form(lease, result)
            except DiscordRefused as error:
                other = await self._other_form(lease, result, error)
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
        """Return the result with a video that fits the channel, or without one when that is impossible."""
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

    async def _post_form(self, lease: int, result: ResultMessage) -> Posted | None:
        if result.problem is not None and result.problem.code is ProblemCode.MAY_NOT_ATTACH:
            await self._tell_first(lease, result, result.problem)
        slots = self._posts if result.attachment is None else self._uploads
        async with slots:
            return await self._send(lease, result)

    async def _send(self, lease: int, result: ResultMessage) -> Posted | None:
        """Store that sending begins, look up the message of an earlier attempt, and post if there is none."""
        # From before the lease is checked, because this process may freeze before it sees the answer.
        certain_until = time.monotonic() + CERTAIN_FOR
        sending = await self._queue.begin_sending(result.due, lease, self._clock())
        if sending is None:
            return None
        due = replace(result.due, watchers=sending.watchers)
        result = replace(result, due=due, shared_ids=sending.shared_ids)
        message_id = None if due.is_first_send else await self._found(lease, result)
        if message_id is None:
            message_id = await self._call(result, certain_until)
        return Posted(message_id, result.channel_id, result.problem)

    async def _found(self, lease: int, result: ResultMessage) -> int | None:
        """Return the message of an earlier attempt; None when it is absent, or when nothing is known.

        An unknown one is posted again, because a second message is better than a lost result.
        """
        delivery = result.due.delivery
        found = await self._look_up(result, delivery.first_sent_at or delivery.created_at)
        if found.read is not None:
            await self._queue.set_read(delivery.id, lease, found.read)
        if found.message_id is not None:
            logger.info(
                "%s: found from an earlier attempt in channel %d", delivery.task_id, result.channel_id
            )
        elif not found.is_absent:
            logger.warning(
                "%s: whether an earlier attempt is in channel %d cannot be known (without Read Message "
                "History nothing is found): it is posted, perhaps a second time",
                delivery.task_id,
                result.channel_id,
            )
        return found.message_id

    async def _look_up(self, result: ResultMessage, since: int) -> LookUp:
        try:
            return await self._messenger.find(result, since=since)
        except DiscordUnavailable as error:
            if not _is_last_odd_answer(result, error):
                raise
            return LookUp()

    async def _call(self, result: ResultMessage, certain_until: float) -> int | None:
        try:
            return await self._messenger.post(result, not_after=certain_until)
        except FileNotFoundError as error:
            # Another channel's delivery removed the file after our check.
            raise DownloadInterrupted("the video's file was removed meanwhile") from error
        except DiscordUnavailable as error:
            if not _is_last_odd_answer(result, error):
                raise
            data = error.problem.data
            raise DiscordRefused(Reaction.FORM_REFUSED, ProblemCode.NOT_ACCEPTED, **data) from error

    async def _tell_first(self, lease: int, result: ResultMessage, why: Problem) -> None:
        """Send the video by direct message first. Failures delay the link by at most ten minutes."""
        try:
            await self._teller.tell(lease, result, why)
        except NotTold:
            since = result.due.delivery.told_since
            if since is None or self._clock() - since < _DIRECT_MESSAGE_FIRST:
                raise

    async def _other_form(
        self, lease: int, result: ResultMessage, error: DiscordRefused
    ) -> ResultMessage | None:
        """Return the form to try after a refusal, and store it for the next attempt; None: none is left."""
        if error.reaction is Reaction.TOO_LARGE and result.attachment is not None:
            return await self._smaller(result)
        if error.reaction is Reaction.THREAD_CLOSED and result.parent_id is None:
            parent_id = await self._messenger.parent_of(result.due.delivery.channel_id)
            return None if parent_id is None else replace(result, parent_id=parent_id)
        form = next_form(result, error.reaction)
        where = result.due.delivery.guild_id, result.channel_id
        may_be_the_file = error.reaction is not Reaction.MISSING_PERMISSION or self._messenger.may_send_text(
            *where
        )
        if form is None or not may_be_the_file:
            return None
        problem = _why_without_file(error) if form is Form.WITHOUT_FILE else result.problem
        await self._queue.set_form(result.due.delivery.id, lease, form, problem)
        return replace(result, form=form, problem=problem)

    async def _smaller(self, result: ResultMessage) -> ResultMessage:
        """Return the result with a smaller video. The messenger has learnt the limit from the refusal."""
        other = await self.fitting(result)
        if other.video == result.video:
            return replace(result, video=None, problem=Problem(ProblemCode.TOO_LARGE_HERE))
        return other


def next_form(result: ResultMessage, reaction: Reaction) -> Form | None:
    """Return the form to try after `reaction`; None when none is left.

    A completed task has no bare form without its video, because that message would have no content. The
    requester gets a direct message then.
    """
    is_video = result.due.task.state is TaskState.COMPLETED
    may_be_bare = result.form is Form.WHOLE and (result.attachment is not None or not is_video)
    match reaction:
        case Reaction.WORDS_REFUSED:
            return Form.BARE if may_be_bare else None
        case Reaction.FORM_REFUSED | Reaction.MISSING_PERMISSION if result.attachment is not None:
            return Form.WITHOUT_FILE if result.form is Form.WHOLE else None
        case Reaction.FORM_REFUSED:
            return Form.BARE if may_be_bare else None
        case _:
            return None


def _with_video_or_link(result: ResultMessage) -> ResultMessage:
    """Use the form with the link where a bare result lost its video, because it would have no content."""
    is_empty = result.is_bare and result.attachment is None
    is_video = result.due.task.state is TaskState.COMPLETED
    return replace(result, form=Form.WITHOUT_FILE) if is_video and is_empty else result


def _is_last_odd_answer(result: ResultMessage, error: DiscordUnavailable) -> bool:
    """Whether this was the last try after an odd answer."""
    return error.reaction is Reaction.ODD and result.due.delivery.odd_attempt + 1 >= MAX_ODD_ATTEMPTS


def _why_without_file(error: DiscordRefused) -> Problem:
    if error.reaction is Reaction.MISSING_PERMISSION:
        return Problem(ProblemCode.MAY_NOT_ATTACH)
    return Problem(ProblemCode.FILE_REFUSED)
