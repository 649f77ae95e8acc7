"""Each safeguard switched off in turn: what the explorer must then find, and where it looks first."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import sqlalchemy as sa

from bot.chat import history
from bot.core import verdicts
from bot.core.tasks import DeliveryState, DueDelivery, TaskState
from bot.storage import card_queue, people, stopping, task_queue
from bot.storage.card_queue import CardQueue
from bot.storage.delivery_queue import DeliveryQueue, Telling
from bot.storage.queue import LeaseQueue
from bot.storage.store import Store
from bot.storage.tables import deliveries, tasks
from bot.storage.task_queue import TaskQueue
from bot.work import deliverer, posting, telling
from bot.work.deliverer import Deliverer
from bot.work.fresh_links import FreshLink, FreshLinks, LinkState
from bot.work.poller import Poller
from bot.work.posting import Posted, ResultPoster
from bot.work.video_cache import VideoCache
from tests.explore import discord_model
from tests.explore.discord_model import Messenger
from tests.explore.people import Track
from tests.explore.schedule import Kind

Patch = AbstractContextManager[Any]
# A kind, and a part of the name of the step at which it happens.
Where = tuple[str, str]


@dataclass(frozen=True)
class Mutation:
    """`breaks` is the first word of the violation; `where` names the faults of the shortest schedule."""

    safeguard: str
    scenario: str
    breaks: str
    where: Sequence[Where]
    off: Callable[[], Sequence[Patch]]

    @property
    def table_row(self) -> str:
        """Its line of the table in tests/README.md."""
        faults = ", ".join(f"`{kind}` at “{what}”" for kind, what in self.where) or "nothing goes wrong"
        return f"| {self.safeguard} | {self.breaks} | `{self.scenario}`: {faults} |"


def _set(target: Any, name: str, value: Any) -> Callable[[], Sequence[Patch]]:
    return lambda: [mock.patch.object(target, name, value)]


async def _nothing(*_: object, **__: object) -> None:
    return None


def _always(*_: object) -> bool:
    return True


async def _false(*_: object, **__: object) -> bool:
    return False


async def _none_removed(*_: object, **__: object) -> int:
    return 0


# -- sending ---------------------------------------------------------------------------------------


def _random_nonce(*_: object) -> str:
    return f"v{random.getrandbits(80):020x}"


def _first_page_only() -> Sequence[Patch]:
    real = history.look_up
    return [mock.patch.object(history, "look_up", lambda *a, **named: real(*a, **named | {"max_pages": 1}))]


def _until_now() -> Sequence[Patch]:
    real = history.look_up
    return [mock.patch.object(history, "look_up", lambda *a, **n: real(*a, **n | {"since": n["now"]}))]


def _begin_is_not_stored() -> Sequence[Patch]:
    real = DeliveryQueue.begin_sending

    async def begin(self: DeliveryQueue, due: Any, lease: int, now: int) -> Any:
        sending = await real(self, due, lease, now)
        change = sa.update(deliveries).where(deliveries.c.id == due.delivery.id)
        await self._database.run(lambda c: c.execute(change.values(first_sent_at=None)))
        return sending

    return [mock.patch.object(DeliveryQueue, "begin_sending", begin)]


def _recorded_first() -> Sequence[Patch]:
    async def send(self: ResultPoster, lease: int, result: Any) -> Posted | None:
        due, now = result.due, self._clock()
        if await self._queue.begin_sending(due, lease, now) is None:
            return None
        await self._queue.mark_posted(due, lease, 1, now, channel_id=result.channel_id)
        return Posted(await self._call(result, float("inf")), result.channel_id, result.problem)

    return [mock.patch.object(ResultPoster, "_send", send)]


def _always_first() -> Sequence[Patch]:
    real = DeliveryQueue._with_task

    async def with_task(self: DeliveryQueue, connection: Any, delivery: Any) -> Any:
        due = await real(self, connection, delivery)
        return replace(due, is_first_send=delivery.first_sent_at is None)

    return [mock.patch.object(DeliveryQueue, "_with_task", with_task)]


def _set_is_not_fixed() -> Sequence[Patch]:
    real = DeliveryQueue.begin_sending

    async def begin(self: DeliveryQueue, due: Any, lease: int, now: int) -> Any:
        fresh = replace(due, delivery=replace(due.delivery, first_sent_at=None))
        return await real(self, fresh, lease, now)

    return [mock.patch.object(DeliveryQueue, "begin_sending", begin)]


def _recorded_before_told() -> Sequence[Patch]:
    async def give_up(self: Deliverer, lease: int, result: Any, refusal: Any) -> bool:
        await self._end_undeliverable(lease, result.due, refusal)
        await self._messenger.send_privately(result, refusal.problem, since=None, not_after=float("inf"))
        return True

    return [mock.patch.object(Deliverer, "_give_up", give_up)]


def _not_looked_for_in_private() -> Sequence[Patch]:
    real = Messenger.send_privately

    async def send(self: Messenger, result: Any, why: Any, *, since: int | None, not_after: float) -> None:
        await real(self, result, why, since=None, not_after=not_after)

    return [mock.patch.object(Messenger, "send_privately", send)]


def _never_told() -> Sequence[Patch]:
    real = DeliveryQueue.begin_telling

    async def begin(self: DeliveryQueue, *arguments: Any) -> Telling | None:
        telling = await real(self, *arguments)
        return telling and replace(telling, is_over=False)

    return [mock.patch.object(DeliveryQueue, "begin_telling", begin)]


def _rights_are_not_compared() -> Sequence[Patch]:
    async def end(self: Deliverer, lease: int, due: DueDelivery, refusal: Any) -> bool:
        stored = {"obstacle": refusal.obstacle, "rights": refusal.rights}
        await self._queue.mark_undeliverable(due, lease, refusal.problem, self._clock(), **stored)
        return True

    return [mock.patch.object(Deliverer, "_end_undeliverable", end)]


# -- leases ----------------------------------------------------------------------------------------


def _finished_without_lease() -> Sequence[Patch]:
    async def finish(
        self: LeaseQueue, connection: Any, key: Any, lease: int, *, only: Any = None, **changes: Any
    ) -> bool:
        statement = sa.update(self._table).where(self._table.c.id == key).values(lease=None, **changes)
        return bool((await connection.execute(statement if only is None else statement.where(only))).rowcount)

    return [mock.patch.object(LeaseQueue, "_finish", finish)]


def _kept_waiting_without_lease() -> Sequence[Patch]:
    statement = task_queue._KEEP_WAITING
    other = sa.update(tasks).where(tasks.c.id == sa.bindparam("key"), tasks.c.state == TaskState.WAITING)
    return [mock.patch.object(task_queue, "_KEEP_WAITING", other.values(dict(statement._values or {})))]


def _due_in_another_transaction() -> Sequence[Patch]:
    real, jobs = TaskQueue._end_task, []

    async def end(self: TaskQueue, connection: Any, outcome: Any, verdict: Any, now: int) -> bool:
        ended = await real(self, connection, outcome, verdict, now)
        theirs = deliveries.c.task_id == outcome.task.id
        back = sa.update(deliveries).where(theirs, deliveries.c.state == DeliveryState.DUE)
        await connection.execute(back.values(state=DeliveryState.OPEN, due_at=None))
        forth = sa.update(deliveries).where(theirs, deliveries.c.state == DeliveryState.OPEN)
        later = forth.values(state=DeliveryState.DUE, due_at=now)
        jobs.append(asyncio.ensure_future(self._database.run(lambda c: c.execute(later))))
        return ended

    return [mock.patch.object(TaskQueue, "_end_task", end)]


def _polled_at_is_not_written() -> Sequence[Patch]:
    real = TaskQueue.claim

    async def claim(self: TaskQueue, limit: int, now: int) -> Any:
        polled = sa.select(tasks.c.id, tasks.c.polled_at)
        before = dict((await self._database.run(lambda c: c.execute(polled))).all())
        claimed = await real(self, limit, now)
        for task in claimed.work:
            back = sa.update(tasks).where(tasks.c.id == task.id).values(polled_at=before[task.id])
            await self._database.run(lambda c, back=back: c.execute(back))  # type: ignore[misc]
        return claimed

    return [mock.patch.object(TaskQueue, "claim", claim)]


async def _released_at_once(self: TaskQueue, now: int, interval: int) -> int:
    return await self.release_all_leases(now)


def _link_is_asked_for_at_once() -> Sequence[Patch]:
    real = FreshLinks.poll

    async def poll(self: FreshLinks, task: Any) -> FreshLink:
        link = await real(self, task)
        return await self._poll_api(link.task) if link.state is LinkState.TOO_EARLY else link

    return [mock.patch.object(FreshLinks, "poll", poll)]


def _edit_is_the_last_word() -> Sequence[Patch]:
    real = CardQueue.mark_edited

    async def mark(self: CardQueue, card: Any, lease: int, now: int) -> bool:
        view = await self.view(card.id)
        return await real(self, card if view is None else view.card, lease, now)

    return [mock.patch.object(CardQueue, "mark_edited", mark)]


# -- people and the API ----------------------------------------------------------------------------


def _acknowledged_first() -> Sequence[Patch]:
    async def run(self: Track, world: Any, bot: Any) -> None:
        await self._answer(world, "tracked")
        await real(self, world, bot)

    real = Track._run
    return [mock.patch.object(Track, "_run", run)]


def _wall_time(task: Any) -> int:
    return 0 if task.judged_at is None else max(task.polled_at - task.judged_at, 0)


def _rule(name: str, value: int) -> Callable[[], Sequence[Patch]]:
    return _set(verdicts, name, value)


def _not_found_is_unknown() -> Sequence[Patch]:
    return [mock.patch.object(verdicts._Judgement, "_not_found", verdicts._Judgement._unknown_id)]


_RESULT, _DIRECT = "text result", "upload direct"
MUTATIONS = [
    Mutation(
        "fixed nonce",
        "deleted",
        "twice",
        [(Kind.LOST, _RESULT)],
        _set(discord_model, "nonce_of", _random_nonce),
    ),
    Mutation(
        "look-up before sending again",
        "busy-channel",
        "twice",
        [(Kind.STOP_AFTER_LONG, _RESULT)],
        _set(ResultPoster, "_found", _nothing),
    ),
    Mutation(
        "look-up reads page after page",
        "busy-channel",
        "twice",
        [(Kind.STOP_AFTER_LONG, _RESULT)],
        _first_page_only,
    ),
    Mutation(
        "look-up reads back to the hand-over",
        "busy-channel",
        "twice",
        [(Kind.STOP_AFTER_LONG, _RESULT)],
        _until_now,
    ),
    Mutation(
        "begin of sending stored before sending",
        "outage",
        "twice",
        [(Kind.LOST, _RESULT)],
        _begin_is_not_stored,
    ),
    Mutation(
        "posted recorded after the answer",
        "no-history",
        "lost",
        [(Kind.STOP_AFTER, "commit update deliveries, update cards")],
        _recorded_first,
    ),
    Mutation(
        "no first send without the run's number",
        "busy-channel",
        "twice",
        [(Kind.PUT_BACK, "commit insert")],
        _always_first,
    ),
    Mutation(
        "no call long after the lease was checked",
        "one-task",
        "twice",
        [(Kind.FREEZE_LONG, "commit update deliveries")],
        lambda: [mock.patch.object(m, "CERTAIN_FOR", float("inf")) for m in (posting, telling)],
    ),
    Mutation(
        "fixed set of a shared message", "shared-later", "lost", [(Kind.LOST, _RESULT)], _set_is_not_fixed
    ),
    Mutation(
        "told before recorded",
        "channel-gone",
        "silent",
        [(Kind.STOP_AFTER, "commit update deliveries, update cards")],
        _recorded_before_told,
    ),
    Mutation(
        "stored that the direct message was sent",
        "told",
        "twice",
        [(Kind.STOP_AFTER_LONG, "commit update deliveries")],
        _never_told,
    ),
    Mutation(
        "rights compared before a result is undeliverable",
        "rights-once",
        "revived",
        [("rights-back", _DIRECT)],
        _rights_are_not_compared,
    ),
    Mutation(
        "unknown ids of one command wait for each other",
        "mixed-ids",
        "shared",
        [("untrack", "api: poll u1")],
        _set(DeliveryQueue, "wait_for_card", _false),
    ),
    Mutation(
        "fixed nonce of a direct message",
        "channel-gone",
        "twice",
        [(Kind.STOP_AFTER, _DIRECT)],
        _set(discord_model, "private_nonce", _random_nonce),
    ),
    Mutation(
        "look-up of a direct message",
        "channel-gone",
        "twice",
        [(Kind.STOP_AFTER_LONG, _DIRECT)],
        _not_looked_for_in_private,
    ),
    Mutation(
        "lease checked when an outcome is recorded",
        "link",
        "at rest",
        [(Kind.FREEZE_AFTER, "host: get")],
        _finished_without_lease,
    ),
    Mutation(
        "lease checked when a poll is recorded",
        "known-late",
        "evidence",
        [(Kind.FREEZE_AFTER, "api: poll known-late")],
        _kept_waiting_without_lease,
    ),
    Mutation(
        "leases renewed while work goes on",
        "two-workers",
        "one worker",
        [],
        _set(LeaseQueue, "renew", _nothing),
    ),
    Mutation(
        "leases of the dead released at the start",
        "one-task",
        "late",
        [(Kind.STOP_AFTER, "host: get")],
        _set(Store, "recover", _none_removed),
    ),
    Mutation(
        "due in the task's transaction",
        "no-history",
        "lost",
        [(Kind.STOP_AFTER, "commit update tasks, update deliveries")],
        _due_in_another_transaction,
    ),
    Mutation(
        "no poll after its lease has ended",
        "mixed-ids",
        "interval",
        [(Kind.FREEZE_AFTER, "commit update tasks")],
        _set(Poller, "_is_leased", _always),
    ),
    Mutation(
        "time of a poll written when it is claimed",
        "one-task",
        "interval",
        [(Kind.STOP_AFTER, "api: poll")],
        _polled_at_is_not_written,
    ),
    Mutation(
        "interval kept when leases are released",
        "one-task",
        "interval",
        [(Kind.STOP_AFTER, "api: poll")],
        _set(TaskQueue, "release_leases", _released_at_once),
    ),
    Mutation(
        "interval kept when a fresh link is asked for",
        "two-links",
        "interval",
        [],
        _link_is_asked_for_at_once,
    ),
    Mutation(
        "card edited again when it changed meanwhile",
        "commands",
        "card",
        [("untrack", "edit card")],
        _edit_is_the_last_word,
    ),
    Mutation(
        "card edited again after an edit without its lease",
        "one-task",
        "card",
        [(Kind.FREEZE_BEFORE, "edit card")],
        _set(card_queue, "_edit_again", _nothing),
    ),
    Mutation(
        "a card is looked for whose message id was never stored",
        "one-task",
        "card",
        [(Kind.STOP_AFTER, "answer: card")],
        _set(Messenger, "find_card", _nothing),
    ),
    Mutation(
        "no untrack of what is being sent",
        "commands",
        "untracked",
        [("untrack", "upload result")],
        _set(stopping, "IS_BEING_SENT", sa.false()),
    ),
    Mutation(
        "no untrack of what a shared message may name",
        "shared-later",
        "lost",
        [(Kind.LOST, _RESULT), ("untrack", "edit card")],
        _set(stopping, "MAY_BE_NAMED", sa.false()),
    ),
    Mutation(
        "no erasure of what is being sent",
        "commands",
        "erased",
        [("forget-me", "upload result")],
        _set(people, "IS_BEING_SENT", sa.false()),
    ),
    Mutation(
        "no poll of what nobody waits for",
        "commands",
        "unwanted",
        [("untrack", "commit update tasks")],
        _set(stopping, "_stop_polling_if_unwanted", _nothing),
    ),
    Mutation(
        "registered before acknowledged",
        "no-history",
        "lost",
        [(Kind.STOP_AFTER, "answer: tracked")],
        _acknowledged_first,
    ),
    Mutation(
        "housekeeping of files",
        "one-task",
        "file",
        [(Kind.FAIL, "disk: remove")],
        _set(VideoCache, "tidy", _none_removed),
    ),
    Mutation(
        "files removed when no channel needs them",
        "one-task",
        "file",
        [],
        _set(VideoCache, "remove", _nothing),
    ),
    Mutation(
        "partial files removed at the start",
        "commands",
        "file",
        [("untrack", "disk: rename"), (Kind.STOP_AFTER, "update deliveries")],
        _set(VideoCache, "sweep", VideoCache.tidy),
    ),
    Mutation("quarantine has a bound", "poisoned", "at rest", [], _set(deliverer, "_MAX_QUARANTINES", 10**6)),
    Mutation(
        "polled time",
        "unknown-later",
        "evidence",
        [(Kind.STOP_AFTER_LONG, "api: poll unknown-later")],
        _set(verdicts, "_polled_time", _wall_time),
    ),
    Mutation(
        "a second answer to an unlisted word", "unlisted-failure", "evidence", [], _rule("_CONFIRMED", 1)
    ),
    Mutation(
        "three answers without a video", "no-video-between", "evidence", [], _rule("_MIN_NO_VIDEO_ANSWERS", 1)
    ),
    Mutation(
        "three answers about an unknown id",
        "unknown-between",
        "evidence",
        [],
        _rule("_MIN_UNKNOWN_ANSWERS", 1),
    ),
    Mutation("six intervals without a video", "no-video", "evidence", [], _rule("_NO_VIDEO_PATIENCE", 0)),
    Mutation("six intervals of an unknown id", "unknown-late", "evidence", [], _rule("_NEW_ID_PATIENCE", 0)),
    Mutation(
        "sixty intervals of a forgotten id", "known-late", "evidence", [], _rule("_KNOWN_ID_PATIENCE", 1)
    ),
    Mutation("sixty intervals of a refused id", "refused", "evidence", [], _rule("_REFUSED_ID_PATIENCE", 1)),
    Mutation("a bare 404 is no word about an id", "all-404", "evidence", [], _not_found_is_unknown),
    Mutation("a second answer after the deadline", "deadline", "evidence", [], _rule("_CONFIRMED", 1)),
]
