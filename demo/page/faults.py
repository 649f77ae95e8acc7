"""The faults that the page can add for the next requests, and how many of them are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.bot_environment import BotEnvironment
    from sandbox.faults import Faults

Json = dict[str, Any]

_DELAY = 8.0  # seconds
_RETRY_AFTER = 3  # seconds

# name -> (stand-in, route, label in the page)
TARGETS = {
    "questions": ("api", "GET /v1/result/*", "the next polls"),
    "videos": ("api", "GET /videos/*", "the next video downloads"),
    "messages": ("discord", "POST /channels/*/messages", "the next messages to Discord"),
    "edits": ("discord", "PATCH /channels/*/messages/*", "the next edits of the card"),
}
# name -> (label in the page, function that makes the fault for a route and a number of times)
_KINDS: dict[str, tuple[str, Callable[[str, int], Fault]]] = {
    "429": (
        "429 Too Many Requests",
        lambda route, times: Fault(
            route, status=429, headers={"Retry-After": str(_RETRY_AFTER)}, times=times
        ),
    ),
    "500": ("500 Internal Server Error", lambda route, times: Fault(route, status=500, times=times)),
    "503": ("503 Service Unavailable", lambda route, times: Fault(route, status=503, times=times)),
    "cut before": (
        "connection cut before the request is accepted",
        lambda route, times: Fault(route, cut="before", times=times),
    ),
    "cut after": (
        "connection cut after the request was accepted",
        lambda route, times: Fault(route, cut="after", times=times),
    ),
    "slow": (f"slow answer ({_DELAY:.0f} s)", lambda route, times: Fault(route, delay=_DELAY, times=times)),
}


@dataclass(frozen=True, slots=True)
class Armed:
    target: str
    kind: str
    fault: Fault
    times: int


class FaultBoard:
    """Adds faults to both stand-ins and remembers which the page has added."""

    def __init__(self, env: BotEnvironment) -> None:
        self._sides: dict[str, Faults] = {"api": env.api.faults, "discord": env.discord.faults}
        self._armed: list[Armed] = []

    def state(self) -> Json:
        return {
            "targets": {name: label for name, (_, _, label) in TARGETS.items()},
            "kinds": {name: label for name, (label, _) in _KINDS.items()},
            "armed": [self._as_json(each) for each in self._armed if self._left(each)],
        }

    def add(self, target: str, kind: str, times: int) -> None:
        side, route, _ = TARGETS[target]
        fault = _KINDS[kind][1](route, times)
        self._sides[side].add(fault)
        self._armed.append(Armed(target, kind, fault, times))

    def clear(self) -> None:
        for faults in self._sides.values():
            faults.clear()
        self._armed.clear()

    def _as_json(self, armed: Armed) -> Json:
        label = f"{_KINDS[armed.kind][0]} for {TARGETS[armed.target][2]}"
        return {"label": label, "left": self._left(armed)}

    def _left(self, armed: Armed) -> int:
        taken = self._sides[TARGETS[armed.target][0]].taken
        return armed.times - sum(each is armed.fault for each in taken)
