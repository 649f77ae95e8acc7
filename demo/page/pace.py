"""The API's own pace: tasks proceed and finish by themselves, as in life or faster."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.video_api import StandInTask, StandInVideoApi

# A task waits in the queue, then 2 to 5 minutes have passed when it is finished (video-api.md, section 2).
QUEUED_FOR = 20.0
SHORTEST, LONGEST = 120, 300
FASTEST = 60.0
_TICK = 0.05


class Pace:
    """A task's life begins with the bot's first question, so that whoever tracks it sees all of it."""

    def __init__(self, api: StandInVideoApi, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self.factor = FASTEST
        self._lived: dict[str, float] = {}
        self._asked: Counter[str] = Counter()
        self._counted = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            self._advance((now - last) * self.factor)
            last = now

    def progress(self, task: StandInTask) -> int:
        """Percent of its life, in steps that are worth telling."""
        return min(100, int(self._lived.get(task.id, 0.0) / lifetime(task.id) * 20) * 5)

    def asked(self, task: StandInTask) -> int:
        """How often the bot has asked about it."""
        self._asked.update(question.task_id for question in self._api.polls[self._counted :])
        self._counted = len(self._api.polls)
        return self._asked[task.id]

    def _advance(self, seconds: float) -> None:
        under_way = [task for task in self._api.tasks.values() if _is_open(task) and self.asked(task)]
        for task in under_way:
            self._live(task, seconds)
        if seconds and under_way:
            self._changed()

    def _live(self, task: StandInTask, seconds: float) -> None:
        lived = self._lived[task.id] = self._lived.get(task.id, 0.0) + seconds
        if lived >= lifetime(task.id):
            task.complete()
        elif lived >= QUEUED_FOR and task.status == "queued":
            task.proceed()


def lifetime(task_id: str) -> float:
    """Seconds from creation to the video; the same for the same id, so that a demo can be repeated."""
    return SHORTEST + zlib.crc32(task_id.encode()) % (LONGEST - SHORTEST + 1)


def _is_open(task: StandInTask) -> bool:
    return task.status not in ("completed", "failed")
