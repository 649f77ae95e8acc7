"""An event loop whose clock moves only when nothing can run, and processes that can be stopped and frozen.

A call in another thread ends before the loop goes on, so the same seed gives the same steps.
"""

import asyncio
import contextlib
import heapq
import random
import warnings
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

# The process that a callback belongs to; None: the world outside.
PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)


class Stuck(Exception):
    """Nothing can run, and no timer is left."""


class Process:
    """What a kill or a freeze stops: every callback that was begun in its context."""

    def __init__(self, loop: "VirtualLoop", number: int) -> None:
        self.number = number
        self.is_dead = False
        self.is_frozen = False
        self.was_frozen = False
        self.stopped_at: float | None = None  # when it was killed or first stood still
        self.in_flight = 0  # effects and commands that have begun and not ended
        self._loop = loop
        self._parked: list[asyncio.Handle] = []

    def kill(self) -> None:
        """Nothing of it ever runs again: no handler, no `finally`."""
        self.is_dead = True
        self._stopped()
        self._parked.clear()

    def freeze(self) -> None:
        self.is_frozen = self.was_frozen = True
        self._stopped()

    def thaw(self) -> None:
        """Go on with all that came due meanwhile."""
        self.is_frozen = False
        self._loop.add_ready(self._parked)
        self._parked = []

    def _stopped(self) -> None:
        self.stopped_at = self._loop.time() if self.stopped_at is None else self.stopped_at

    def hold_back(self, handle: asyncio.Handle) -> bool:
        """Whether `handle` must not run now."""
        if self.is_frozen and not self.is_dead:
            self._parked.append(handle)
        return self.is_dead or self.is_frozen


class VirtualLoop(BaseEventLoop):
    """Runs what is ready, in an order that `chance` decides (None: as it came), then moves its clock.

    `on_idle` is called before the clock moves, and returns the time to which it moves at once; None: to the
    next timer.
    """

    # Of asyncio's own loop, which has no public names for them.
    _ready: Any
    _scheduled: list[Any]

    def __init__(self, chance: random.Random | None, on_idle: Callable[[], float | None]) -> None:
        super().__init__()
        self._now = 0.0
        self._chance = chance
        self._on_idle = on_idle
        self.tasks: list[asyncio.Task[Any]] = []
        self.disk: Callable[[Callable[..., Any], tuple[Any, ...]], asyncio.Future[Any] | None] | None = None
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        return self._now

    def add_ready(self, handles: list[asyncio.Handle]) -> None:
        self._ready.extend(handles)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Call it here and now. `disk` may make an effect of it."""
        if self.disk is not None and (effect := self.disk(func, args)) is not None:
            return effect
        ended = self.create_future()
        try:
            ended.set_result(func(*args))
        except Exception as error:
            ended.set_exception(error)
        return ended

    def abandon(self) -> None:
        """Close the coroutines that will never go on, whatever they do about it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for task in self.tasks:
                if task.done():
                    _ = task.cancelled() or task.exception()
                    continue
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(BaseException):  # of a `finally` that wanted to wait
                    task.get_coro().close()
        self.tasks.clear()
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _make_task(self, loop: Any, coro: Generator[Any, None, Any], **named: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **named)
        self.tasks.append(task)
        return task

    def _run_once(self) -> None:
        if not self._ready:
            self._advance()
        while self._scheduled and (self._scheduled[0]._when <= self._now or self._scheduled[0]._cancelled):
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)
        batch = list(self._ready)
        self._ready.clear()
        if self._chance is not None:
            self._chance.shuffle(batch)
        for handle in batch:
            process = handle._context.get(PROCESS)
            if not (handle._cancelled or (process is not None and process.hold_back(handle))):
                handle._run()

    def _advance(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        at = self._on_idle()
        if self._ready:
            return
        if not self._scheduled:
            raise Stuck
        self._now = max(self._now, self._scheduled[0]._when, at or 0.0)

    def _process_events(self, event_list: Any) -> None:
        """There are none: nothing outside of the process is waited for."""

    def _write_to_self(self) -> None:
        """Nothing to do: no other thread calls."""
