"""Whether the bot does its work: what is wrong, in one sentence each."""

from collections.abc import Callable
from typing import Protocol

from bot.core.clock import SECOND, Clock
from bot.core.errors import TryLater
from bot.core.trouble import ApiTrouble
from bot.storage.diagnosis import Diagnosis
from bot.work.pacing import TROUBLE_FACT

# Three intervals: one question may be lost, and the next be on its way.
_LATE = 3
_CHECKED = "health.checked_at"


class Facts(Protocol):
    """A place in the database to write to."""

    async def put(self, name: str, value: str | None) -> None: ...


class Health:
    """`interval` is POLL_INTERVAL in milliseconds.

    `gateway_is_up` is None for a process that holds no gateway, and late questions are the fault of one that
    `asks` alone: starting any other again mends nothing.
    """

    def __init__(
        self,
        *,
        gateway_is_up: Callable[[], bool] | None,
        asks: bool,
        diagnosis: Diagnosis,
        facts: Facts,
        clock: Clock,
        interval: int,
    ) -> None:
        self._gateway_is_up = gateway_is_up
        self._asks = asks
        self._diagnosis = diagnosis
        self._facts = facts
        self._clock = clock
        self._interval = interval

    async def problems(self) -> list[str]:
        """Empty when all is well."""
        is_up = self._gateway_is_up is None or self._gateway_is_up()
        found = [] if is_up else ["Discord's gateway is not connected"]
        try:
            # Reading alone would not notice a full disk.
            await self._facts.put(_CHECKED, str(self._clock()))
            return found + (await self._late_questions() if self._asks else [])
        except TryLater as error:
            return [*found, str(error)]

    async def _late_questions(self) -> list[str]:
        late, now = await self._diagnosis.latest_question(), self._clock()
        if late is None or now - late.since <= _LATE * self._interval:
            return []
        trouble = await self._diagnosis.fact(TROUBLE_FACT)
        why = f" ({ApiTrouble.from_text(trouble).kind})" if trouble else ""
        return [f"the last round of questions to the video API is {(now - late.since) // SECOND} s late{why}"]
