"""Hourly chores: delete servers left long ago, and files that no channel is owed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from bot.aio import wait_for_event
from bot.core.clock import DAY, Clock
from bot.core.errors import TryLater
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.guilds import Guilds
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# How long rows stay, so that a removal of the bot by mistake can be undone.
GUILDS_STAY = 30 * DAY

Chore = Callable[[], Awaitable[None]]


async def purge_left_guilds(guilds: Guilds, clock: Clock) -> None:
    """Delete what is stored about servers that the bot left a month ago. Raises StorageUnavailable."""
    now = clock()
    if purged := await guilds.purge(now - GUILDS_STAY, now):
        logger.info("deleted %d servers that the bot left a month ago", purged)


async def tidy_videos(deliveries: DeliveryQueue, videos: VideoCache, clock: Clock) -> None:
    """Remove files that no channel is owed. Raises StorageUnavailable."""
    if removed := await videos.tidy(await deliveries.tasks_to_keep(clock())):
        logger.info("removed %d videos that no channel is owed", removed)


async def run_chores(chores: Sequence[Chore], interval: float, stop: asyncio.Event) -> None:
    """Run every chore each `interval` seconds until `stop` is set; a failed one runs again next time."""
    while not stop.is_set():
        for chore in chores:
            await _run_chore(chore)
        await wait_for_event(stop, timeout=interval)


async def _run_chore(chore: Chore) -> None:
    try:
        await chore()
    except TryLater as error:
        logger.warning("housekeeping failed and runs again in its next round: %s", error)
    except Exception:
        logger.exception("a bug in housekeeping; it runs again in its next round")
