"""The gate to the video API: open, or closed for everybody."""

import logging
from typing import Protocol

from bot.core.clock import MINUTE, SECOND, Clock
from bot.core.trouble import ApiTrouble, TroubleKind

logger = logging.getLogger(__name__)

TROUBLE_FACT = "video_api.trouble"
# A wrong key is mended by a person, who then restarts; asking now and then covers a mend on the other side.
_KEY_PAUSE = 5 * MINUTE
_THROTTLE_PAUSE = 30 * SECOND


class FactStore(Protocol):
    """Where the trouble is kept for other processes to see."""

    async def get(self, name: str) -> str | None: ...
    async def put(self, name: str, value: str | None) -> None: ...


class ApiGate:
    """Open, or closed for every task until a time. A trouble lasts until an answer comes."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self.trouble: ApiTrouble | None = None

    async def start(self) -> None:
        """A restart is what an operator does after mending the key: forget the old trouble."""
        await self._facts.put(TROUBLE_FACT, None)

    @property
    def closed_until(self) -> int:
        """UTC milliseconds; 0 when open."""
        return self.trouble.until if self.trouble else 0

    async def refuse_key(self) -> None:
        """Nobody asks for five minutes; told to the operator once per pause."""
        if await self._close(TroubleKind.KEY_REFUSED, self._clock() + _KEY_PAUSE):
            logger.error(
                "the video API refuses VEO_API_KEY: polling pauses for 5 minutes, nothing is lost; "
                "mend the key and restart"
            )

    async def throttle(self, retry_after: float | None) -> None:
        """Nobody asks for as long as the API wants, in seconds."""
        pause = _THROTTLE_PAUSE if retry_after is None else int(retry_after * SECOND)
        if await self._close(TroubleKind.THROTTLED, self._clock() + pause):
            logger.warning("the video API asks to slow down: polling pauses for %g s", pause / SECOND)

    async def _close(self, kind: TroubleKind, until: int) -> bool:
        """False when it is closed already: many questions were on their way, and the longest wish counts."""
        now = self._clock()
        if self.trouble and self.trouble.kind is TroubleKind.KEY_REFUSED and now < self.trouble.until:
            return False  # a 429 that comes late says nothing about the key
        same = self.trouble if self.trouble and self.trouble.kind is kind else None
        is_news = same is None or same.until <= now
        if same is None or is_news or same.until < until:
            self.trouble = ApiTrouble(kind, same.since if same else now, until)
            await self._facts.put(TROUBLE_FACT, self.trouble.to_text())
        return is_news

    async def answered(self, asked_at: int) -> None:
        """An answer to a question asked after the gate closed ends the trouble."""
        if self.trouble is None or asked_at < self.trouble.until:
            return
        logger.info("the video API answers again (it was: %s)", self.trouble.kind)
        self.trouble = None
        await self._facts.put(TROUBLE_FACT, None)
