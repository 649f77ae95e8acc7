"""Checks a slash command's options as a client does, and gives what the client sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import channel_payload, payloads
from sandbox.discord.user import User
from sandbox.discord.world import Channel

if TYPE_CHECKING:
    from sandbox.discord.message_parts import Json

STRING, INTEGER, BOOLEAN, USER, CHANNEL, NUMBER = 3, 4, 5, 6, 7, 10

_PYTHON_TYPES: dict[int, tuple[type, ...]] = {
    STRING: (str,),
    INTEGER: (int,),
    BOOLEAN: (bool,),
    USER: (User,),
    CHANNEL: (Channel,),
    NUMBER: (int, float),
}


def filled(part: Json, given: dict[str, object], *, focused: str | None = None) -> list[Json]:
    """The chosen options as sent. Raises ValueError for what a client would not send.

    With `focused` the person is still typing: no option is required, and that one is marked.
    """
    known = {option["name"]: option for option in part.get("options") or []}
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{part['name']!r} has no option {unknown}; it has {sorted(known)}")
    needed = {name for name, option in known.items() if option.get("required")}
    if focused is None and (missing := sorted(needed - set(given))):
        raise ValueError(f"{part['name']!r} requires {missing}")
    return [_option(known[name], value, focused) for name, value in given.items()]


def _option(option: Json, value: object, focused: str | None) -> Json:
    is_typing = option["name"] == focused
    if is_typing and not option.get("autocomplete"):
        raise ValueError(f"{option['name']!r} has no autocomplete")
    if not is_typing:
        _refuse_bad_value(option, value)
    sent = {"name": option["name"], "type": option["type"], "value": _sent_value(value)}
    return {**sent, "focused": True} if is_typing else sent


def _sent_value(value: object) -> object:
    return str(value.id) if isinstance(value, (User, Channel)) else value


def _refuse_bad_value(option: Json, value: object) -> None:
    name, kind = option["name"], option["type"]
    accepted = _PYTHON_TYPES.get(kind)
    if accepted is None:
        raise ValueError(f"options of type {kind} ({name!r}) are not built into the stand-in")
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind != BOOLEAN):
        raise ValueError(f"{name!r} takes {accepted[0].__name__}, not {value!r}")
    choices = [choice["value"] for choice in option.get("choices") or []]
    if choices and value not in choices:
        raise ValueError(f"{name!r} takes one of {choices}, not {value!r}")
    size = len(value) if isinstance(value, str) else value
    if isinstance(size, (int, float)):
        low, high = _bounds(option, kind)
        if not low <= size <= high:
            raise ValueError(f"{name!r} must be between {low} and {high}, not {size}")


def _bounds(option: Json, kind: int) -> tuple[float, float]:
    if kind == STRING:
        return option.get("min_length") or 0, option.get("max_length") or 6000
    infinity = float("inf")
    return option.get("min_value", -infinity), option.get("max_value", infinity)


def resolved(given: dict[str, object]) -> Json:
    """The users and channels among the options, which Discord adds to the interaction."""
    found: Json = {}
    for value in given.values():
        if isinstance(value, User):
            found.setdefault("users", {})[str(value.id)] = payloads.user(value)
        elif isinstance(value, Channel):
            found.setdefault("channels", {})[str(value.id)] = {
                **channel_payload.channel(value),
                "permissions": "0",
            }
    return found
