"""Redraws cards whose state has changed. A card is a courtesy: what is owed is the result message."""

import logging
from collections.abc import Iterable
from typing import Protocol

from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, Clock
from bot.core.errors import GiveUp, TryLater
from bot.core.log_fields import log_about
from bot.core.tasks import Card, CardView, Claim

logger = logging.getLogger(__name__)
_MOST_ATTEMPTS = 10
_SET_ASIDE = HOUR


class Cards(Protocol):
    """The card queue of the store."""

    async def claim(self, limit: int, now: int) -> Claim[CardView]: ...
    async def drawn(self, card: Card, lease: int, now: int) -> bool: ...
    async def postpone(
        self, card_id: int, lease: int, due_at: int, *, attempt: int, set_aside: str | None = None
    ) -> bool: ...
    async def next_due(self) -> int | None: ...
    async def renew(self, leases: Iterable[int], now: int) -> None: ...


class Easel(Protocol):
    """Discord, as the card keeper sees it."""

    async def draw(self, view: CardView) -> None:
        """Edit the card's message. Raises DiscordUnavailable, Undeliverable."""
        ...


class CardKeeper:
    """A Source for the durable loop."""

    name = "card keeper"

    def __init__(self, *, cards: Cards, easel: Easel, clock: Clock) -> None:
        self._cards = cards
        self._easel = easel
        self._clock = clock

    async def claim(self, room: int) -> Claim[CardView]:
        return await self._cards.claim(room, self._clock())

    async def next_due(self) -> int | None:
        return await self._cards.next_due()

    async def renew(self, leases: Iterable[int]) -> None:
        await self._cards.renew(leases, self._clock())

    async def handle(self, lease: int, work: CardView) -> None:
        log_about("draw", work)
        try:
            await self._easel.draw(work)
        except GiveUp as error:
            logger.info("card %d stays as it is: %s", work.card.id, error)
        except TryLater as error:
            if work.attempt + 1 < _MOST_ATTEMPTS:
                await self._postpone(lease, work, error)
                return
            logger.warning("card %d stays as it is: %s", work.card.id, error)
        await self._cards.drawn(work.card, lease, self._clock())

    async def _postpone(self, lease: int, view: CardView, error: TryLater) -> None:
        attempt = view.attempt + 1
        due_at = self._clock() + retry_delay(attempt, asked_for=error.retry_after)
        await self._cards.postpone(view.card.id, lease, due_at, attempt=attempt)

    async def set_aside(self, lease: int, work: CardView, why: str) -> None:
        due_at = self._clock() + _SET_ASIDE
        await self._cards.postpone(work.card.id, lease, due_at, attempt=work.attempt + 1, set_aside=why)
