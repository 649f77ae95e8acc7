"""Compares this machine's clock with that of the PostgreSQL that several processes share."""

import logging

from bot.core.clock import SECOND, Clock
from bot.storage.engine import Database

logger = logging.getLogger(__name__)


class ClockWatch:
    """Compares the two clocks at each `look`. With wrong clocks a process would claim what others still hold.

    `problem` is set when they differ by more than `limit` milliseconds.
    """

    def __init__(self, database: Database, clock: Clock, *, limit: float) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self.problem: str | None = None

    async def look(self) -> None:
        """Compare the clocks, and log each change once. Raises StorageUnavailable."""
        before, self.problem = self.problem, await self._find_problem()
        if self.problem is not None and before is None:
            logger.warning("%s", self.problem)
        elif self.problem is None and before is not None:
            logger.info("this machine's clock agrees with the database's again")

    async def _find_problem(self) -> str | None:
        if not self._database.is_shared:
            return None
        from bot.storage.postgresql import clock_difference

        difference = await clock_difference(self._database, self._clock)
        if abs(difference) <= self._limit:
            return None
        return f"this machine's clock is {difference / SECOND:+.0f} s off the database's: set both by NTP"
