"""The requests of the bot as a list of entries with times: polls, downloads, calls to Discord.

A poll that brings the same answer as the last one about that task is counted in the last one's entry; so is a
call to Discord that repeats the call before it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from demo.page import wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Request
    from sandbox.video_api import Poll

Json = dict[str, Any]
Side = Literal["api", "discord", "person", "bot"]
# The number of entries in the snapshot for a new page.
MAX_ENTRIES = 300


@dataclass(slots=True, eq=False)
class Entry:
    """`at`: milliseconds since 1970, of the first. `gap`: seconds between the last two with this `key`."""

    id: int
    side: Side
    what: str
    at: float
    key: str | None = None
    gap: float | None = None
    status: int | None = None
    result: str = ""
    pending: bool = False
    count: int = 1

    def as_json(self) -> Json:
        return asdict(self)


@dataclass(slots=True, eq=False)
class _Pending:
    """An entry whose request has no answer yet, and the function that reads it."""

    entry: Entry
    read: Callable[[], wording.Answer] = field(repr=False)


class Timeline:
    def __init__(self, env: BotEnvironment) -> None:
        self._env = env
        self._skew = time.time() - time.monotonic()
        self.entries: list[Entry] = []
        self._last_at: dict[str, float] = {}
        self._last_entries: dict[str, Entry] = {}
        self._last_call: Entry | None = None
        self._open: list[_Pending] = []
        self._new: list[Entry] = []
        self._seen_requests = self._seen_polls = self._seen_downloads = 0

    def note(self, side: Side, what: str) -> None:
        """Add an entry that is not a request: a person's action, or an event of the bot's process."""
        self._last_call = None
        self._add(side, what, time.monotonic())

    def collect(self) -> list[Json]:
        """The entries that are new or have changed since the last call."""
        changed = self._newly_answered()
        self._read_api()
        self._read_discord()
        changed += self._new
        self._new = []
        return [entry.as_json() for entry in sorted(set(changed), key=lambda each: each.id)]

    def latest(self) -> list[Json]:
        return [entry.as_json() for entry in self.entries[-MAX_ENTRIES:]]

    def _read_api(self) -> None:
        api = self._env.api
        for poll in api.polls[self._seen_polls :]:
            self._add_poll(poll)
        self._seen_polls = len(api.polls)
        for download in api.downloads[self._seen_downloads :]:
            name = download.path.removeprefix("/videos/")
            entry = self._add("api", f"downloads {name}", download.at, download.path)
            self._read_answer(entry, partial(wording.download, download))
        self._seen_downloads = len(api.downloads)

    def _read_discord(self) -> None:
        discord = self._env.discord
        for request in discord.record[self._seen_requests :]:
            self._add_call(request)
        self._seen_requests = len(discord.record)

    def _add_poll(self, poll: Poll) -> None:
        key, read = poll.task_id, partial(wording.poll, poll, self._env.api.tasks)
        last = self._last_entries.get(key)
        if last is not None and _has_answer(last, read()):
            self._repeat(last, poll.at)
            return
        entry = self._last_entries[key] = self._add("api", f"polls {key}", poll.at, key)
        self._read_answer(entry, read)

    def _add_call(self, request: Request) -> None:
        what = wording.request(request, self._env.discord.world)
        read, last = partial(wording.call, request), self._last_call
        if last is not None and last.what == what and _has_answer(last, read()):
            self._repeat(last, request.at)
            return
        self._last_call = self._add("discord", what, request.at)
        self._read_answer(self._last_call, read)

    def _repeat(self, entry: Entry, at: float) -> None:
        """Count one more request in an entry."""
        entry.count += 1
        if entry.key is not None:
            entry.gap = at - self._last_at[entry.key]
            self._last_at[entry.key] = at
        self._new.append(entry)

    def _add(self, side: Side, what: str, at: float, key: str | None = None) -> Entry:
        entry = Entry(len(self.entries), side, what, (at + self._skew) * 1000, key)
        if key is not None:
            entry.gap = at - self._last_at[key] if key in self._last_at else None
            self._last_at[key] = at
        self.entries.append(entry)
        self._new.append(entry)
        return entry

    def _read_answer(self, entry: Entry, read: Callable[[], wording.Answer]) -> None:
        entry.status, result = read()
        entry.pending = entry.status is None
        if entry.pending:
            self._open.append(_Pending(entry, read))
        else:
            entry.result = result

    def _newly_answered(self) -> list[Entry]:
        answered = []
        for pending in list(self._open):
            status, result = pending.read()
            if status is not None:
                entry = pending.entry
                entry.status, entry.result, entry.pending = status, result, False
                self._open.remove(pending)
                answered.append(entry)
        return answered


def _has_answer(entry: Entry, answer: wording.Answer) -> bool:
    """Whether the entry got this answer, which is not None."""
    return not entry.pending and (entry.status, entry.result) == answer
