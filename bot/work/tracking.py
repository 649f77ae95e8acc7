"""The service behind commands and buttons. It commits, then wakes the loops."""

import logging
from collections.abc import Callable

from bot.core.api_pause import API_PAUSE_KEY, PauseState
from bot.core.clock import Clock
from bot.core.language import Language
from bot.core.log_fields import delivery_fields
from bot.core.results import living_link
from bot.core.tasks import LIVE, Delivery, ExistingDelivery, TaskState
from bot.core.tracking import (
    CardToStop,
    ErasureResult,
    PressedButton,
    RedeliverResult,
    Registration,
    StopResult,
    TrackRequest,
    UntrackResult,
    WatchResult,
)
from bot.storage.store import Store
from bot.work.fresh_links import FreshLinks, LinkState
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# One key for each channel whose users were told that its history cannot be read.
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

    def now(self) -> int:
        """The time by which everything here is decided, in UTC milliseconds."""
        return self._clock()

    async def track(self, request: TrackRequest) -> Registration:
        """Register ids; they are committed when this returns. Raises QuotaReached."""
        registration = await self.store.tracking.register(request, self._clock())
        for row in registration.card.rows if registration.card else ():
            _log_delivery("tracked", "track", row.delivery)
        self._on_work()
        return registration

    async def set_card_message(self, card_id: int, message_id: int) -> None:
        """Store the id of the card's message, which Discord has just given."""
        await self.store.cards.set_message(card_id, message_id, self._clock())
        self._on_work()

    async def untrack(self, channel_id: int, task_id: str, by: int, *, may_cancel_any: bool) -> UntrackResult:
        """Cancel this channel's live delivery of a task."""
        result = await self.store.tracking.cancel(
            channel_id, task_id, by, self._clock(), may_cancel_any=may_cancel_any
        )
        if result is UntrackResult.CANCELLED:
            fields = {"action": "untrack", "task_id": task_id, "channel_id": channel_id, "person_id": by}
            logger.info("%s untracked", task_id, extra=fields)
        self._on_work()
        return result

    async def card_to_stop(
        self, card_id: int, by: int, pressed: PressedButton, *, may_cancel_any: bool
    ) -> CardToStop:
        """What `stop_card` would stop now, to be asked before."""
        return await self.store.tracking.card_to_stop(
            card_id, by, may_cancel_any=may_cancel_any, pressed=pressed
        )

    async def stop_card(
        self, card_id: int, by: int, pressed: PressedButton, *, may_cancel_any: bool
    ) -> StopResult:
        """Stop what is still to come on a card, as far as the person may."""
        result = await self.store.tracking.cancel_card(
            card_id, by, self._clock(), may_cancel_any=may_cancel_any, pressed=pressed
        )
        if result.cancelled:
            fields = {"action": "stop_card", "person_id": by}
            logger.info("%d deliveries of card %d untracked", result.cancelled, card_id, extra=fields)
        self._on_work()
        return result

    async def mark_deleted(self, delivery_id: int) -> None:
        """The result message of a delivery was deleted by its button: its card says so."""
        if await self.store.tracking.mark_deleted(delivery_id, self._clock()):
            self._on_work()

    async def watch(self, card_id: int, by: int, pressed: PressedButton) -> WatchResult:
        """Mention a person for what is still to come on a card, or stop mentioning them."""
        result = await self.store.tracking.watch(card_id, by, pressed, self._clock())
        self._on_work()
        return result

    async def redeliver(
        self, channel_id: int, task_id: str, by: int, language: Language = Language.ENGLISH
    ) -> tuple[RedeliverResult, ExistingDelivery | None]:
        """Post a final task's result once more, in `language`. Raises QuotaReached."""
        existing = await self.store.lookups.find(channel_id, task_id)
        if existing is None:
            return RedeliverResult.NOT_TRACKED, None
        if existing.delivery.state in LIVE or existing.task.state is TaskState.WAITING:
            return _still_owed(existing), existing
        if not await self._can_be_posted(existing):
            return RedeliverResult.LINK_DEAD, existing
        if not await self.store.tracking.redeliver(existing, by, self._clock(), language):
            # Another request came before, or the task is tracked again.
            latest = await self.store.lookups.find(channel_id, task_id) or existing
            return _still_owed(latest), latest
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
        return (await self._fresh_links.poll(task)).state is LinkState.FRESH

    async def is_first_without_history(self, channel_id: int) -> bool:
        """Whether to say now that this channel hides its history from the bot: true once for each channel."""
        return await self.store.key_values.add(f"{NO_HISTORY_KEY}{channel_id}", "told")

    async def erase(self, user_id: int) -> ErasureResult:
        """Erase what is stored about a person."""
        result = await self.store.people.erase(user_id, self._clock())
        self._on_work()
        return result

    async def api_pause(self) -> PauseState | None:
        """Return why no task is polled at the moment; None without a pause."""
        text = await self.store.key_values.get(API_PAUSE_KEY)
        return None if text is None else PauseState.from_text(text)


def _still_owed(existing: ExistingDelivery) -> RedeliverResult:
    """Why nothing is planned although something is to come."""
    is_waiting = existing.task.state is TaskState.WAITING
    return RedeliverResult.STILL_OPEN if is_waiting else RedeliverResult.BEING_POSTED


def _log_delivery(what: str, action: str, delivery: Delivery) -> None:
    logger.info("%s %s", delivery.task_id, what, extra={"action": action, **delivery_fields(delivery)})
