"""Reads the gateway leniently: what discord.py cannot read is left out, and the shard goes on.

In discord.py 2.7.1 an exception of any parser ends the websocket, and with it the process. Discord adds
fields, leaves them out, and sends null instead of an object (channels that a bot cannot view, since
2026-11-16). Here an unreadable event costs only that event.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import discord
from discord.gateway import DiscordWebSocket, ReconnectWebSocket, WebSocketClosure

logger = logging.getLogger(__name__)
Json = dict[str, Any]
Parser = Callable[[Any], None]
OnUnreadable = Callable[[], None]

# Raised by the websocket on purpose; every other exception is about an unreadable frame.
_ENDS = (ReconnectWebSocket, WebSocketClosure, discord.ConnectionClosed, aiohttp.ClientError, OSError)
# The lists of a server that this bot needs; emojis, voices, presences and others are never used.
_GUILD_LISTS = ("roles", "channels", "threads", "members")
_UNUSED_GUILD_LISTS = (
    *("emojis", "stickers", "voice_states", "presences", "stage_instances"),
    *("guild_scheduled_events", "soundboard_sounds"),
)
_MAX_LOGGED_KINDS = 100


class UnreadableEvents:
    """Counts unreadable events, and logs each kind once."""

    def __init__(self) -> None:
        self.on_unreadable: OnUnreadable = lambda: None
        self._logged: set[tuple[str, str]] = set()

    def note(self, what: str, error: Exception) -> None:
        """Count an event. Its name and the exception are its kind; its content is not logged."""
        self.on_unreadable()
        kind = what, f"{type(error).__name__}: {str(error)[:80]}"
        if kind in self._logged or len(self._logged) >= _MAX_LOGGED_KINDS:
            return
        self._logged.add(kind)
        logger.warning("a %s of Discord's gateway cannot be read (%s): it is left out", *kind)


class LenientWebSocket(DiscordWebSocket):
    """Leaves out a frame that is not JSON or has an unknown shape. Completes READY and RESUMED."""

    events = UnreadableEvents()

    async def received_message(self, msg: Any, /) -> None:
        """Read one frame, in text or compressed."""
        if isinstance(msg, bytes):
            msg = self._decompressor.decompress(msg)
            if msg is None:
                return  # a part of a frame
        try:
            await super().received_message(self._completed(msg))
        except _ENDS:
            raise
        except Exception as error:
            self.events.note("frame", error)

    def _completed(self, text: str) -> str:
        """Return the frame, with missing fields filled in for READY and RESUMED, which begin a session."""
        if '"READY"' not in text and '"RESUMED"' not in text:
            return text
        frame = json.loads(text)
        if not isinstance(frame, dict) or frame.get("t") not in {"READY", "RESUMED"}:
            return text
        if not isinstance(frame.get("d"), dict):
            frame["d"] = {}
        if frame["t"] == "READY":
            frame.setdefault("s", None)
            self._complete_ready(frame["d"])
        return json.dumps(frame)

    def _complete_ready(self, data: Json) -> None:
        state: Any = self._connection
        if not isinstance(data.get("session_id"), str):
            data["session_id"] = None  # such a session cannot be resumed
        if not isinstance(data.get("resume_gateway_url"), str):
            data["resume_gateway_url"] = str(self.gateway or self.DEFAULT_GATEWAY)
        data["shard"] = [self.shard_id, self.shard_count]
        if not _can_be_read(lambda: discord.ClientUser(state=state, data=data["user"])):
            data["user"] = _user_json(state.user)
        guilds = data.get("guilds")
        data["guilds"] = [g for g in guilds if _is_guild(g)] if isinstance(guilds, list) else []


def _user_json(user: discord.ClientUser) -> Json:
    return {
        "id": str(user.id),
        "username": user.name,
        "discriminator": user.discriminator,
        "avatar": None,
        "bot": True,
    }


def _is_guild(data: Any) -> bool:
    return isinstance(data, dict) and str(data.get("id", "")).isdecimal()


def guarded(parsers: Mapping[str, Parser], state: Any, events: UnreadableEvents) -> dict[str, Parser]:
    """Wrap the parsers of discord.py so that none raises: an event that cannot be read is left out."""
    return {name: _guard_parser(name, parser, state, events) for name, parser in parsers.items()}


def _guard_parser(name: str, parser: Parser, state: Any, events: UnreadableEvents) -> Parser:
    def parse(data: Any) -> None:
        try:
            parser(_without_unused_lists(data) if name == "GUILD_CREATE" else data)
        except Exception as error:
            events.note(name, error)
            if name == "GUILD_CREATE" and _is_guild(data):
                _parse_what_can_be_read(parser, data, state, events)

    return parse


def _without_unused_lists(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if name not in _UNUSED_GUILD_LISTS}


def _parse_what_can_be_read(parser: Parser, data: Json, state: Any, events: UnreadableEvents) -> None:
    """Parse a server without its unreadable parts, because without them it is at least known."""
    kept: Json = {name: data[name] for name in ("id", "name", "unavailable", "owner_id") if data.get(name)}
    kept["premium_tier"] = data["premium_tier"] if isinstance(data.get("premium_tier"), int) else 0
    kept["unavailable"] = data.get("unavailable") is True
    for name in _GUILD_LISTS:
        items = data.get(name)
        readable = items if isinstance(items, list) else []
        kept[name] = [item for item in readable if _is_readable_part(data["id"], name, item, kept, state)]
    try:
        parser(kept)
    except Exception as error:
        events.note("GUILD_CREATE without its unreadable parts", error)


def _is_readable_part(guild_id: str, name: str, item: Any, kept: Json, state: Any) -> bool:
    """Whether a server that consists of this part, and of the roles before it, can be read."""
    roles = kept.get("roles", [])
    part: Any = {"id": guild_id, "roles": roles} | {name: [item] if name != "roles" else [*roles, item]}
    return _can_be_read(lambda: discord.Guild(data=part, state=state))


def _can_be_read(read: Callable[[], object]) -> bool:
    try:
        read()
    except Exception:
        return False
    return True
