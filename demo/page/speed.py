"""The speed of the stand-in API: its tasks proceed and finish in real time or faster."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.video_api import StandInTask, StandInVideoApi

# Seconds in the queue, and in all: 2 to 5 minutes (video-api.md, section 2).
QUEUED_FOR = 20.0
MIN_LIFETIME, MAX_LIFETIME = 120, 300
DEFAULT_FACTOR = 60.0
_TICK = 0.05  # seconds


class Speed:
    """Moves the tasks `factor` times as fast as in real time; 0 leaves that to the buttons.

    A task begins to proceed at its first poll, so that one sees all of it after tracking it.
    """

    def __init__(self, api: StandInVideoApi, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self.factor = DEFAULT_FACTOR
        self._ages: dict[str, float] = {}
        self._polls: Counter[str] = Counter()
        self._counted = 0

    async def run(self) -> None:
        """Move the tasks until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            self._advance((now - last) * self.factor)
            last = now

    def progress(self, task: StandInTask) -> int:
        """Percent of its lifetime, in steps of five."""
        return min(100, int(self._ages.get(task.id, 0.0) / lifetime(task.id) * 20) * 5)

    def polls(self, task: StandInTask) -> int:
        """How often the bot has polled it."""
        self._polls.update(poll.task_id for poll in self._api.polls[self._counted :])
        self._counted = len(self._api.polls)
        return self._polls[task.id]

    def _advance(self, seconds: float) -> None:
        under_way = [task for task in self._api.tasks.values() if _is_open(task) and self.polls(task)]
        for task in under_way:
            self._age(task, seconds)
        if seconds and under_way:
            self._changed()

    def _age(self, task: StandInTask, seconds: float) -> None:
        age = self._ages[task.id] = self._ages.get(task.id, 0.0) + seconds
        if age >= lifetime(task.id):
            task.complete()
        elif age >= QUEUED_FOR and task.status == "queued":
            task.proceed()


def lifetime(task_id: str) -> float:
    """Seconds until the video; derived from the id, so that a demo can be repeated."""
    return MIN_LIFETIME + zlib.crc32(task_id.encode()) % (MAX_LIFETIME - MIN_LIFETIME + 1)


def _is_open(task: StandInTask) -> bool:
    return task.status not in ("completed", "failed")
