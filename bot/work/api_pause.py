"""The API pause: no polls for a while, because the key was refused or the API asked for it.

One refused or throttled id does not pause the others. Two do, when no poll was accepted in between.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.backoff import MAX_POLL_DELAY, max_poll_pause
from bot.core.clock import SECOND, Clock
from bot.core.tasks import Doubt, TrackedTask
from bot.core.verdicts import TROUBLE_SHOWN_AFTER
from bot.storage.key_values import KeyValues
from bot.storage.task_queue import TaskQueue

logger = logging.getLogger(__name__)

_SUSPECTS = 2
_MAX_REMEMBERED = 10_000


class ApiPause:
    """Decides whether and why all polls wait. `interval` in milliseconds.

    During a pause one task at a time is polled: after one interval, then after twice the time, up to five
    minutes. The pause ends when the API accepts a poll. `on_cards` is called when cards begin or cease to
    show it.
    """

    def __init__(
        self,
        key_values: KeyValues,
        queue: TaskQueue,
        clock: Clock,
        *,
        interval: int,
        on_cards: Callable[[], None],
    ) -> None:
        self._key_values = key_values
        self._queue = queue
        self._clock = clock
        self._interval = interval
        self._on_cards = on_cards
        self._delay = 0
        self._refused: set[str] = set()
        self._own_trouble: set[str] = set()  # refused while the key was accepted for others
        self._throttled: set[str] = set()
        self.state: PauseState | None = None

    async def start(self) -> None:
        """Forget the pause of an earlier run, because an operator restarts after correcting the key."""
        text = await self._key_values.get(API_PAUSE_KEY)
        if text is not None:
            await self._key_values.put(API_PAUSE_KEY, None)
            await self._edit_cards()

    def ends_at(self, now: int) -> int:
        """Return the time before which no task is polled, in UTC milliseconds; 0 without a pause.

        An end that is further ahead than any pause was set by a wrong clock, and does not count.
        """
        if self.state is None or self.state.until > now + max_poll_pause(self._interval):
            return 0
        return self.state.until

    async def refuse_key(self, task: TrackedTask, polled_at: int) -> None:
        """Record that a poll was answered with 401 or words about the key."""
        if task.doubt is not Doubt.REFUSED and task.id not in self._own_trouble:
            self._refused.add(task.id)
        if len(self._refused) < _SUSPECTS and await self._queue.is_other_waiting(task.id):
            return
        if await self._begin_or_extend(PauseReason.KEY_REFUSED, polled_at, None):
            logger.error(
                "the video API refuses VEO_API_KEY: one poll at a time goes on, nothing is lost; "
                "correct the key and restart"
            )

    async def throttle(self, task_id: str, polled_at: int, retry_after: float | None) -> None:
        """Record that a poll was answered with 429. `retry_after` in seconds."""
        self._throttled.add(task_id)
        if len(self._throttled) < _SUSPECTS and self.state is None:
            return
        if await self._begin_or_extend(PauseReason.THROTTLED, polled_at, retry_after):
            logger.warning("the video API asks to slow down: polling pauses for %g s", self._delay / SECOND)

    async def accept(self, task_id: str) -> None:
        """Record that a poll was accepted. This clears all suspicions and ends a pause."""
        if len(self._own_trouble) < _MAX_REMEMBERED:
            self._own_trouble |= self._refused
        self._own_trouble.discard(task_id)
        self._refused.clear()
        self._throttled.clear()
        if self.state is None:
            return
        logger.info("the video API answers again (it was: %s)", self.state.reason)
        was_shown, self.state, self._delay = self.state.is_shown, None, 0
        await self._key_values.put(API_PAUSE_KEY, None)
        if was_shown:
            await self._edit_cards()

    async def show_if_long(self, now: int) -> None:
        """Show a pause on the cards when it has lasted for ten intervals."""
        state = self.state
        if state is None or state.is_shown or now - state.since < TROUBLE_SHOWN_AFTER * self._interval:
            return
        await self._store_state(replace(state, is_shown=True))
        await self._edit_cards()

    async def _begin_or_extend(self, reason: PauseReason, polled_at: int, retry_after: float | None) -> bool:
        """Begin or extend the pause; returns whether it is new or longer.

        A poll that was made before the pause does not double it.
        """
        now, state = self._clock(), self.state
        if state is not None and polled_at < self.ends_at(now):
            return False
        longest = max(MAX_POLL_DELAY, self._interval)
        self._delay = min(2 * self._delay, longest) if state and self._delay else self._interval
        if retry_after is not None:
            self._delay = min(max(int(retry_after * SECOND), self._interval), max_poll_pause(self._interval))
        same = state if state is not None and state.reason is reason else None
        is_shown = state.is_shown if state else False
        await self._store_state(PauseState(reason, same.since if same else now, now + self._delay, is_shown))
        return True

    async def _store_state(self, state: PauseState) -> None:
        self.state = state
        await self._key_values.put(API_PAUSE_KEY, state.to_text())

    async def _edit_cards(self) -> None:
        await self._queue.show_pause(self._clock())
        self._on_cards()
