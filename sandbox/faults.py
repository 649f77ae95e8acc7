"""What can go wrong on the wire, as values: both stand-in servers take their faults from here.

A fault names the requests it spoils (``"POST /channels/*/messages"``), what happens to them, and how
often. A server asks ``Faults.take`` once per request, before it does anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to spoil matching requests.

    ``delay`` comes first. Then ``cut="before"`` closes the connection with nothing done, ``cut="after"``
    does the work and closes instead of answering, and ``status`` answers in the server's place with nothing
    done. A fault with a delay alone slows the ordinary answer. ``times=None`` lasts until ``Faults.clear``.

    A header whose value is None is left out of the answer even where the server would add it itself.
    """

    route: str
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    times: int | None = 1
    delay: float = 0.0
    cut: Literal["before", "after"] | None = None

    def spoils(self, method: str, path: str) -> bool:
        return matches(self.route, method, path)


class Faults:
    """The faults still to come, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int | None]] = []
        self.taken: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        self._waiting.extend((fault, fault.times) for fault in faults)

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault that spoils this request; it is used up by being taken."""
        for index, (fault, left) in enumerate(self._waiting):
            if fault.spoils(method, path):
                self._use_up(index, fault, left)
                return fault
        return None

    def clear(self) -> None:
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
    """Whether ``"POST /channels/*/messages"`` names this request; ``*`` as method means any."""
    wanted_method, _, wanted_path = route.partition(" ")
    return wanted_method in ("*", method) and fnmatchcase(path, wanted_path)
