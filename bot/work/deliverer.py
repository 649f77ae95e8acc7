"""Pays one due delivery: fetches the video, posts the result message, records what Discord answered.

Act, then record: a crash in between makes it act twice, which `posting.py` makes harmless.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, MINUTE, SECOND, Clock
from bot.core.errors import LinkRefused, TryLater, Undeliverable, VideoUnusable
from bot.core.log_fields import log_about
from bot.core.meter import UNMETERED, AttemptOutcome, Meter
from bot.core.results import ResultMessage, link_ends_at
from bot.core.tasks import Claim, DueDelivery, TaskState
from bot.work.posting import Messenger, Posted, Poster
from bot.work.shelf import Shelf

logger = logging.getLogger(__name__)

# Some eight minutes of 4xx from the video's host: a new link may need a moment, a dead one stays dead.
_REFUSALS_OF_A_LINK = 8
_FIRST_RETRY = 2 * SECOND
_LAST_RETRY = 10 * MINUTE
_SET_ASIDE = HOUR
# People need some time to use the link themselves, when our attempts have come to nothing.
_TIME_FOR_PEOPLE = 2 * HOUR
_ATTEMPTS_BEFORE_THAT = 3
# Whoever asked is told at least so often before their being out of reach is taken as an answer.
_ATTEMPTS_TO_TELL = 20

LINK_REFUSED = "The video's host does not give it out any more, so nothing could be attached."
LINK_ENDING = "I could not download it so far, and its link ends soon: please download it yourself."
LINK_ENDED = "Its link ended before the video could be downloaded."


class Deliveries(Protocol):
    """The delivery queue of the store."""

    async def claim(self, now: int) -> Claim[DueDelivery]: ...
    async def next_due(self) -> int | None: ...
    async def renew(self, leases: Iterable[int], now: int) -> None: ...
    async def begin_sending(self, delivery_id: int, lease: int, now: int) -> int | None: ...
    async def posted(
        self, due: DueDelivery, lease: int, message_id: int | None, now: int, *, channel_id: int
    ) -> bool: ...
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
    async def is_owed(self, task_id: str, now: int) -> bool: ...


class Postman(Messenger, Protocol):
    """Discord, as the deliverer sees it."""

    async def tell_privately(self, result: ResultMessage, why: str) -> None:
        """The result in a direct message to whoever asked: the channel does not take it.

        Raises DiscordUnavailable. Someone who takes no direct messages is not told; the card and the list
        still show it.
        """
        ...


class Deliverer:
    """A Source for the durable loop. `on_change` is called when a card must be redrawn."""

    name = "deliverer"

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        messenger: Postman,
        shelf: Shelf,
        clock: Clock,
        stop: asyncio.Event,
        on_change: Callable[[], None],
        meter: Meter = UNMETERED,
    ) -> None:
        self._deliveries = deliveries
        self._messenger = messenger
        self._shelf = shelf
        self._poster = Poster(messenger, shelf, clock)
        self._clock = clock
        self._stop = stop
        self._on_change = on_change
        self._meter = meter

    async def claim(self, room: int) -> Claim[DueDelivery]:
        return await self._deliveries.claim(self._clock())

    async def next_due(self) -> int | None:
        return await self._deliveries.next_due()

    async def renew(self, leases: Iterable[int]) -> None:
        await self._deliveries.renew(leases, self._clock())

    async def set_aside(self, lease: int, work: DueDelivery, why: str) -> None:
        self._meter.attempted(AttemptOutcome.SET_ASIDE)
        await self._postpone(lease, work, _SET_ASIDE, "an error of the bot itself; its operator sees it", why)

    async def handle(self, lease: int, work: DueDelivery) -> None:
        log_about("deliver", work)
        try:
            ended = await self._deliver(lease, work)
        except TryLater as error:
            await self._try_later(lease, work, error)
            return
        if ended:
            self._on_change()
        await self._tidy(work)

    async def _deliver(self, lease: int, due: DueDelivery) -> bool:
        """Whether it ended: not when the process is stopping, or somebody else has it."""
        result = await self._result(due)
        if result is None or self._stop.is_set():
            await self._deliveries.give_back(due.delivery.id, lease, self._clock())
            return False
        begun_at = await self._deliveries.begin_sending(due.delivery.id, lease, self._clock())
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
        is_ours = await self._deliveries.posted(
            due, lease, posted.message_id, now, channel_id=posted.channel_id
        )
        logger.info("%s posted", due.task.id)
        if is_ours:
            self._count_posted(due, now)

    def _count_posted(self, due: DueDelivery, now: int) -> None:
        """A result asked for when it was there already is not late by its age."""
        self._meter.attempted(AttemptOutcome.POSTED)
        if due.task.state is TaskState.COMPLETED and due.task.finished_at is not None:
            since = max(due.task.finished_at, due.delivery.created_at)
            self._meter.delivered((now - since) / SECOND)

    async def _give_up(self, lease: int, result: ResultMessage, error: Undeliverable) -> None:
        """Told first, recorded after: a crash in between tells twice rather than never."""
        due = result.due
        logger.warning("%s cannot be posted: %s", due.task.id, error)
        told_before = due.delivery.ended_at is not None
        if not told_before:
            await self._tell(result, error)
        if await self._deliveries.undeliverable(due, lease, str(error), self._clock()):
            self._meter.attempted(AttemptOutcome.UNDELIVERABLE)

    async def _tell(self, result: ResultMessage, why: Undeliverable) -> None:
        try:
            await self._messenger.tell_privately(result, str(why))
        except TryLater as unreachable:
            if result.due.delivery.attempt < _ATTEMPTS_TO_TELL:
                raise
            logger.warning("nor could whoever asked for %s be told: %s", result.due.task.id, unreachable)

    async def _try_later(self, lease: int, due: DueDelivery, error: TryLater) -> None:
        attempt = due.delivery.attempt + 1
        delay = retry_delay(attempt, first=_FIRST_RETRY, most=_LAST_RETRY, asked_for=error.retry_after)
        logger.warning("%s not posted yet: %s; next attempt in %d s", due.task.id, error, delay // SECOND)
        self._meter.attempted(AttemptOutcome.RETRIED)
        await self._postpone(lease, due, delay, str(error))

    async def _result(self, due: DueDelivery) -> ResultMessage | None:
        """None: the process is stopping, and the download was left for the next one."""
        task = due.task
        if task.state is not TaskState.COMPLETED or task.video_url is None:
            return ResultMessage(due)
        preparing = asyncio.create_task(self._with_video(due, task.video_url), name="video")
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return preparing.result() if preparing.done() else None
        finally:
            for job in (preparing, stopping):
                job.cancel()
            await asyncio.gather(preparing, stopping, return_exceptions=True)

    async def _with_video(self, due: DueDelivery, url: str) -> ResultMessage:
        try:
            path = await self._shelf.video(due.task.id, url)
        except VideoUnusable as error:
            return ResultMessage(due, problem=str(error))
        except TryLater as error:
            problem = self._no_hope(due, error)
            if problem is None:
                raise
            _tell_operator(due, error)
            return ResultMessage(due, problem=problem)
        return await self._poster.fitting(ResultMessage(due, video=path))

    def _no_hope(self, due: DueDelivery, error: TryLater) -> str | None:
        attempt, ends_at = due.delivery.attempt + 1, link_ends_at(due.task)
        if ends_at is not None and self._clock() >= ends_at:
            return LINK_ENDED
        if isinstance(error, LinkRefused) and attempt >= _REFUSALS_OF_A_LINK:
            return LINK_REFUSED
        ends_soon = ends_at is not None and self._clock() >= ends_at - _TIME_FOR_PEOPLE
        return LINK_ENDING if ends_soon and attempt >= _ATTEMPTS_BEFORE_THAT else None

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
        if due.task.state is TaskState.COMPLETED and not await self._deliveries.is_owed(
            due.task.id, self._clock()
        ):
            await self._shelf.remove(due.task.id)


def _tell_operator(due: DueDelivery, error: TryLater) -> None:
    logger.error("%s: the video could not be downloaded: %s", due.task.id, error)
