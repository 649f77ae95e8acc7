"""Valid objects by default, a change where it matters; the store brought to a state by its own methods."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.clock import DAY
from bot.core.errors import DiscordRefused
from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction
from bot.core.results import nonce_part
from bot.core.tasks import (
    Claim,
    Delivery,
    DeliveryState,
    DueDelivery,
    ExistingDelivery,
    Obstacle,
    TaskState,
    TrackedTask,
)
from bot.core.tracking import PressedButton, Registration, TrackRequest, WatchResult
from bot.core.verdicts import Answer, AnswerKind, Final, PollOutcome, StillWaiting, Verdict
from bot.storage.store import Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.timing import FakeClock

GUILD, CHANNEL, OTHER_CHANNEL = 1, 10, 11
OWNER, STRANGER = 100, 101
TASK = "vgen_abc123def456"
URL = "https://cdn.example/v/1.mp4"
NOW = FakeClock().now

# For tests of what only a process without others may do.
alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

COMPLETED = Answer(AnswerKind.COMPLETED, "completed", video_url=URL, seconds=8.0)
DONE = Final(TaskState.COMPLETED, video_url=URL, seconds=8.0, link_ends_at=NOW + DAY)
FAILED = Final(TaskState.FAILED, reason="content policy")
LOST = Final(TaskState.LOST, cause=Problem(ProblemCode.UNKNOWN_ID))

_TASK = TrackedTask(id=TASK, state=TaskState.WAITING, registered_at=NOW, due_at=NOW)

_DELIVERY = Delivery(
    id=7,
    task_id=TASK,
    guild_id=GUILD,
    channel_id=CHANNEL,
    requester_id=OWNER,
    note=None,
    state=DeliveryState.OPEN,
    nonce="v1",
    card_id=1,
    created_at=NOW,
    due_at=None,
    attempt=0,
    first_sent_at=None,
    message_id=None,
    ended_at=None,
    last_error=None,
    cancelled_by=None,
)


_REFUSALS = {
    Reaction.TOO_LARGE: ProblemCode.TOO_LARGE_HERE,
    Reaction.WORDS_REFUSED: ProblemCode.BLOCKED_BY_AUTOMOD,
    Reaction.FORM_REFUSED: ProblemCode.NOT_ACCEPTED,
    Reaction.MISSING_PERMISSION: ProblemCode.MAY_NOT_POST,
    Reaction.NO_ACCESS: ProblemCode.NO_ACCESS,
    Reaction.THREAD_CLOSED: ProblemCode.THREAD_LOCKED,
    Reaction.CHANNEL_GONE: ProblemCode.CHANNEL_GONE,
    Reaction.MESSAGE_GONE: ProblemCode.MESSAGE_DELETED,
    Reaction.PERSON_UNREACHABLE: ProblemCode.NO_DIRECT_MESSAGES,
}


def make_refusal(reaction: Reaction, code: ProblemCode | None = None) -> DiscordRefused:
    """As Discord refuses for good; the usual problem unless told otherwise."""
    return DiscordRefused(reaction, code or _REFUSALS[reaction])


def make_task(**changes: Any) -> TrackedTask:
    """A task just registered, not yet polled."""
    return replace(_TASK, **changes)


def make_waiting(task: TrackedTask | None = None, /, **changes: Any) -> StillWaiting:
    """The verdict that a task, as `make_task` makes it, is polled again."""
    return StillWaiting(replace(task or _TASK, **changes))


def make_delivery(**changes: Any) -> Delivery:
    """The delivery of a task just registered."""
    return replace(_DELIVERY, **changes)


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
) -> Registration:
    return await store.tracking.register(make_request(*ids, channel=channel, by=by, note=note), clock())


async def press_bell(
    store: Store, registration: Registration, by: int, *, message_id: int = 0
) -> WatchResult:
    """Press "notify me too" on the card of a registration."""
    assert registration.card
    pressed = PressedButton(message_id, nonce_part(registration.card.rows[0].delivery.nonce))
    return await store.tracking.watch(registration.card.card.id, by, pressed)


async def ask_about(
    store: Store, clock: FakeClock, verdict: Verdict = DONE, *, task_id: str = TASK
) -> PollOutcome:
    """Claim what is due, record `verdict` on one task, give the others back.

    When the task ended, the clock moves on to when its card is due, because no result makes it due earlier.
    """
    now = clock()
    claim = await store.tasks.claim(1000, now)
    (task,) = (task for task in claim.work if task.id == task_id)
    for other in claim.work:
        if other is not task:
            await store.tasks.postpone(other.id, claim.lease, now)
    if isinstance(verdict, StillWaiting) and verdict.task.polled_at is None:
        verdict = make_waiting(verdict.task, polled_at=now)
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
    claim: Claim[DueDelivery] = await store.deliveries.claim(1, clock())
    (due,) = claim.work
    return claim.lease, due


async def mark_posted(store: Store, due: DueDelivery, lease: int, message_id: int | None, now: int) -> bool:
    """Record a result message in the channel where the task was tracked."""
    channel_id = due.delivery.channel_id
    return await store.deliveries.mark_posted(due, lease, message_id, now, channel_id=channel_id)


async def mark_undeliverable(
    store: Store,
    due: DueDelivery,
    lease: int,
    now: int,
    *,
    obstacle: Obstacle = Obstacle.MEMBERSHIP,
    rights: int | None = 0,
) -> bool:
    """Record that the channel does not take it, because we are shown no such channel."""
    problem = Problem(ProblemCode.NO_ACCESS)
    return await store.deliveries.mark_undeliverable(
        due, lease, problem, now, obstacle=obstacle, rights=rights
    )


async def post_next(store: Store, clock: FakeClock, message_id: int = 5000) -> DueDelivery:
    """The next due delivery, posted."""
    lease, due = await take_delivery(store, clock)
    assert await mark_posted(store, due, lease, message_id, clock())
    return due


async def look_up(store: Store, task_id: str = TASK, channel: int = CHANNEL) -> ExistingDelivery:
    """What the channel's latest delivery of the task looks like now."""
    existing = await store.lookups.find(channel, task_id)
    assert existing is not None
    return existing
