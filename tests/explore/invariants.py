"""The promises, looked at from outside of the bot: after every commit, and when all is at rest."""

import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from bot.core.tasks import CardView
from bot.core.tracking import ErasureResult, UntrackResult
from tests.explore.bot_process import LEASE
from tests.explore.database import copy
from tests.explore.discord_model import ALL, HISTORY, NONCE_WINDOW, VIEW, Message
from tests.explore.evidence import Evidence
from tests.explore.loop import Process
from tests.explore.people import Forget, Track, Untrack
from tests.explore.schedule import World

# Which state may follow which: written down once more, as the README has it.
_TASK_MOVES = {"waiting": {"completed", "failed", "lost"}, "lost": {"waiting"}}
_DELIVERY_MOVES = {
    "open": {"due", "cancelled"},
    "due": {"posted", "undeliverable", "cancelled"},
    "undeliverable": {"due"},
}
_DUE = {
    "tasks": "SELECT min(due_at) FROM tasks",
    "deliveries": "SELECT min(due_at) FROM deliveries",
    "cards": f"SELECT min(due_at + CASE WHEN message_id IS NULL THEN {LEASE} ELSE 0 END) FROM cards",
}
_ROWS = """SELECT d.id, d.nonce, d.task_id, d.channel_id, d.requester_id, d.state, d.leader_id, d.posted_in,
    d.message_id, t.state FROM deliveries d JOIN tasks t ON t.id = d.task_id"""
_FINAL = "SELECT id, state, cause FROM tasks WHERE state <> 'waiting'"
_UNKNOWN_MESSAGES = """SELECT count(DISTINCT d.message_id) FROM deliveries d JOIN tasks t ON t.id = d.task_id
    WHERE d.state = 'posted' AND t.cause LIKE '%unknown_id%' AND d.card_id IS NOT NULL
    GROUP BY d.card_id HAVING max(t.finished_at) - min(t.finished_at) < ?"""
_WITHOUT_RIGHTS = """SELECT task_id, channel_id FROM deliveries WHERE state = 'undeliverable'
    AND obstacle IN ('permission', 'membership')"""
_REVIVED = ("undeliverable", "due")


class Row(NamedTuple):
    id: int
    nonce: str
    task_id: str
    channel_id: int
    person_id: int
    state: str
    leader_id: int | None
    posted_in: int | None
    message_id: int | None
    task_state: str

    @property
    def mark(self) -> tuple[int, str]:
        return self.id, self.nonce


