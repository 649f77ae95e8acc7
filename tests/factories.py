"""Valid objects by default, a change where it matters; the store brought to a state by its own methods."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.answers import Completed
from bot.core.registration import Earlier, Registered, TrackRequest
from bot.core.tasks import Claim, DueDelivery, TaskState, TrackedTask
from bot.core.verdicts import Final, PollOutcome, Verdict
from bot.storage.store import Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.timing import FakeClock

GUILD, CHANNEL, OTHER_CHANNEL = 1, 10, 11
OWNER, STRANGER = 100, 101
TASK = "vgen_abc123def456"
URL = "https://cdn.example/v/1.mp4"
NOW = FakeClock().now

# For tests of what only a process with a database of its own may do.
alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

COMPLETED = Completed(URL, 8.0)
DONE = Final(TaskState.COMPLETED, video_url=URL, seconds=8.0)
FAILED = Final(TaskState.FAILED, reason="content policy")
LOST = Final(TaskState.LOST, reason="The video API does not know this id. Is it complete?")

_TASK = TrackedTask(
    id=TASK,
    state=TaskState.WAITING,
    word=None,
    word_at=None,
    reason=None,
    video_url=None,
    seconds=None,
    registered_at=NOW,
    asked_at=None,
    finished_at=None,
    due_at=NOW,
    attempt=0,
    doubts=0,
)


def make_task(**changes: Any) -> TrackedTask:
    """A task just registered, not yet asked about."""
    return replace(_TASK, **changes)


def make_request(
    *ids: str, channel: int = CHANNEL, by: int = OWNER, guild: int = GUILD, note: str | None = None
) -> TrackRequest:
    return TrackRequest(guild, channel, by, ids or (TASK,), note)


async def track(
    store: Store,
    clock: FakeClock,
    *ids: str,
    channel: int = CHANNEL,
    by: int = OWNER,
    note: str | None = None,
) -> Registered:
    return await store.registrations.register(make_request(*ids, channel=channel, by=by, note=note), clock())


async def ask_about(
    store: Store, clock: FakeClock, verdict: Verdict = DONE, *, task_id: str = TASK
) -> PollOutcome:
    """Claim what is due, record `verdict` on one task, give the others back.

    After the end of a task it is as late as its card is due: no result has come to redraw it before.
    """
    now = clock()
    claim = await store.tasks.claim(1000, now)
    (task,) = (task for task in claim.work if task.id == task_id)
    for other in claim.work:
        if other is not task:
            await store.tasks.postpone(other.id, claim.lease, now)
    outcome = PollOutcome(task, claim.lease, now, verdict)
    await store.tasks.record([outcome], now)
    if isinstance(verdict, Final):
        clock.advance(RESULT_FOLLOWS)
    return outcome


async def track_ended(
    store: Store, clock: FakeClock, verdict: Verdict = DONE, *, channel: int = CHANNEL
) -> None:
    """TASK, tracked and ended: a delivery is due."""
    await track(store, clock, channel=channel)
    await ask_about(store, clock, verdict)


async def take_delivery(store: Store, clock: FakeClock) -> tuple[int, DueDelivery]:
    """The next due delivery and its lease."""
    claim: Claim[DueDelivery] = await store.deliveries.claim(clock())
    (due,) = claim.work
    return claim.lease, due


async def post_next(store: Store, clock: FakeClock, message_id: int = 5000) -> DueDelivery:
    """The next due delivery, posted."""
    lease, due = await take_delivery(store, clock)
    assert await store.deliveries.posted(due, lease, message_id, clock())
    return due


async def look_up(store: Store, task_id: str = TASK, channel: int = CHANNEL) -> Earlier:
    """What the channel's latest delivery of the task looks like now."""
    earlier = await store.lookups.find(channel, task_id)
    assert earlier is not None
    return earlier
