"""Whether the bot does its work: what is wrong, in one sentence each."""

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import SECOND, Clock
from bot.core.errors import TryLater
from bot.storage.diagnosis import MAX_INTERVALS_LATE
from bot.storage.store import Store

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
    text = await store.diagnosis.value(API_PAUSE_KEY)
    pause = PauseState.from_text(text) if text else None
    overdue = await store.diagnosis.most_overdue_poll()
    if overdue is None:
        return []
    since = overdue.since
    if pause is not None and pause.reason is PauseReason.KEY_REFUSED:
        # A task that is alone is never late in a pause, because it is the one that is polled.
        since = min(since, pause.since)
    if now - since <= MAX_INTERVALS_LATE * interval:
        return []
    why = f" ({pause.reason})" if pause else ""
    return [f"the last round of polls of the video API is {(now - since) // SECOND} s late{why}"]