class Observer:
    """Looks at the file by a connection of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._database = self._opened(world.database)
        self._states: dict[object, str] = {}
        self._seen: dict[tuple[int, str], Row] = {}  # every delivery that was ever committed
        self._cards: set[int] = set()  # the messages of cards that the bot knows of
        self._leases: dict[object, int] = {}
        self._working: dict[object, list[Process]] = defaultdict(list)
        self._copied: set[tuple[int, str]] = set()
        self._forgotten: set[tuple[int, str]] = set()  # not in the copy that was put back
        self._put_back_at = 0
        self.committed()

    @staticmethod
    def _opened(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None)

    def reopen(self) -> None:
        """Look at the file of today's folder."""
        self._database = self._opened(self._world.database)

    def close(self) -> None:
        self._database.close()

    def _rows(self) -> list[Row]:
        if self._world.scenario.is_old and not self._has_todays_schema():
            return []
        return [Row(*row) for row in self._database.execute(_ROWS)]

    def _has_todays_schema(self) -> bool:
        columns = [row[1] for row in self._database.execute("PRAGMA table_info(deliveries)")]
        return "leader_id" in columns

    def next_due(self) -> int | None:
        if self._world.scenario.is_old and not self._has_todays_schema():
            return None
        return min((due for name in _DUE if (due := self.next_due_of(name)) is not None), default=None)

    def next_due_of(self, table: str) -> int | None:
        found: int | None = self._database.execute(_DUE[table]).fetchone()[0]
        return found

    def is_due_after(self, table: str, at: int) -> bool:
        return self._database.execute(f"SELECT 1 FROM {table} WHERE due_at > ?", (at,)).fetchone() is not None

    def is_wanted(self, task_id: str) -> bool:
        """Whether a poll of it is of use: somebody waits, or it is asked for a fresh link."""
        found = self._database.execute(
            "SELECT 1 FROM tasks t WHERE id = ? AND (state = 'completed' OR EXISTS ("
            "SELECT 1 FROM deliveries d WHERE d.task_id = t.id AND d.state IN ('open', 'due')))",
            (task_id,),
        )
        return found.fetchone() is not None

    @contextmanager
    def working(self, process: Process, about: object) -> Iterator[None]:
        """One job at a time has a row, where no process was ever frozen."""
        if about is None:
            yield
            return
        others = self._working[about]
        any_was_frozen = any(bot.process.was_frozen for bot in self._world.bots)
        if not any_was_frozen and any(not other.is_dead for other in others):
            self._world.end(f"one worker: two jobs work on delivery {about} at once")
        others.append(process)
        try:
            yield
        finally:
            others.remove(process)

    # -- after every commit ----------------------------------------------------------------------

    def committed(self) -> None:
        live: set[tuple[int, str]] = set()
        states: dict[object, str] = {}
        for row in self._rows():
            states[row.task_id] = row.task_state
            states[row.mark] = row.state
            self._seen[row.mark] = row
            if row.state in ("open", "due"):
                if (row.channel_id, row.task_id) in live:
                    self._world.end(f"quota: {row.task_id} is owed twice in one channel")
                live.add((row.channel_id, row.task_id))
        for key, before in self._states.items():
            after = states.get(key, before)
            moves = _TASK_MOVES if isinstance(key, str) else _DELIVERY_MOVES
            if after != before and after not in moves.get(before, ()):
                self._world.end(f"final: {key} was {before} and is {after}")
            if (before, after) == _REVIVED:
                self._world.count("a revived undeliverable")
        self._states = states
        if states:
            self._compare_leases()
            found = self._database.execute("SELECT message_id FROM cards WHERE message_id IS NOT NULL")
            self._cards |= {message_id for (message_id,) in found}

    def _compare_leases(self) -> None:
        leases: dict[object, int] = {
            (table, key): lease
            for table in _DUE
            for key, lease in self._database.execute(f"SELECT id, lease FROM {table} WHERE lease IS NOT NULL")
        }
        if any(self._leases.get(row, lease) != lease for row, lease in leases.items()):
            self._world.count("a lease taken over")
        self._leases = leases

    # -- a copy that is put back -----------------------------------------------------------------

    def copied(self) -> None:
        self._copied = {row.mark for row in self._rows()}

    def put_back(self, made: Path, database: Path) -> None:
        self._database.close()
        copy(made, database)
        self._database = self._opened(database)
        self._forgotten |= self._seen.keys() - self._copied
        self._put_back_at = self._world.now()
        self._states = {}
        self.committed()

    # -- before housekeeping ---------------------------------------------------------------------

    def at_first_rest(self) -> list[str]:
        """What is so at once where no process stopped and no call failed; else housekeeping sees to it."""
        self._found: list[str] = []
        schedule, events = self._world.schedule, self._world.scenario.events
        if all(fault.kind.removesuffix("-after") in events for fault in schedule.faults):
            self._check_files(self._rows())
            self._check_shared()
            self._check_revived()
        return self._found

    def _check_shared(self) -> None:
        """Ids of one command that the API never knew have one message, if they are given up together."""
        for (count,) in self._database.execute(_UNKNOWN_MESSAGES, (self._world.scenario.interval,)):
            if count > 1:
                self._found.append(f"shared: unknown ids of one command have {count} messages")

    def _check_revived(self) -> None:
        for task_id, channel_id in self._database.execute(_WITHOUT_RIGHTS):
            if self._world.discord.channel(channel_id).rights == ALL:
                self._found.append(f"revived: {task_id} is not, and {channel_id} gave all rights back")

    # -- at rest ---------------------------------------------------------------------------------

    def at_the_end(self) -> list[str]:
        self._found = []
        rows = self._rows()
        results = self._world.discord.messages("result")
        self._check_endings(rows, results)
        self._check_twice(results)
        self._check_untracked(results)
        self._check_polls()
        self._check_evidence()
        self._check_files(rows)
        self._check_cards(rows)
        self._check_bugs()
        return self._found

    def _check_endings(self, rows: list[Row], results: list[Message]) -> None:
        """Every acknowledged registration has one ending, and every row has come to one."""
        by_mark = {row.mark: row for row in rows}
        leaders = {row.id: row for row in rows}
        for row in rows:
            if row.state in ("open", "due"):
                self._found.append(
                    f"lost: {row.task_id} in {row.channel_id} is {row.state}, and nothing is due"
                )
            mark = leaders[row.leader_id].mark if row.leader_id in leaders else row.mark
            if row.state == "posted" and not any(
                m.delivery == mark
                and row.task_id in m.ids
                and m.channel_id in (row.channel_id, row.posted_in)
                for m in results
            ):
                self._found.append(
                    f"lost: {row.task_id} in {row.channel_id} is posted, and no message shows it"
                )
            if row.state == "undeliverable" and not self._is_told(row, mark):
                self._found.append(f"silent: nobody was told of {row.task_id} in {row.channel_id}")
        erased = {c.person_id for c in self._world.commands if isinstance(c, Forget)}
        present = {(row.channel_id, row.task_id) for row in by_mark.values()}
        forgotten = {(self._seen[m].channel_id, self._seen[m].task_id) for m in self._forgotten}
        for command in self._world.commands:
            if isinstance(command, Track) and command.said in ("tracked", "already tracked"):
                for task_id in command.ids:
                    key = (command.channel_id, task_id)
                    if key not in present | forgotten and command.person_id not in erased:
                        self._found.append(f"lost: {task_id} in {command.channel_id} has no row")

    def _is_told(self, row: Row, mark: tuple[int, str]) -> bool:
        direct = self._world.discord.messages("direct")
        if not self._world.discord.channel(row.person_id).takes_direct:
            return True
        return any(m.delivery == mark and row.task_id in m.ids for m in direct)

    def _check_twice(self, results: list[Message]) -> None:
        if self._world.scenario.hides_history:
            return
        # Nothing can prevent the second message of a call during which its process stood still for so long.
        results = [m for m in results if m.at - m.handed_at < NONCE_WINDOW]
        for mark, count in Counter(m.delivery for m in results).items():
            if count > 1:
                self._found.append(f"twice: {count} results of delivery {mark and mark[0]}")
        for mark, count in Counter(m.delivery for m in self._world.discord.messages("direct")).items():
            if count > 1:
                self._found.append(f"twice: {count} direct messages about delivery {mark and mark[0]}")
        owed = Counter((row.channel_id, row.task_id) for row in self._seen.values())
        parents = {row.posted_in: row.channel_id for row in self._seen.values() if row.posted_in}
        named = Counter((parents.get(m.channel_id, m.channel_id), i) for m in results for i in m.ids)
        for key, count in named.items():
            if count > owed[key]:
                self._found.append(f"twice: {key[1]} is named {count} times in {key[0]}")

    def _check_untracked(self, results: list[Message]) -> None:
        """No result after the acknowledgement, but for one that was handed over by a process that stopped."""
        for command in self._world.commands:
            answered_at = command.answered_at or 0
            if answered_at < self._put_back_at:
                continue
            late = [
                m
                for m in results
                if m.at > answered_at
                and (
                    m.handed_at > answered_at or not (m.process and m.process.is_dead | m.process.was_frozen)
                )
            ]
            if isinstance(command, Untrack) and command.said is UntrackResult.CANCELLED:
                for row in self._seen.values():
                    is_it = row.channel_id == command.channel_id and row.task_id in command.ids
                    if is_it and row.state == "cancelled" and any(m.delivery == row.mark for m in late):
                        self._found.append(f"untracked: {row.task_id} was posted after that")
            if isinstance(command, Forget) and isinstance(command.said, ErasureResult):
                gone = {m for m, row in self._seen.items() if row.person_id == command.person_id}
                gone -= set(self._states)
                if any(m.delivery in gone for m in late) and not command.said.being_posted:
                    self._found.append(f"erased: a result for {command.person_id} was posted after that")

    def _check_polls(self) -> None:
        last: dict[str, int] = {}
        unwanted: Counter[str] = Counter()
        for poll in sorted(self._world.api.polls, key=lambda p: p.began):
            if poll.began - last.get(poll.task_id, 0) < self._world.scenario.interval:
                early = poll.began - last[poll.task_id]
                self._found.append(f"interval: {poll.task_id} was polled after {early} ms")
            if not poll.is_wanted:
                unwanted[poll.task_id] += 1
            last[poll.task_id] = poll.began

        for task_id, count in unwanted.items():
            if count > 1:  # one may have been claimed before
                self._found.append(f"unwanted: {task_id} was polled {count} times, and nobody waits for it")

    def _check_evidence(self) -> None:
        for task_id, state, cause in self._database.execute(_FINAL):
            evidence = list(self._evidence(task_id))
            is_there = any(each.is_there for each in evidence)
            if is_there and not any(each.supports(state, cause or "") for each in evidence):
                self._found.append(f"evidence: {task_id} is {state} {cause or ''} after {evidence[-1]}")

    def _evidence(self, task_id: str) -> Iterator[Evidence]:
        """With each of the answers that its process may have taken along when it stopped, and without."""
        polls = sorted(self._world.api.polls, key=lambda poll: poll.began)
        own = [poll for poll in polls if poll.task_id == task_id]
        uncertain = [poll for poll in own if poll.is_recorded is None]
        for size in range(len(uncertain) + 1):
            for stored in combinations(uncertain, size):
                left_out = [poll for poll in own if not (poll.is_recorded or poll in stored)]
                rest = [poll for poll in polls if poll not in left_out]
                yield Evidence(task_id, rest, self._world.scenario.interval)

    def _check_files(self, rows: list[Row]) -> None:
        kept = {
            hashlib.sha256(row.task_id.encode()).hexdigest()[:32]
            for row in rows
            if row.task_state == "completed" and row.state in ("due", "undeliverable")
        }
        for path in self._world.videos.glob("*"):
            if path.name.partition(".")[0] not in kept:
                self._found.append(f"file: {path.name} has no owner")

    def _check_cards(self, rows: list[Row]) -> None:
        """What a card shows is what is so, where the bot may edit it, and can find it if it must."""
        now = {row.mark: row for row in rows}
        known = dict(self._database.execute("SELECT id, message_id FROM cards"))
        for message in self._world.discord.messages("card"):
            channel = self._world.discord.channel(message.channel_id)
            may_edit = not (channel.is_gone or channel.is_archived) and channel.rights & VIEW
            if not may_edit or message.view is None:
                continue
            can_find = message.view.card.id in known and channel.rights & HISTORY
            if message.id not in self._cards and not can_find:
                continue
            if shown := _untrue(message.view, now, self._forgotten):
                self._found.append(f"card: it shows {shown}")

    def _check_bugs(self) -> None:
        if not self._world.scenario.is_poisoned:
            self._found += [f"bug: {line}" for line in self._world.bugs if "a bug" in line]


def _untrue(view: CardView, now: dict[tuple[int, str], Row], forgotten: set[tuple[int, str]]) -> str | None:
    for shown in view.rows:
        mark = shown.delivery.id, shown.delivery.nonce
        row = now.get(mark)
        if row is None:
            if mark in forgotten:
                continue
            return f"{shown.task.id}, which was erased"
        if (shown.delivery.state, shown.task.state) != (row.state, row.task_state):
            return f"{shown.task.id} as {shown.delivery.state}, {shown.task.state}: it is {row.state}"
    return None
