"""Posts one result message in whatever form its channel takes: whole, smaller, as a link, in few words.

Every form carries the delivery's one nonce: a form that Discord refused was not posted.
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
from bot.core.results import ResultMessage
from bot.core.tasks import TaskState
from bot.work.shelf import Shelf

logger = logging.getLogger(__name__)

# Discord keeps a nonce for "the past few minutes" (Create Message): within two we rely on it alone.
_NONCE_IS_FRESH = 2 * MINUTE
UPLOADS_AT_ONCE = 4

TOO_LARGE = "It is too large to attach in this channel."
MAY_NOT_ATTACH = "I may not attach files in this channel any more."


class Messenger(Protocol):
    """Discord, as posting needs it."""

    async def post(self, result: ResultMessage) -> int | None:
        """The result message's id; None when it was posted before and deleted since.

        Raises DiscordUnavailable, Undeliverable, TooLargeForDiscord.
        """
        ...

    async def find(self, result: ResultMessage) -> int | None:
        """The id of a result message that an earlier attempt left in that channel."""
        ...

    async def parent_of(self, thread_id: int) -> int | None:
        """The channel of a thread, if messages can be posted in it. Raises DiscordUnavailable."""
        ...

    async def limit(self, guild_id: int, wanted: int) -> int:
        """How large a file may be in this guild, in bytes; not looked into further than `wanted`.

        Raises DiscordUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """What Discord answered. `message_id` is None for a message that was deleted meanwhile."""

    message_id: int | None
    channel_id: int


class Poster:
    """Tries one form after the other, each at most once."""

    def __init__(self, messenger: Messenger, shelf: Shelf, clock: Clock) -> None:
        self._messenger = messenger
        self._shelf = shelf
        self._clock = clock
        self._uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def post(self, result: ResultMessage) -> Posted:
        """Raises DiscordUnavailable, or Undeliverable when no form is taken."""
        while True:
            try:
                return Posted(await self._post(result), result.channel_id)
            except (Undeliverable, TooLargeForDiscord) as error:
                other = await self._other_form(result, error)
                if other is None:
                    raise
                logger.warning("%s is posted in another form: %s", result.due.task.id, error)
                result = other

    async def fitting(self, result: ResultMessage) -> ResultMessage:
        """The video as it is, or made smaller, or no video but a link."""
        video = result.video
        if video is None:
            return result
        size = await self._shelf.size(video)
        limit = await self._messenger.limit(result.due.delivery.guild_id, size)
        if size <= limit:
            return result
        try:
            smaller = await self._shelf.fitted(result.due.task.id, limit)
        except CannotFit as error:
            logger.warning("%s cannot be made to fit: %s", result.due.task.id, error)
            return replace(result, video=None, problem=TOO_LARGE, original_size=None)
        return replace(result, video=smaller, original_size=result.original_size or size)

    async def _post(self, result: ResultMessage) -> int | None:
        if result.video is None:
            return await self._once(result)
        async with self._uploads:
            return await self._once(result)

    async def _once(self, result: ResultMessage) -> int | None:
        """Looked for right before it is sent: what came before may have taken longer than a nonce lives.

        Also on the first attempt: while we waited for a place, our lease may have ended and another process
        may have posted it.
        """
        if result.begun_at is not None and self._clock() - result.begun_at >= _NONCE_IS_FRESH:
            found = await self._messenger.find(result)
            if found is not None:
                return found
            if result.due.delivery.sending_at is not None:
                _warn_of_two(result)
        try:
            return await self._messenger.post(result)
        except FileNotFoundError as error:
            # Another channel's delivery ended between our look and our opening, and tidied up.
            raise DownloadInterrupted("the video's file was removed meanwhile") from error

    async def _other_form(self, result: ResultMessage, error: Exception) -> ResultMessage | None:
        """What may be taken instead of what was refused with `error`; None when nothing may."""
        if isinstance(error, TooLargeForDiscord) and result.video:
            return await self._smaller(result)
        if isinstance(error, PermissionLost) and result.video:
            return replace(result, video=None, problem=MAY_NOT_ATTACH)
        if isinstance(error, MessageRefused) and not result.bare and not _is_only_a_link(result):
            return replace(result, bare=True)
        if isinstance(error, ThreadClosed) and result.parent_id is None:
            parent_id = await self._messenger.parent_of(result.due.delivery.channel_id)
            return None if parent_id is None else replace(result, parent_id=parent_id)
        return None

    async def _smaller(self, result: ResultMessage) -> ResultMessage:
        """The messenger has learnt from the refusal: what does not fit now cannot be what was refused."""
        other = await self.fitting(result)
        if other.video == result.video:
            return replace(result, video=None, problem=TOO_LARGE)
        return other


def _warn_of_two(result: ResultMessage) -> None:
    logger.warning(
        "%s: no message of an earlier attempt found in channel %d, posting again "
        "(without Read Message History none can be found, and it may be there twice)",
        result.due.task.id,
        result.channel_id,
    )


def _is_only_a_link(result: ResultMessage) -> bool:
    """Without words from outside nothing of it is left; whoever asked gets it in a direct message."""
    return result.video is None and result.due.task.state is TaskState.COMPLETED
