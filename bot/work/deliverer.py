"""Pays one due delivery: fetches the video, posts the result message, records what Discord answered.

Act, then record, and make acting twice harmless: the delivery's nonce is fixed, and a delivery found
half-done after Discord has forgotten nonces is first looked up in the channel's history.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, MINUTE, SECOND, Clock
from bot.core.errors import (
    DownloadInterrupted,
    LinkRefused,
    PermissionLost,
    TooLargeForDiscord,
    TryLater,
    Undeliverable,
    VideoUnusable,
)
from bot.core.results import ResultMessage, link_ends_at
from bot.core.tasks import Claim, DueDelivery, TaskState
from bot.work.shelf import Shelf

logger = logging.getLogger(__name__)

# Discord keeps a nonce for "the past few minutes" (Create Message): within two we rely on it alone.
_NONCE_IS_FRESH = 2 * MINUTE
# Some eight minutes of 4xx from the video's host: a new link may need a moment, a dead one stays dead.
_REFUSALS_OF_A_LINK = 8
_FIRST_RETRY = 2 * SECOND
_LAST_RETRY = 10 * MINUTE
_SET_ASIDE = HOUR

TOO_LARGE = "It is too large to attach in this channel."
MAY_NOT_ATTACH = "I may not attach files in this channel any more."
LINK_REFUSED = "The video's host does not give it out any more, so nothing could be attached."
LINK_ENDED = "Its link ended before the video could be downloaded."


class Deliveries(Protocol):
    """The delivery queue of the store."""

    async def claim(self, now: int) -> Claim[DueDelivery]: ...
    async def next_due(self) -> int | None: ...
    async def renew(self, leases: Iterable[int], now: int) -> None: ...
    async def begin_sending(self, delivery_id: int, lease: int, now: int) -> bool: ...
    async def posted(self, due: DueDelivery, lease: int, message_id: int | None, now: int) -> bool: ...
    async def undeliverable(self, due: DueDelivery, lease: int, why: str, now: int) -> bool: ...
    async def postpone(
        self,
        delivery_id: int,
        lease: int,
        due_at: int,
        *,
        attempt: int,
        trouble: str,
        set_aside: str | None = None,
    ) -> bool: ...
    async def give_back(self, delivery_id: int, lease: int, now: int) -> bool: ...
    async def is_owed(self, task_id: str) -> bool: ...


class Messenger(Protocol):
    """Discord, as the deliverer sees it."""

    async def post(self, result: ResultMessage) -> int | None:
        """The result message's id; None when it was posted before and deleted since.

        Raises DiscordUnavailable, Undeliverable, TooLargeForDiscord.
        """
        ...

    async def find(self, due: DueDelivery) -> int | None:
        """The id of a result message that an earlier attempt left in the channel."""
        ...

    async def tell_privately(self, due: DueDelivery, why: str) -> None:
        """A direct message to whoever asked: the channel does not take the result. Raises DiscordUnavailable.

        Someone who takes no direct messages is not told; the card and the list still show it.
        """
        ...

    def fits(self, guild_id: int, size: int) -> bool:
        """Whether a file of `size` bytes may be attached in this guild, as far as we know."""
        ...


class Deliverer:
    """A Source for the durable loop. `on_change` is called when a card must be redrawn."""

    name = "deliverer"

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        messenger: Messenger,
        shelf: Shelf,
        clock: Clock,
        stop: asyncio.Event,
        on_change: Callable[[], None],
    ) -> None:
        self._deliveries = deliveries
        self._messenger = messenger
        self._shelf = shelf
        self._clock = clock
        self._stop = stop
        self._on_change = on_change

    async def claim(self, room: int) -> Claim[DueDelivery]:
        return await self._deliveries.claim(self._clock())

    async def next_due(self) -> int | None:
        return await self._deliveries.next_due()

    async def renew(self, leases: Iterable[int]) -> None:
        await self._deliveries.renew(leases, self._clock())

    async def set_aside(self, lease: int, work: DueDelivery, why: str) -> None:
        await self._postpone(lease, work, _SET_ASIDE, "an error of the bot itself; its operator sees it", why)

    async def handle(self, lease: int, work: DueDelivery) -> None:
        try:
            await self._deliver(lease, work)
        except Undeliverable as error:
            await self._give_up(lease, work, error)
        except TryLater as error:
            await self._try_later(lease, work, error)
            return
        self._on_change()
        await self._tidy(work)

    async def _give_up(self, lease: int, due: DueDelivery, error: Undeliverable) -> None:
        """Told first, recorded after: a crash in between tells twice rather than never."""
        logger.warning("%s cannot be posted: %s", due.task.id, error, extra=_fields(due))
        try:
            await self._messenger.tell_privately(due, str(error))
        except TryLater as unreachable:
            logger.warning("nor could whoever asked for %s be told: %s", due.task.id, unreachable)
        await self._deliveries.undeliverable(due, lease, str(error), self._clock())

    async def _try_later(self, lease: int, due: DueDelivery, error: TryLater) -> None:
        attempt = due.delivery.attempt + 1
        delay = retry_delay(attempt, first=_FIRST_RETRY, most=_LAST_RETRY, asked_for=error.retry_after)
        logger.warning(
            "%s not posted yet: %s; next attempt in %d s",
            due.task.id,
            error,
            delay // SECOND,
            extra=_fields(due),
        )
        await self._postpone(lease, due, delay, str(error))

    async def _deliver(self, lease: int, due: DueDelivery) -> None:
        message_id = await self._left_by_an_earlier_attempt(due)
        if message_id is None:
            result = await self._result(due)
            if result is None or self._stop.is_set():
                await self._deliveries.give_back(due.delivery.id, lease, self._clock())
                return
            if not await self._deliveries.begin_sending(due.delivery.id, lease, self._clock()):
                return  # untracked, or another process has it
            message_id = await self._post(result)
        await self._deliveries.posted(due, lease, message_id, self._clock())
        logger.info("%s posted", due.task.id, extra=_fields(due))

    async def _left_by_an_earlier_attempt(self, due: DueDelivery) -> int | None:
        sending_at = due.delivery.sending_at
        if sending_at is None or self._clock() - sending_at < _NONCE_IS_FRESH:
            return None
        return await self._messenger.find(due)

    async def _post(self, result: ResultMessage) -> int | None:
        try:
            return await self._messenger.post(result)
        except TooLargeForDiscord:
            # Refused means not posted: the same nonce may carry the smaller message.
            return await self._messenger.post(ResultMessage(result.due, problem=TOO_LARGE))
        except PermissionLost:
            if result.video is None:
                raise
            return await self._messenger.post(ResultMessage(result.due, problem=MAY_NOT_ATTACH))
        except FileNotFoundError as error:
            # Another channel's delivery ended between our look and our opening, and tidied up.
            raise DownloadInterrupted("the video's file was removed meanwhile") from error

    async def _result(self, due: DueDelivery) -> ResultMessage | None:
        """None: the process is stopping, and the download was left for the next one."""
        task = due.task
        if task.state is not TaskState.COMPLETED or task.video_url is None:
            return ResultMessage(due)
        fetching = asyncio.create_task(self._shelf.video(task.id, task.video_url), name="download")
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not fetching.done():
                return None
            path = fetching.result()
        except VideoUnusable as error:
            return ResultMessage(due, problem=str(error))
        except TryLater as error:
            if problem := self._no_hope(due, error):
                return ResultMessage(due, problem=problem)
            raise
        finally:
            for job in (fetching, stopping):
                job.cancel()
            await asyncio.gather(fetching, stopping, return_exceptions=True)
        size = (await asyncio.to_thread(path.stat)).st_size
        if not self._messenger.fits(due.delivery.guild_id, size):
            return ResultMessage(due, problem=TOO_LARGE)
        return ResultMessage(due, video=path)

    def _no_hope(self, due: DueDelivery, error: TryLater) -> str | None:
        ends_at = link_ends_at(due.task)
        if ends_at is not None and self._clock() >= ends_at:
            return LINK_ENDED
        if isinstance(error, LinkRefused) and due.delivery.attempt + 1 >= _REFUSALS_OF_A_LINK:
            return LINK_REFUSED
        return None

    async def _postpone(
        self, lease: int, due: DueDelivery, delay: int, trouble: str, set_aside: str | None = None
    ) -> None:
        await self._deliveries.postpone(
            due.delivery.id,
            lease,
            self._clock() + delay,
            attempt=due.delivery.attempt + 1,
            trouble=trouble,
            set_aside=set_aside,
        )

    async def _tidy(self, due: DueDelivery) -> None:
        if due.task.state is TaskState.COMPLETED and not await self._deliveries.is_owed(due.task.id):
            await self._shelf.remove(due.task.id)


def _fields(due: DueDelivery) -> dict[str, object]:
    return {
        "action": "deliver",
        "task_id": due.task.id,
        "delivery_id": due.delivery.id,
        "guild_id": due.delivery.guild_id,
        "channel_id": due.delivery.channel_id,
        "attempt": due.delivery.attempt + 1,
    }
