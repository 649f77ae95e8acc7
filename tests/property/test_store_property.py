"""A model in plain dictionaries and the real store take the same random steps and are compared after each."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.core.clock import MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import DueDelivery, TaskState
from bot.core.tracking import Limits, QuotaReached, UntrackResult
from bot.core.verdicts import Final, PollOutcome, StillWaiting, Verdict
from bot.storage.store import LEASE_TIME, Store, open_store
from sandbox.postgres import Server
from tests.factories import (
    DONE,
    FAILED,
    GUILD,
    OWNER,
    STRANGER,
    make_request,
    make_waiting,
    mark_posted,
    mark_undeliverable,
)
from tests.timing import FakeClock

INTERVAL = 30 * SECOND
IDS = ("t1", "t2")
CHANNELS = (10, 11)
# Each channel has one user, who tracks and untracks there.
PEOPLE = dict(zip(CHANNELS, (OWNER, STRANGER), strict=True))
LIVE = ("open", "due")
# Not for an id that the API never knew: such ids share a message, which other tests cover.
GIVEN_UP = Final(TaskState.LOST, cause=Problem(ProblemCode.NO_ANSWER, {"silence": 1}))
Result = TypeVar("Result")


@dataclass
class ModelTask:
    state: str = "waiting"
    due_at: int | None = None
    lease: int | None = None
    polled_at: int | None = None


@dataclass
class ModelDelivery:
    """The latest delivery of one channel and task; earlier ones have ended."""

    state: str
    due_at: int | None = None
    lease: int | None = None
    sending: bool = False
    served_at: int = 0
    preparing: bool = False
    download_since: int | None = None


class StoreMachine(RuleBasedStateMachine):
    """Register, claim, record, cancel, post, erase, revive and let time pass, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="store-machine-")
        self.loop = asyncio.new_event_loop()
        self.opened = contextlib.AsyncExitStack()
        self.clock = FakeClock()
        self.store: Store = self.run(
            self.opened.enter_async_context(
                open_store(
                    self.address(),
                    limits=Limits(per_user=50, per_channel=50, per_guild=3),
                    interval=INTERVAL,
                )
            )
        )
        self.tasks: dict[str, ModelTask] = {}
        self.deliveries: dict[tuple[int, str], ModelDelivery] = {}
        self.served = dict.fromkeys(CHANNELS, 0)
        self.claimed_tasks: list[PollOutcome] = []
        self.claimed_deliveries: list[tuple[int, DueDelivery]] = []
        self.ended_rows: dict[int, str] = {}
        self.messages = 5000

    def address(self) -> str:
        return f"sqlite:///{self.folder}/bot.db"

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.opened.aclose())
        self.loop.close()
        shutil.rmtree(self.folder)

    # -- users -------------------------------------------------------------------------------------

    @rule(channel=st.sampled_from(CHANNELS), ids=st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    def register(self, channel: int, ids: list[str]) -> None:
        new = [i for i in ids if self._starts_again(channel, i)]
        live = [d for d in self.deliveries.values() if d.state in LIVE]
        try:
            request = make_request(*ids, channel=channel, by=PEOPLE[channel])
            registered = self.run(self.store.tracking.register(request, self.clock()))
        except QuotaReached:
            assert len(live) + len(new) > 3
            return
        assert len(live) + len(new) <= 3 or not new
        assert [row.task.id for row in (registered.card.rows if registered.card else ())] == new
        for row in registered.card.rows if registered.card else ():
            task_id = row.task.id
            state = self._want(task_id, row.task.due_at)
            due_at = None if state == "waiting" else self.clock()
            self.deliveries[channel, task_id] = ModelDelivery("due" if due_at else "open", due_at)

    def _starts_again(self, channel: int, task_id: str) -> bool:
        delivery = self.deliveries.get((channel, task_id))
        if delivery is None or delivery.state == "cancelled":
            return True
        return delivery.state not in LIVE and self.tasks[task_id].state == "lost"

    def _want(self, task_id: str, first_poll: int | None) -> str:
        if task_id not in self.tasks:
            # After twenty new ids of one user, each next one is polled a second later.
            assert first_poll is not None
            assert self.clock() <= first_poll <= self.clock() + MINUTE
        task = self.tasks.setdefault(task_id, ModelTask(due_at=first_poll))
        if task.state in ("completed", "failed") or (task.state == "lost" and self._is_owed(task_id)):
            return task.state
        if task.due_at is None:
            earliest = 0 if task.polled_at is None else task.polled_at + INTERVAL
            self.tasks[task_id] = replace(
                task, state="waiting", lease=None, due_at=max(self.clock(), earliest)
            )
        return "waiting"

    def _is_owed(self, task_id: str) -> bool:
        return any(d.state in LIVE for (_, i), d in self.deliveries.items() if i == task_id)

    @precondition(lambda self: self.tasks)
    @rule(channel=st.sampled_from(CHANNELS), task_id=st.sampled_from(IDS))
    def cancel(self, channel: int, task_id: str) -> None:
        result = self.run(
            self.store.tracking.cancel(channel, task_id, PEOPLE[channel], self.clock(), may_cancel_any=False)
        )
        delivery = self.deliveries.get((channel, task_id))
        if delivery is None:
            assert result is UntrackResult.NOT_TRACKED
        elif delivery.state not in LIVE:
            assert result is UntrackResult.ENDED
        elif delivery.lease is not None and delivery.sending:
            assert result is UntrackResult.BEING_POSTED
        else:
            assert result is UntrackResult.CANCELLED
            self.deliveries[channel, task_id] = ModelDelivery("cancelled")
            if not self._is_owed(task_id):
                self.tasks[task_id].due_at = self.tasks[task_id].lease = None

    @precondition(lambda self: self._people_with_results())
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        self._erase(data.draw(st.sampled_from(self._people_with_results())))

    @precondition(lambda self: self._deliveries_waiting())
    @rule(channel=st.sampled_from(CHANNELS))
    def erase_during_uploads(self, channel: int) -> None:
        """Random steps alone rarely reach this."""
        self._handle_all("send")
        self._erase(channel)

    def _erase(self, channel: int) -> None:
        """Everything of one user except what is being posted, and nothing of the other."""
        erased = self.run(self.store.people.erase(PEOPLE[channel], self.clock()))
        for key, delivery in [*self.deliveries.items()]:
            if key[0] == channel and (delivery.lease is None or not delivery.sending):
                del self.deliveries[key]
        stays = [delivery for key, delivery in self.deliveries.items() if key[0] == channel]
        self.served[channel] = max((delivery.served_at for delivery in stays), default=0)
        assert erased.being_posted == len(stays)
        stored = self.run(self.store.people.stored_about(PEOPLE[channel]))
        assert (stored.live, stored.ended) == (len(stays), 0)
        known = {task_id for _, task_id in self.deliveries}
        # A task polled recently stays, so that tracking it again does not poll it too soon.
        lately = {i for i, t in self.tasks.items() if (t.polled_at or 0) >= self.clock() - 5 * MINUTE}
        self.tasks = {task_id: task for task_id, task in self.tasks.items() if task_id in known | lately}
        for task_id in self.tasks:
            if not self._is_owed(task_id):
                self.tasks[task_id].due_at = self.tasks[task_id].lease = None

    def _people_with_results(self) -> list[int]:
        """The channels of users with a result. Others are not erased, or runs would rarely get further."""
        return sorted({channel for (channel, _), d in self.deliveries.items() if d.state != "open"})

    @precondition(lambda self: "undeliverable" in [d.state for d in self.deliveries.values()])
    @rule(channels=st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True))
    def revive(self, channels: list[int]) -> None:
        """Results become due again, unless their task is being polled again."""
        returning = [
            delivery
            for (channel, task_id), delivery in self.deliveries.items()
            if channel in channels
            and delivery.state == "undeliverable"
            and self.tasks[task_id].state != "waiting"
        ]
        refused = [row for row in self.run(self.store.guilds.refused(GUILD)) if row.channel_id in channels]
        ids = [row.delivery_id for row in refused]
        assert self.run(self.store.guilds.revive(ids, self.clock())) == len(returning)
        for delivery in returning:
            delivery.state, delivery.due_at = "due", self.clock()
        self.ended_rows = {i: state for i, state in self.ended_rows.items() if state != "undeliverable"}

    # -- the poller --------------------------------------------------------------------------------

    @precondition(lambda self: self._tasks_due())
    @rule(limit=st.integers(1, 3))
    def claim_tasks(self, limit: int) -> None:
        self._claim_tasks(limit)

    @precondition(lambda self: any(task.due_at is not None for task in self.tasks.values()))
    @rule(verdict=st.sampled_from([DONE, FAILED, GIVEN_UP]))
    def end_the_due_tasks(self, verdict: Verdict) -> None:
        """End every task, as the poller usually does; random steps alone rarely get that far."""
        self.clock.now = max(self.clock(), *(task.due_at or 0 for task in self.tasks.values()))
        for outcome in self._claim_tasks(len(IDS)):
            self._record(outcome, verdict)

    def _tasks_due(self) -> list[str]:
        now = self.clock()
        return [i for i, task in self.tasks.items() if task.due_at is not None and task.due_at <= now]

    def _claim_tasks(self, limit: int) -> list[PollOutcome]:
        due = self._tasks_due()
        claim = self.run(self.store.tasks.claim(limit, self.clock()))
        got = [task.id for task in claim.work]
        assert set(got) <= set(due)
        assert len(got) == min(limit, len(due))
        for task in claim.work:
            self.tasks[task.id] = replace(
                self.tasks[task.id],
                lease=claim.lease,
                due_at=self.clock() + LEASE_TIME,
                polled_at=self.clock(),
            )
        claimed = [PollOutcome(task, claim.lease, self.clock(), DONE) for task in claim.work]
        self.claimed_tasks += claimed
        return claimed

    @precondition(lambda self: self.claimed_tasks)
    @rule(data=st.data(), verdict=st.sampled_from([DONE, FAILED, GIVEN_UP, "new status", "same"]))
    def record(self, data: st.DataObject, verdict: Verdict | str) -> None:
        outcome = data.draw(st.sampled_from(self.claimed_tasks))
        if isinstance(verdict, str):
            status = "queued" if verdict == "new status" else None
            verdict = make_waiting(
                id=outcome.task.id,
                polled_at=outcome.polled_at,
                api_status=status,
                due_at=self.clock() + INTERVAL,
            )
        self._record(outcome, verdict)

    def _record(self, outcome: PollOutcome, verdict: Verdict) -> None:
        finals = self.run(self.store.tasks.record([replace(outcome, verdict=verdict)], self.clock()))
        task = self.tasks.get(outcome.task.id)
        if task is None or task.lease != outcome.lease:
            assert finals == 0
            return
        task.lease, task.polled_at = None, outcome.polled_at
        if isinstance(verdict, StillWaiting):
            assert finals == 0
            task.due_at = verdict.task.due_at
            return
        assert finals == 1
        task.state, task.due_at = str(verdict.state), None
        for (_, task_id), delivery in self.deliveries.items():
            if task_id == outcome.task.id and delivery.state == "open":
                delivery.state, delivery.due_at = "due", self.clock()

    # -- the deliverer -----------------------------------------------------------------------------

    @precondition(lambda self: self._deliveries_waiting())
    @rule()
    def claim_delivery(self) -> None:
        self._claim_delivery()

    @precondition(lambda self: self._deliveries_waiting())
    @rule(how=st.sampled_from(["posted", "undeliverable", "send", "prepare"]))
    def handle_all_due_deliveries(self, how: str) -> None:
        """Handle every due delivery, as the deliverer usually does, completely or in part."""
        self._handle_all(how)

    def _handle_all(self, how: str) -> None:
        self.clock.now = max(self.clock(), *(d.due_at or 0 for d in self.deliveries.values()))
        while claimed := self._claim_delivery():
            self._end_delivery(*claimed[0], how)

    def _deliveries_waiting(self) -> bool:
        return any(d.due_at is not None for d in self.deliveries.values())

    def _claim_delivery(self) -> list[tuple[int, DueDelivery]]:
        now = self.clock()
        busy = {
            channel
            for (channel, _), d in self.deliveries.items()
            if d.lease is not None and not d.preparing and d.due_at is not None and d.due_at > now
        }
        due = {
            key: d.due_at
            for key, d in self.deliveries.items()
            if d.due_at is not None and d.due_at <= now and key[0] not in busy
        }
        claim = self.run(self.store.deliveries.claim(1, now))
        assert len(claim.work) == min(1, len(due))
        for work in claim.work:
            key = work.delivery.channel_id, work.task.id
            # The user served longest ago, and the delivery of theirs that has been due for longest.
            order = {each: (self.served[each[0]], due_at) for each, due_at in due.items()}
            assert order[key] == min(order.values())
            assert work.task.state is not TaskState.WAITING
            self.deliveries[key].lease, self.deliveries[key].preparing = claim.lease, False
            self.deliveries[key].due_at = now + LEASE_TIME
            self.deliveries[key].served_at = self.served[key[0]] = now
        claimed = [(claim.lease, work) for work in claim.work]
        self.claimed_deliveries += claimed
        return claimed

    @precondition(lambda self: self.claimed_deliveries)
    @rule(data=st.data(), how=st.sampled_from(["prepare", "send", "posted", "undeliverable", "postpone"]))
    def end_delivery(self, data: st.DataObject, how: str) -> None:
        self._end_delivery(*data.draw(st.sampled_from(self.claimed_deliveries)), how)

    def _end_delivery(self, lease: int, work: DueDelivery, how: str) -> None:
        queue, number = self.store.deliveries, work.delivery.id
        took: object
        self.messages += 1
        match how:
            case "prepare":
                took = self.run(queue.begin_preparing(number, lease, self.clock()))
            case "send":
                took = self.run(queue.begin_sending(work, lease, self.clock()))
            case "posted":
                took = self.run(mark_posted(self.store, work, lease, self.messages, self.clock()))
            case "undeliverable":
                took = self.run(mark_undeliverable(self.store, work, lease, self.clock()))
            case _:
                later = self.clock() + SECOND
                took = self.run(queue.postpone(number, lease, later, attempt=1, last_error="later"))
        key = work.delivery.channel_id, work.task.id
        delivery = self.deliveries.get(key)
        if delivery is None or delivery.lease != lease:
            assert not took
            return
        assert took
        if how == "prepare":
            delivery.preparing = True
            delivery.download_since = delivery.download_since or self.clock()
            assert took == delivery.download_since
        elif how == "send":
            delivery.sending, delivery.preparing = True, False
        elif how == "postpone":
            delivery.lease, delivery.due_at = None, self.clock() + SECOND
        else:
            self.deliveries[key] = ModelDelivery(how, sending=delivery.sending)

    # -- time and restarts -------------------------------------------------------------------------

    @precondition(lambda self: self.tasks)
    @rule(milliseconds=st.sampled_from([1, SECOND, INTERVAL, LEASE_TIME, 3 * LEASE_TIME]))
    def let_time_pass(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)

    def _held(self) -> list[ModelTask | ModelDelivery]:
        rows: list[ModelTask | ModelDelivery] = [*self.tasks.values(), *self.deliveries.values()]
        return [row for row in rows if row.lease is not None]

    @precondition(lambda self: self._held() and not self.store.database.is_shared)
    @rule()
    def restart(self) -> None:
        """The process died: its leases end."""
        held = self._held()
        cards = self.run(self.store.cards.release_all_leases(self.clock()))
        assert (self.run(self.store.recover(self.clock(), INTERVAL)), cards) == (len(held), 0)
        for row in held:
            row.lease, row.due_at = None, self.clock()
            if isinstance(row, ModelTask) and row.polled_at is not None:
                row.due_at = max(self.clock(), row.polled_at + INTERVAL)

    # -- what must hold after each step ------------------------------------------------------------

    @invariant()
    def store_agrees_with_the_model(self) -> None:
        """Open deliveries are unique, ended ones stay ended, due ones have an ended task."""
        for channel in CHANNELS:
            overview = self.run(self.store.lookups.overview(channel, max_ended=1000))
            live = [existing.task.id for existing in overview.live]
            assert len(live) == len(set(live))
            seen = {}
            for existing in sorted((*overview.live, *overview.ended), key=lambda e: e.delivery.id):
                delivery, task = existing.delivery, existing.task
                seen[task.id] = str(delivery.state), delivery.due_at
                wanted = self.tasks[task.id]
                assert (str(task.state), task.due_at) == (wanted.state, wanted.due_at)
                assert self.ended_rows.get(delivery.id, delivery.state) == delivery.state
                if existing in overview.ended:
                    self.ended_rows[delivery.id] = str(delivery.state)
                else:
                    since = self.deliveries[channel, task.id].download_since
                    assert delivery.download_since == since
                    waiting = task.state is TaskState.WAITING
                    assert waiting == (delivery.state == "open") == (task.due_at is not None)
            model = {i: (d.state, d.due_at) for (where, i), d in self.deliveries.items() if where == channel}
            assert seen == model


class PostgresMachine(StoreMachine):
    """On PostgreSQL, where other processes may run: rows become free only at the end of their lease."""

    server: ClassVar[Server]
    brought_up: ClassVar[str]

    def address(self) -> str:
        return self.server.database(self.brought_up)


_SETTINGS = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    # Shrinking takes minutes with a database, and 25 steps are readable without it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


TestStore = StoreMachine.TestCase
TestStore.settings = _SETTINGS
TestStoreOnPostgresql = pytest.mark.usefixtures("given_a_server")(PostgresMachine.TestCase)
TestStoreOnPostgresql.settings = settings(_SETTINGS, max_examples=8)


@pytest.fixture(scope="class")
def given_a_server(server: Server, brought_up: str) -> None:
    PostgresMachine.server, PostgresMachine.brought_up = server, brought_up
