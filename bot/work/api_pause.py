"""The API pause: no task is polled for a while, because the key was refused or the API asked for it."""

import logging

from bot.core.clock import MINUTE, SECOND, Clock
from bot.core.verdicts import PauseReason, PauseState
from bot.storage.key_values import KeyValues

logger = logging.getLogger(__name__)

API_PAUSE_KEY = "video_api.trouble"
# A wrong key is mended by a person, who then restarts; polling now and then notices a mend on the other side.
_KEY_PAUSE = 5 * MINUTE
_THROTTLE_PAUSE = 30 * SECOND


class ApiPause:
    """Whether and why all polls wait. A pause lasts until an answer comes."""

    def __init__(self, key_values: KeyValues, clock: Clock) -> None:
        self._key_values = key_values
        self._clock = clock
        self.state: PauseState | None = None

    async def start(self) -> None:
        """Forget the pause of an earlier run, because an operator restarts after mending the key."""
        await self._key_values.put(API_PAUSE_KEY, None)

    @property
    def ends_at(self) -> int:
        """No poll before this time, in UTC milliseconds; 0 without a pause."""
        return self.state.until if self.state else 0

    async def pause_for_key(self) -> None:
        """Pause for five minutes, because the key was refused. Logged once per pause."""
        if await self._pause(PauseReason.KEY_REFUSED, self._clock() + _KEY_PAUSE):
            logger.error(
                "the video API refuses VEO_API_KEY: polling pauses for 5 minutes, nothing is lost; "
                "mend the key and restart"
            )

    async def throttle(self, retry_after: float | None) -> None:
        """Pause for as long as the API wants, in seconds."""
        pause = _THROTTLE_PAUSE if retry_after is None else int(retry_after * SECOND)
        if await self._pause(PauseReason.THROTTLED, self._clock() + pause):
            logger.warning("the video API asks to slow down: polling pauses for %g s", pause / SECOND)

    async def _pause(self, reason: PauseReason, until: int) -> bool:
        """Whether the pause is new. Polls in flight may all ask for one; the longest wish counts."""
        now = self._clock()
        if self.state and self.state.reason is PauseReason.KEY_REFUSED and now < self.state.until:
            return False  # a late 429 says nothing about the key
        same = self.state if self.state and self.state.reason is reason else None
        is_new = same is None or same.until <= now
        if same is None or is_new or same.until < until:
            self.state = PauseState(reason, same.since if same else now, until)
            await self._key_values.put(API_PAUSE_KEY, self.state.to_text())
        return is_new

    async def end_if_answered(self, polled_at: int) -> None:
        """End the pause, if the answered poll was made after it had run out."""
        if self.state is None or polled_at < self.state.until:
            return
        logger.info("the video API answers again (it was: %s)", self.state.reason)
        self.state = None
        await self._key_values.put(API_PAUSE_KEY, None)
