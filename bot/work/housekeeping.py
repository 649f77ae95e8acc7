"""Once an hour: forgets servers left long ago, removes videos that nobody takes, tries closed ways again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
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


class Housekeeper:
    """A round every `every` seconds. `recheck` looks for channels that take again what they refused.

    What fails is tried again in the next round.
    """

    def __init__(
        self,
        *,
        guilds: Departures,
        deliveries: Keeps,
        shelf: Videos,
        recheck: Callable[[], Awaitable[None]],
        clock: Clock,
        every: float,
    ) -> None:
        self._recheck = recheck
        self._every = every
        self._guilds = guilds
        self._deliveries = deliveries
        self._shelf = shelf
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            await self._guarded_round()
            try:
                async with asyncio.timeout(self._every):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _guarded_round(self) -> None:
        try:
            await self.round()
        except TryLater as error:
            logger.warning("housekeeping waits for its next round: %s", error)
        except Exception:
            logger.exception("a bug in housekeeping; it goes on in an hour")

    async def round(self) -> None:
        """Raises StorageUnavailable."""
        now = self._clock()
        if forgotten := await self._guilds.purge(now - GUILDS_STAY, now):
            logger.info("forgot %d servers that the bot left a month ago", forgotten)
        if removed := await self._shelf.tidy(await self._deliveries.tasks_to_keep(now)):
            logger.info("removed %d videos that nobody took", removed)
        await self._recheck()
