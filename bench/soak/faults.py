"""The moments at which a soak kills the bot, and the faults that it injects meanwhile."""

import random
from typing import Any

from sandbox.bot_environment import BotEnvironment
from sandbox.faults import Fault, Faults

GATEWAY_SHARE = 0.05  # of the faults: the websocket breaks
MAX_DELAY = 1.0  # seconds that a fault keeps a request on the wire

DISCORD_MOMENTS: list[tuple[str, Any]] = [
    ("POST /channels/*/messages", "received"),
    ("POST /channels/*/messages", "accepted"),
    ("PATCH /channels/*", "received"),
    ("PATCH /channels/*", "accepted"),
    ("POST /interactions/*", "received"),
    ("POST /interactions/*", "accepted"),
]
API_MOMENTS: list[tuple[str, Any]] = [
    ("GET /v1/result/*", "received"),
    ("GET /v1/result/*", "answered"),
    ("GET /videos/*", "received"),
    ("GET /videos/*", "half"),
    ("GET /videos/*", "sent"),
]

_POST = "POST /channels/*/messages"
_EDIT = "PATCH /channels/*"
_PAGE = "<html><title>on demand</title></html>"
_LIMITED: dict[str, Any] = {"message": "slow down", "retry_after": 0.5, "global": False}
# One answer with such a code must not cost a result: another form of it is taken.
_CODES_OF_UPLOADS = ((400, 50024), (400, 20009), (400, 200000), (403, 50013))

_API_FAULTS = [
    Fault("GET /v1/result/*", status=500, body="<html>"),
    Fault("GET /v1/result/*", cut="before", times=2),
    Fault("GET /videos/*", status=503, body=""),
    Fault("GET /videos/*", cut="before", times=2),
]
_DISCORD_FAULTS = [
    Fault(_POST, status=503, body=""),
    Fault(_POST, status=500, body=""),
    Fault(_POST, cut="before"),
    Fault(_POST, cut="after"),
    Fault(_POST, delay=MAX_DELAY),
    Fault(_POST, status=429, body=_LIMITED),
    Fault(_POST, status=429, body={"message": "slow down", "global": False}),
    Fault(_POST, status=408, body=""),
    Fault(_POST, status=409, body=""),
    Fault(_POST, status=400, body=_PAGE),
    Fault(_POST, status=404, body=_PAGE),
    Fault(_POST, status=502, body=_PAGE, done=True),
    Fault(_POST, status=413, body={"message": "on demand", "code": 40005}, uploads=True),
    Fault(_EDIT, status=502, body=_PAGE, done=True),
    Fault(_EDIT, cut="after"),
    *(
        Fault(_POST, status=status, body={"message": "on demand", "code": code}, uploads=True)
        for status, code in _CODES_OF_UPLOADS
    ),
]


def random_fault(env: BotEnvironment, chance: random.Random) -> tuple[Faults, Fault]:
    """A fault, and the server to add it to; Discord's more often, because it has more of them."""
    kinds = [(env.api.faults, fault) for fault in _API_FAULTS]
    kinds += [(env.discord.faults, fault) for fault in _DISCORD_FAULTS]
    return chance.choice(kinds)
