"""What people can ask for: track, untrack, redeliver, be erased. Commits, then wakes the loops."""

import logging
from collections.abc import Callable

from bot.core.api_pause import API_PAUSE_KEY, PauseState
from bot.core.clock import Clock
from bot.core.log_fields import delivery_fields
from bot.core.results import living_link
from bot.core.tasks import LIVE, Delivery, ExistingDelivery, TaskState
from bot.core.tracking import ErasureResult, RedeliverResult, Registration, TrackRequest, UntrackResult
from bot.storage.store import Store
from bot.work.fresh_links import FreshLinks, LinkState
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# One key for each channel in which somebody was told that its history cannot be read.
NO_HISTORY_KEY = "no_history:"


class Tracking:
    """The service behind commands and buttons. Every method may raise StorageUnavailable."""

    def __init__(
        self,
        *,
        store: Store,
        videos: VideoCache,
        fresh_links: FreshLinks,
        clock: Clock,
        on_work: Callable[[], None],
    ) -> None:
        self.store = store
        self._videos = videos
        self._fresh_links = fresh_links
        self._clock = clock
        self._on_work = on_work

    async def track(self, request: TrackRequest) -> Registration:
        """Register ids; they are committed when this returns. Raises QuotaReached."""
        registration = await self.store.tracking.register(request, self._clock())
        for row in registration.card.rows if registration.card else ():
            _log_delivery("tracked", "track", row.delivery)
        self._on_work()
        return registration

    async def set_card_message(self, card_id: int, message_id: int) -> None:
        """Store the id of the card's message, which Discord has just given."""
        await self.store.cards.set_message(card_id, message_id)
        self._on_work()

    async def untrack(self, channel_id: int, task_id: str, by: int, *, may_cancel_any: bool) -> UntrackResult:
        """Stop what this channel is owed for a task."""
        result = await self.store.tracking.cancel(
            channel_id, task_id, by, self._clock(), may_cancel_any=may_cancel_any
        )
        if result is UntrackResult.CANCELLED:
            fields = {"action": "untrack", "task_id": task_id, "channel_id": channel_id, "person_id": by}
            logger.info("%s untracked", task_id, extra=fields)
        self._on_work()
        return result

    async def redeliver(
        self, channel_id: int, task_id: str, by: int
    ) -> tuple[RedeliverResult, ExistingDelivery | None]:
        """Post a final task's result once more. Raises QuotaReached."""
        existing = await self.store.lookups.find(channel_id, task_id)
        if existing is None:
            return RedeliverResult.NOT_TRACKED, None
        if existing.delivery.state in LIVE or existing.task.state is TaskState.WAITING:
            return RedeliverResult.STILL_OPEN, existing
        if not await self._can_be_posted(existing):
            return RedeliverResult.LINK_DEAD, existing
        if not await self.store.tracking.redeliver(existing, by, self._clock()):
            return RedeliverResult.STILL_OPEN, existing
        _log_delivery("to be posted once more", "redeliver", existing.delivery)
        self._on_work()
        return RedeliverResult.PLANNED, existing

    async def _can_be_posted(self, existing: ExistingDelivery) -> bool:
        """Whether the link lives, the file is here, or the API gives a fresh link."""
        task = existing.task
        if task.state is not TaskState.COMPLETED or living_link(task, self._clock()):
            return True
        if await self._videos.find(task.id) is not None:
            return True
        return (await self._fresh_links.ask(task)).state is LinkState.FRESH

    async def is_first_without_history(self, channel_id: int) -> bool:
        """Whether it is the first time that somebody is to be told that this channel hides its history."""
        return await self.store.key_values.add(f"{NO_HISTORY_KEY}{channel_id}", "told")

    async def erase(self, user_id: int) -> ErasureResult:
        """Erase what is stored about a person."""
        result = await self.store.people.erase(user_id, self._clock())
        self._on_work()
        return result

    async def api_pause(self) -> PauseState | None:
        """Why no task is polled at the moment; None without a pause."""
        text = await self.store.key_values.get(API_PAUSE_KEY)
        return None if text is None else PauseState.from_text(text)


def _log_delivery(what: str, action: str, delivery: Delivery) -> None:
    logger.info("%s %s", delivery.task_id, what, extra={"action": action, **delivery_fields(delivery)})
