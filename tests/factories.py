"""Valid objects with defaults that a test can override, and a store brought to a state by its own methods."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.answers import Answer, AnswerKind
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
from bot.core.verdicts import Final, PollOutcome, StillWaiting, Verdict
from bot.storage.store import Store
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.timing import FakeClock

GUILD, CHANNEL, OTHER_CHANNEL = 1, 10, 11
OWNER, STRANGER = 100, 101
TASK = "vgen_abc123def456"
URL = "https://cdn.example/v/1.mp4"
NOW = FakeClock().now

# For tests of operations that only a single process may do.
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
    """A refusal by Discord that is final. The default problem is the usual one."""
    return DiscordRefused(reaction, code or _REFUSALS[reaction])


def make_task(**changes: Any) -> TrackedTask:
    """A task that was just registered and not polled yet."""
    return replace(_TASK, **changes)


def make_waiting(task: TrackedTask | None = None, /, **changes: Any) -> StillWaiting:
    """The verdict "poll again" for a task made by `make_task`."""
    return StillWaiting(replace(task or _TASK, **changes))


def make_delivery(**changes: Any) -> Delivery:
    """The delivery of a task that was just registered."""
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
    """Press "notify me" on the card of a registration."""
    assert registration.card
    pressed = PressedButton(message_id, nonce_part(registration.card.rows[0].delivery.nonce))
    return await store.tracking.watch(registration.card.card.id, by, pressed, NOW)


async def ask_about(
    store: Store, clock: FakeClock, verdict: Verdict = DONE, *, task_id: str = TASK
) -> PollOutcome:
    """Claim the due tasks, record `verdict` for one of them, and give the others back.

    If the task ended, the clock moves on to when its card is due, because no result makes it due earlier.
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
    """Track TASK and end it, so that a delivery is due."""
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
    """Record that the channel refuses the result, because Discord shows us no such channel."""
    problem = Problem(ProblemCode.NO_ACCESS)
    return await store.deliveries.mark_undeliverable(
        due, lease, problem, now, obstacle=obstacle, rights=rights
    )


async def post_next(store: Store, clock: FakeClock, message_id: int = 5000) -> DueDelivery:
    """Post the next due delivery, and return it."""
    lease, due = await take_delivery(store, clock)
    assert await mark_posted(store, due, lease, message_id, clock())
    return due


async def look_up(store: Store, task_id: str = TASK, channel: int = CHANNEL) -> ExistingDelivery:
    """The current state of the channel's latest delivery of the task."""
    existing = await store.lookups.find(channel, task_id)
    assert existing is not None
    return existing
