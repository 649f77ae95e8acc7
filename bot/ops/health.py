"""Whether the bot does its work: what is wrong, in one sentence each."""

from bot.core.clock import SECOND, Clock
from bot.core.errors import TryLater
from bot.core.verdicts import PauseState
from bot.storage.store import Store
from bot.work.api_pause import API_PAUSE_KEY

_CHECKED_AT_KEY = "health.checked_at"


async def health_problems(
    store: Store, clock: Clock, *, interval: int, gateway_is_up: bool, polls: bool
) -> list[str]:
    """What is wrong; empty when all is well. `interval` is POLL_INTERVAL in milliseconds.

    Only a process that `polls` reports late polls, because restarting another one would not help.
    """
    problems = [] if gateway_is_up else ["Discord's gateway is not connected"]
    try:
        # A write, because reading alone would not notice a full disk.
        await store.key_values.put(_CHECKED_AT_KEY, str(clock()))
        if polls:
            problems += await _late_polls(store, interval, clock())
    except TryLater as error:
        problems.append(str(error))
    return problems


async def _late_polls(store: Store, interval: int, now: int) -> list[str]:
    late = await store.diagnosis.late_poll(interval, now)
    if late is None:
        return []
    pause = await store.diagnosis.value(API_PAUSE_KEY)
    why = f" ({PauseState.from_text(pause).reason})" if pause else ""
    return [f"the last round of polls of the video API is {(now - late.since) // SECOND} s late{why}"]
