"""Warns the operator when POLL_RATE cannot keep up with the waiting tasks."""

import asyncio
import logging

from bot.aio import wait_for_event
from bot.core.clock import HOUR, SECOND, Clock
from bot.core.errors import TryLater
from bot.core.poll_rate import PollRate
from bot.storage.diagnosis import Diagnosis

logger = logging.getLogger(__name__)

_LOG_AGAIN_AFTER = HOUR


async def watch_poll_rate(diagnosis: Diagnosis, rate: PollRate, clock: Clock, stop: asyncio.Event) -> None:
    """Check once an interval until `stop` is set. A rate that is too low is logged at most once an hour."""
    logged_at: int | None = None
    while not await wait_for_event(stop, timeout=rate.interval / SECOND):
        try:
            wanted = await diagnosis.polls_wanted(clock() + rate.interval)
        except TryLater:
            continue  # the loops log it
        shortfall = rate.shortfall(wanted.count)
        if shortfall is not None and (logged_at is None or abs(clock() - logged_at) >= _LOG_AGAIN_AFTER):
            logged_at = clock()
            logger.warning("%s", shortfall)
