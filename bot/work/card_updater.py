"""Edits cards whose state has changed. A card is only information; what is owed is the result message."""

import logging
from dataclasses import replace
from typing import Protocol

from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, SECOND, Clock
from bot.core.errors import GiveUp, TryLater
from bot.core.log_fields import log_about
from bot.core.tasks import CardView
from bot.storage.card_queue import CardQueue

logger = logging.getLogger(__name__)
_MAX_ATTEMPTS = 10
_MIN_RETRY_DELAY = 5 * SECOND
_QUARANTINE_TIME = HOUR


class CardEditor(Protocol):
    """The calls to Discord that the card updater makes."""

    async def edit_card(self, view: CardView) -> None:
        """Edit the card's message. Raises DiscordUnavailable, DiscordRefused."""
        ...

    async def find_card(self, view: CardView) -> int | None:
        """Return the id of the card's message, looked up in its channel. Raises DiscordUnavailable."""
        ...


class CardUpdater:
    """The handler of the card loop."""

    name = "card updater"

    def __init__(self, *, queue: CardQueue, editor: CardEditor, clock: Clock) -> None:
        self._queue = queue
        self._editor = editor
        self._clock = clock

    async def handle(self, lease: int, work: CardView) -> None:
        """Edit one card and record it. After ten failed attempts the card stays as it is."""
        log_about("edit_card", work)
        try:
            view = await self._with_message(work)
            if view is not None:
                await self._editor.edit_card(view)
        except GiveUp as error:
            logger.info("card %d stays as it is: %s", work.card.id, error)
        except TryLater as error:
            if work.attempt + 1 < _MAX_ATTEMPTS:
                await self._postpone(lease, work, error)
                return
            logger.warning("card %d stays as it is: %s", work.card.id, error)
        await self._queue.mark_edited(work.card, lease, self._clock())

    async def _with_message(self, view: CardView) -> CardView | None:
        """Look up the card's message if its id was never stored, because the bot was killed just then."""
        if view.card.message_id is not None:
            return view
        message_id = await self._editor.find_card(view)
        if message_id is None:
            logger.info("card %d stays as it is: its message is not found", view.card.id)
            return None
        await self._queue.set_message(view.card.id, message_id, self._clock())
        return replace(view, card=replace(view.card, message_id=message_id))

    async def _postpone(self, lease: int, view: CardView, error: TryLater) -> None:
        attempt = view.attempt + 1
        due_at = self._clock() + retry_delay(attempt, base=_MIN_RETRY_DELAY, retry_after=error.retry_after)
        if not await self._queue.postpone(view.card.id, lease, due_at, attempt=attempt):
            await self._queue.edit_again(view.card.id, self._clock())

    async def quarantine(self, lease: int, work: CardView, reason: str) -> None:
        """Keep a card back for an hour, because our own bug stopped it."""
        due_at = self._clock() + _QUARANTINE_TIME
        await self._queue.postpone(
            work.card.id, lease, due_at, attempt=work.attempt + 1, quarantine_reason=reason
        )
