"""Once an hour: forgets servers left long ago, removes videos that nobody takes, tries closed ways again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from bot.core.clock import DAY, Clock
from bot.core.errors import TryLater

logger = logging.getLogger(__name__)

# Somebody who removed the bot by mistake finds everything again within a month.
GUILDS_STAY = 30 * DAY


class Departures(Protocol):
    """The guilds of the store."""

    async def purge(self, before: int, now: int) -> int: ...


class Keeps(Protocol):
    """The part of the delivery queue that knows which files are of use."""

    async def tasks_to_keep(self, now: int) -> set[str]: ...


class Videos(Protocol):
    """The shelf."""

    async def tidy(self, keep: Iterable[str]) -> int: ...


Chore = Callable[[], Awaitable[None]]


async def forget_departed(guilds: Departures, clock: Clock) -> None:
    """Servers that the bot left long ago. Raises StorageUnavailable."""
    now = clock()
    if forgotten := await guilds.purge(now - GUILDS_STAY, now):
        logger.info("forgot %d servers that the bot left a month ago", forgotten)


async def tidy_videos(deliveries: Keeps, shelf: Videos, clock: Clock) -> None:
    """Files that nobody is owed. Raises StorageUnavailable."""
    if removed := await shelf.tidy(await deliveries.tasks_to_keep(clock())):
        logger.info("removed %d videos that nobody took", removed)


class Housekeeper:
    """Does every chore, every `every` seconds. What fails is tried again in the next round."""

    def __init__(self, chores: Sequence[Chore], *, every: float) -> None:
        self._chores = chores
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            for chore in self._chores:
                await _guarded(chore)
            try:
                async with asyncio.timeout(self._every):
                    await stop.wait()
            except TimeoutError:
                continue


async def _guarded(chore: Chore) -> None:
    try:
        await chore()
    except TryLater as error:
        logger.warning("housekeeping waits for its next round: %s", error)
    except Exception:
        logger.exception("a bug in housekeeping; it goes on in an hour")
