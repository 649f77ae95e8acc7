"""Network and server faults as values; both stand-ins inject them.

A fault names the requests that it affects (`"POST /channels/*/messages"`), what happens to them, and how
often. A server calls `Faults.take` once per request, before it does anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault for the requests that match `route`.

    The server waits `delay` seconds first. Then `cut="before"` closes the connection with nothing done,
    `cut="after"` does the work and closes without an answer, and `status` answers with nothing done. With
    only a delay, the usual answer is slow. `times=None` lasts until `Faults.clear`.

    The stand-in Discord also knows `done`, which answers with `status` after the work, and `uploads`, which
    limits the fault to the requests with files (True) or without (False).

    A header whose value is None is left out of the answer, even if the server usually adds it.
    """

    route: str
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    times: int | None = 1
    delay: float = 0.0
    cut: Literal["before", "after"] | None = None
    done: bool = False
    uploads: bool | None = None

    def affects(self, method: str, path: str, *, uploads: bool = False) -> bool:
        return self.uploads in (None, uploads) and matches(self.route, method, path)


class Faults:
    """The faults of one server; the oldest that matches is used first. `taken` lists those used so far."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int | None]] = []
        self.taken: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        self._waiting.extend((fault, fault.times) for fault in faults)

    def take(self, method: str, path: str, *, uploads: bool = False) -> Fault | None:
        """The first fault that affects this request, or None. It counts as used once."""
        for index, (fault, left) in enumerate(self._waiting):
            if fault.affects(method, path, uploads=uploads):
                self._use_up(index, fault, left)
                return fault
        return None

    def clear(self) -> None:
        """Remove the faults that have not been used."""
        self._waiting.clear()

    def _use_up(self, index: int, fault: Fault, left: int | None) -> None:
        self.taken.append(fault)
        if left is None:
            return
        if left > 1:
            self._waiting[index] = (fault, left - 1)
        else:
            del self._waiting[index]


def matches(route: str, method: str, path: str) -> bool:
    """Whether a route such as `"POST /channels/*/messages"` means this request; method `*` means any."""
    wanted_method, _, wanted_path = route.partition(" ")
    return wanted_method in ("*", method) and fnmatchcase(path, wanted_path)
