"""What went over the wire, as a list of entries with times: questions to the API, calls to Discord."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from demo.page import wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.bot_environment import BotEnvironment

Json = dict[str, Any]
Side = Literal["api", "discord", "person", "bot"]
# A page that comes later is told this much of what was before.
MOST_TOLD = 300


@dataclass(slots=True, eq=False)
class Entry:
    """`gap`: seconds since the last entry about the same thing, `key`."""

    id: int
    side: Side
    what: str
    at: float
    key: str | None = None
    gap: float | None = None
    status: int | None = None
    result: str = ""
    pending: bool = False

    def told(self) -> Json:
        return asdict(self)


@dataclass(slots=True, eq=False)
class _Watched:
    """An entry whose request has not been answered yet, and how to look again."""

    entry: Entry
    look: Callable[[], wording.Answer] = field(repr=False)


class Timeline:
    def __init__(self, env: BotEnvironment) -> None:
        self._env = env
        self._skew = time.time() - time.monotonic()
        self.entries: list[Entry] = []
        self._last_at: dict[str, float] = {}
        self._open: list[_Watched] = []
        self._fresh: list[Entry] = []
        self._seen_requests = self._seen_questions = self._seen_downloads = 0

    def note(self, side: Side, what: str) -> None:
        """Something that is not a request: a person's action, the bot's process."""
        self._add(side, what, time.monotonic())

    def collect(self) -> list[Json]:
        """The entries that are new or have changed since the last call."""
        changed = self._answered()
        self._read_api()
        self._read_discord()
        changed += self._fresh
        self._fresh = []
        return [entry.told() for entry in sorted(set(changed), key=lambda each: each.id)]

    def told(self) -> list[Json]:
        return [entry.told() for entry in self.entries[-MOST_TOLD:]]

    def _read_api(self) -> None:
        api = self._env.api
        for question in api.polls[self._seen_questions :]:
            entry = self._add("api", f"asks about {question.task_id}", question.at, question.task_id)
            self._watch(entry, partial(wording.question, question, api.tasks))
        self._seen_questions = len(api.polls)
        for download in api.downloads[self._seen_downloads :]:
            name = download.path.removeprefix("/videos/")
            entry = self._add("api", f"downloads {name}", download.at, download.path)
            self._watch(entry, partial(wording.download, download))
        self._seen_downloads = len(api.downloads)

    def _read_discord(self) -> None:
        discord = self._env.discord
        for request in discord.record[self._seen_requests :]:
            entry = self._add("discord", wording.request(request, discord.world), request.at)
            self._watch(entry, partial(wording.call, request))
        self._seen_requests = len(discord.record)

    def _add(self, side: Side, what: str, at: float, key: str | None = None) -> Entry:
        entry = Entry(len(self.entries), side, what, (at + self._skew) * 1000, key)
        if key is not None:
            entry.gap = at - self._last_at[key] if key in self._last_at else None
            self._last_at[key] = at
        self.entries.append(entry)
        self._fresh.append(entry)
        return entry

    def _watch(self, entry: Entry, look: Callable[[], wording.Answer]) -> None:
        entry.status, result = look()
        entry.pending = entry.status is None
        if entry.pending:
            self._open.append(_Watched(entry, look))
        else:
            entry.result = result

    def _answered(self) -> list[Entry]:
        answered = []
        for watched in list(self._open):
            status, result = watched.look()
            if status is not None:
                entry = watched.entry
                entry.status, entry.result, entry.pending = status, result, False
                self._open.remove(watched)
                answered.append(entry)
        return answered
