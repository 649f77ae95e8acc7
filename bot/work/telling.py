"""Notifies the requester by direct message, once, of what their channel does not take."""

import logging
import time
from dataclasses import replace
from typing import Protocol

from bot.core.clock import Clock
from bot.core.errors import DiscordRefused, DiscordUnavailable, NotTold
from bot.core.problems import Problem
from bot.core.results import ResultMessage
from bot.core.tasks import Form
from bot.storage.delivery_queue import DeliveryQueue

logger = logging.getLogger(__name__)

# After so many attempts the video is left out, because Discord may refuse the file.
_ATTEMPTS_WITH_VIDEO = 6
# Seconds. A call is not begun later after the database was read, because another process may have gone on.
CERTAIN_FOR = 60.0


class DirectMessenger(Protocol):
    """The direct message to a requester, as Discord's side sends it."""

    async def send_privately(
        self, result: ResultMessage, why: Problem, *, since: int | None, not_after: float
    ) -> None:
        """Send the result in a direct message to the requester.

        A message since `since` (UTC milliseconds) is looked up first; None: there can be none. The call is
        not begun after `not_after` (monotonic seconds). Raises DiscordUnavailable, DiscordRefused.
        """
        ...


class Teller:
    """Sends direct messages. Each has a nonce, a mark and a look-up, so that it is sent once."""

    def __init__(self, queue: DeliveryQueue, messenger: DirectMessenger, clock: Clock) -> None:
        self._queue = queue
        self._messenger = messenger
        self._clock = clock

    async def tell(self, lease: int, result: ResultMessage, why: Problem) -> None:
        """Send the direct message, unless it was sent. Raises NotTold when it is to be tried again.

        A requester who takes no direct messages is not notified; the card and the list still show the result.
        """
        due = result.due
        certain_until = time.monotonic() + CERTAIN_FOR
        telling = await self._queue.begin_telling(due.delivery.id, lease, self._clock())
        if telling is None or telling.is_over:
            return
        since = telling.since or (None if due.is_first_send else due.delivery.created_at)
        has_video = due.delivery.tell_attempt < _ATTEMPTS_WITH_VIDEO
        result = replace(result, form=Form.WHOLE, parent_id=None, video=result.video if has_video else None)
        try:
            await self._messenger.send_privately(result, why, since=since, not_after=certain_until)
            logger.info("%s: its requester was notified by direct message: %s", due.task.id, why)
        except DiscordUnavailable as error:
            raise NotTold(str(error), retry_after=error.retry_after) from error
        except FileNotFoundError as error:
            # Another channel's delivery removed the file after our check.
            raise NotTold("the video's file was removed meanwhile") from error
        except DiscordRefused as error:
            logger.info("%s: its requester takes no direct message (%s)", due.task.id, error)
        await self._queue.mark_told(due.delivery.id, lease, self._clock())
