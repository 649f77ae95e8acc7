"""Reads the gateway leniently: what discord.py cannot read of it is left out, and the shard goes on.

discord.py 2.7.1 lets the exception of any parser end the websocket, and with it the process. Discord adds
fields, leaves them out, and sends null where an object was (channels that a bot cannot view, since
2026-11-16): an event costs only itself.
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

# Said by the websocket on purpose; everything else is a frame that cannot be read.
_ENDS = (ReconnectWebSocket, WebSocketClosure, discord.ConnectionClosed, aiohttp.ClientError, OSError)
# What this bot needs of a server; emojis, voices, presences and the rest are never looked at.
_GUILD_LISTS = ("roles", "channels", "threads", "members")
_UNUSED_GUILD_LISTS = (
    *("emojis", "stickers", "voice_states", "presences", "stage_instances"),
    *("guild_scheduled_events", "soundboard_sounds"),
)
_TOLD_KINDS = 100


class UnreadableEvents:
    """Logs each kind once, and counts them all."""

    def __init__(self) -> None:
        self.on_unreadable: OnUnreadable = lambda: None
        self._told: set[tuple[str, str]] = set()

    def note(self, what: str, error: Exception) -> None:
        """The event's name and the exception are the kind; what is in the event is not logged."""
        self.on_unreadable()
        kind = what, f"{type(error).__name__}: {str(error)[:80]}"
        if kind in self._told or len(self._told) >= _TOLD_KINDS:
            return
        self._told.add(kind)
        logger.warning("a %s of Discord's gateway cannot be read (%s): it is left out", *kind)


class LenientWebSocket(DiscordWebSocket):
    """A frame that is not JSON, or not of a known shape, is left out. READY and RESUMED are completed."""

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
        """A session begins with READY or RESUMED: their fields that we could do without are filled in."""
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
            data["session_id"] = None  # it cannot be resumed then
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
    """The parsers of discord.py, none of which raises: an event that cannot be read is left out."""
    return {name: _guarded(name, parser, state, events) for name, parser in parsers.items()}


def _guarded(name: str, parser: Parser, state: Any, events: UnreadableEvents) -> Parser:
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
    """A server with one unreadable channel is known without that channel, and not unknown."""
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
