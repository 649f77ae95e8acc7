"""What people can ask for: track, untrack, deliver again, be notified too. Commits, then wakes the loops."""

import logging
from collections.abc import Callable
from typing import Protocol

from bot.core.clock import Clock
from bot.core.log_fields import delivery_fields
from bot.core.registration import (
    Earlier,
    Forgotten,
    Held,
    Overview,
    Redelivered,
    Registered,
    TrackRequest,
    Untracked,
    Watching,
)
from bot.core.results import living_link
from bot.core.tasks import LIVE, Delivery, TaskState
from bot.core.trouble import ApiTrouble
from bot.work.pacing import TROUBLE_FACT, FactStore

logger = logging.getLogger(__name__)

_ENDED_IN_A_LIST = 10
_SUGGESTIONS = 25  # Discord shows no more


class Registrations(Protocol):
    """The registrations of the store."""

    async def register(self, request: TrackRequest, now: int) -> Registered: ...
    async def cancel(
        self, channel_id: int, task_id: str, by: int, now: int, *, may_cancel_any: bool
    ) -> Untracked: ...
    async def redeliver(self, earlier: Earlier, by: int, now: int) -> bool: ...
    async def watch(self, card_id: int, user_id: int) -> Watching: ...


class Lookups(Protocol):
    """The look-ups of the store."""

    async def find(self, channel_id: int, task_id: str) -> Earlier | None: ...
    async def delivery(self, delivery_id: int) -> Earlier | None: ...
    async def overview(self, channel_id: int, *, ended: int) -> Overview: ...
    async def suggest(self, channel_id: int, part: str, *, limit: int) -> tuple[Earlier, ...]: ...


class People(Protocol):
    """What the store knows about persons."""

    async def held_about(self, user_id: int) -> Held: ...
    async def forget(self, user_id: int, now: int) -> Forgotten: ...


class CardNames(Protocol):
    """The part of the card queue that a command needs."""

    async def named(self, card_id: int, message_id: int) -> None: ...


class Videos(Protocol):
    """The shelf."""

    async def has(self, task_id: str) -> bool: ...


class Registry:
    """The service behind commands and buttons. Every method may raise StorageUnavailable."""

    def __init__(
        self,
        *,
        registrations: Registrations,
        lookups: Lookups,
        people: People,
        cards: CardNames,
        facts: FactStore,
        videos: Videos,
        clock: Clock,
        on_work: Callable[[], None],
    ) -> None:
        self._registrations = registrations
        self._lookups = lookups
        self._people = people
        self._cards = cards
        self._facts = facts
        self._videos = videos
        self._clock = clock
        self._on_work = on_work

    async def track(self, request: TrackRequest) -> Registered:
        """Committed when this returns. Raises QuotaReached."""
        registered = await self._registrations.register(request, self._clock())
        for row in registered.card.rows if registered.card else ():
            _say("tracked", "track", row.delivery)
        self._on_work()
        return registered

    async def name_card(self, card_id: int, message_id: int) -> None:
        """Discord has posted the card."""
        await self._cards.named(card_id, message_id)
        self._on_work()

    async def untrack(self, channel_id: int, task_id: str, by: int, *, may_cancel_any: bool) -> Untracked:
        outcome = await self._registrations.cancel(
            channel_id, task_id, by, self._clock(), may_cancel_any=may_cancel_any
        )
        if outcome is Untracked.CANCELLED:
            known = {"action": "untrack", "task_id": task_id, "channel_id": channel_id}
            logger.info("%s untracked", task_id, extra=known)
        self._on_work()
        return outcome

    async def redeliver(self, channel_id: int, task_id: str, by: int) -> tuple[Redelivered, Earlier | None]:
        """Post a final task's result once more. Raises QuotaReached."""
        earlier = await self._lookups.find(channel_id, task_id)
        if earlier is None:
            return Redelivered.NOT_TRACKED, None
        if earlier.delivery.state in LIVE or earlier.task.state is TaskState.WAITING:
            return Redelivered.STILL_OPEN, earlier
        if not await self._has_something_to_post(earlier):
            return Redelivered.LINK_DEAD, earlier
        if not await self._registrations.redeliver(earlier, by, self._clock()):
            return Redelivered.STILL_OPEN, earlier
        _say("to be posted once more", "redeliver", earlier.delivery)
        self._on_work()
        return Redelivered.PLANNED, earlier

    async def _has_something_to_post(self, earlier: Earlier) -> bool:
        """What a channel did not take is kept here for longer than its link lives."""
        if earlier.task.state is not TaskState.COMPLETED or living_link(earlier.task, self._clock()):
            return True
        return await self._videos.has(earlier.task.id)

    async def watch(self, card_id: int, user_id: int) -> Watching:
        return await self._registrations.watch(card_id, user_id)

    async def held_about(self, user_id: int) -> Held:
        return await self._people.held_about(user_id)

    async def forget(self, user_id: int) -> Forgotten:
        forgotten = await self._people.forget(user_id, self._clock())
        self._on_work()
        return forgotten

    async def find(self, channel_id: int, task_id: str) -> Earlier | None:
        return await self._lookups.find(channel_id, task_id)

    async def delivery(self, delivery_id: int) -> Earlier | None:
        return await self._lookups.delivery(delivery_id)

    async def overview(self, channel_id: int) -> Overview:
        return await self._lookups.overview(channel_id, ended=_ENDED_IN_A_LIST)

    async def suggest(self, channel_id: int, part: str) -> tuple[Earlier, ...]:
        return await self._lookups.suggest(channel_id, part, limit=_SUGGESTIONS)

    async def api_trouble(self) -> ApiTrouble | None:
        """Why nobody may ask the video API at the moment."""
        text = await self._facts.get(TROUBLE_FACT)
        return None if text is None else ApiTrouble.from_text(text)


def _say(what: str, action: str, delivery: Delivery) -> None:
    logger.info("%s %s", delivery.task_id, what, extra={"action": action, **delivery_fields(delivery)})
