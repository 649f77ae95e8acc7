"""Lets the calls to Discord through one rate limit, results before people's wishes before card edits."""

import asyncio
import heapq
import itertools
from enum import IntEnum

from bot.core.errors import StorageUnavailable
from bot.core.rate_limit import Limiter


class Lane(IntEnum):
    """Who goes first."""

    RESULT = 0
    PERSON = 1  # what somebody waits for: a card, a deleted message
    CARD = 2


_Waiter = tuple[Lane, int, "asyncio.Future[None]"]


class Lanes:
    """Waits for the limiter once for each caller, and lets the first lane's oldest caller go each time."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._waiting: list[_Waiter] = []
        self._numbers = itertools.count()
        self._admitting: asyncio.Task[None] | None = None

    async def acquire(self, lane: Lane) -> None:
        """Return when the next call may be made. Raises StorageUnavailable for a limit in the database."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (lane, next(self._numbers), admitted))
        if self._admitting is None or self._admitting.done():
            self._admitting = asyncio.create_task(self._admit(), name="outbound lanes")
        await admitted

    async def _admit(self) -> None:
        while self._drop_cancelled():
            try:
                await self._limiter.acquire()
            except StorageUnavailable as error:
                self._fail_all(error)
                return
            if self._drop_cancelled():
                heapq.heappop(self._waiting)[2].set_result(None)

    def _drop_cancelled(self) -> bool:
        """Whether somebody is still waiting."""
        while self._waiting and self._waiting[0][2].done():
            heapq.heappop(self._waiting)
        return bool(self._waiting)

    def _fail_all(self, error: StorageUnavailable) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, admitted in waiting:
            if not admitted.done():
                admitted.set_exception(StorageUnavailable(str(error)))
