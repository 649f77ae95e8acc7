"""The gateway websocket: identify, shards, resume with replay, heartbeats, and events about the world.

Frames are plain text: discord.py asks for compression, and accepts that there is none.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.discord import events, payloads
from sandbox.discord.snowflakes import moment_bits

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.discord.changes import Change
    from sandbox.discord.message_parts import Json
    from sandbox.discord.record import Record
    from sandbox.discord.world import Guild, World

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
# Sent by clients, and ignored here.
PRESENCE, VOICE_STATE, REQUEST_MEMBERS = 3, 4, 8

UNKNOWN_OPCODE, DECODE_ERROR, AUTHENTICATION_FAILED = 4001, 4002, 4004
INVALID_SHARD, SHARDING_REQUIRED = 4010, 4011

GUILDS_INTENT = 1
CLOSE_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Shard:
    """The `[id, count]` of IDENTIFY: the part of the guilds that a session gets events of."""

    id: int
    count: int

    def holds(self, guild_id: int | None) -> bool:
        """Whether events of this guild go to this shard. None: a direct message, for the first shard."""
        return self.id == (0 if guild_id is None else moment_bits(guild_id) % self.count)


WHOLE = Shard(0, 1)
"""The shard of a session that identified without one."""


def read_shard(given: object) -> Shard | None:
    """The shard that IDENTIFY names; None for an invalid one, which means close code 4010."""
    match given:
        case None:
            return WHOLE
        case [int(shard_id), int(count)] if 0 <= shard_id < count:
            return Shard(shard_id, count)
    return None


@dataclass(slots=True, eq=False)
class Session:
    """One identified client. It outlives its connection, so that it can be resumed."""

    id: str
    intents: int
    shard: Shard = WHOLE
    socket: web.WebSocketResponse | None = None
    sent: list[Json] = field(default_factory=list)

    @property
    def connected(self) -> bool:
        return self.socket is not None and not self.socket.closed


class Gateway:
    def __init__(self, *, token: str, world: World, record: Record, heartbeat_interval: int) -> None:
        self._token = token
        self._world = world
        self._record = record
        self._heartbeat_interval = heartbeat_interval
        self._sessions: dict[str, Session] = {}
        self._outboxes: dict[web.WebSocketResponse, asyncio.Queue[Json | str | None]] = {}
        self.url = ""
        self.alter: Callable[[str, Any], Any] = lambda name, data: data
        """Changes the data of every event before it is sent."""
        self.identified: list[Shard] = []
        self.refused: dict[int, int] = {}
        """Shard id -> the close code that answers its IDENTIFY."""
        self.required_shards = 1
        self.resumes = 0
        self.heartbeats = 0
        self.refusals = 0
        world.listeners.append(self._on_change)

    @property
    def connected(self) -> bool:
        return bool(self.connected_shards)

    @property
    def connected_shards(self) -> set[int]:
        return {session.shard.id for session in self._sessions.values() if session.connected}

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    # --- one connection

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        if self.refusals:
            self.refusals -= 1
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(timeout=CLOSE_TIMEOUT, max_msg_size=0)
        await socket.prepare(request)
        outbox: asyncio.Queue[Json | str | None] = asyncio.Queue()
        self._outboxes[socket] = outbox
        outbox.put_nowait({"op": HELLO, "d": {"heartbeat_interval": self._heartbeat_interval}})
        writer = asyncio.create_task(_write_all(socket, outbox), name="gateway writer")
        try:
            await self._read_all(socket)
        finally:
            self._forget_socket(socket)
            outbox.put_nowait(None)
            await writer
        return socket

    async def _read_all(self, socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            try:
                received = json.loads(frame.data)
            except ValueError:
                await self._refuse(socket, DECODE_ERROR, f"no JSON: {frame.data!r}")
                return
            await self._receive(socket, received)

    async def _receive(self, socket: web.WebSocketResponse, received: Json) -> None:
        operation, data = received.get("op"), received.get("d")
        if operation == HEARTBEAT:
            self.heartbeats += 1
            self._outboxes[socket].put_nowait({"op": ACK})
        elif operation in (IDENTIFY, RESUME):
            await self._authenticate(socket, operation, data or {})
        elif operation not in (PRESENCE, VOICE_STATE, REQUEST_MEMBERS):
            await self._refuse(socket, UNKNOWN_OPCODE, f"unknown gateway opcode {operation}")

    async def _authenticate(self, socket: web.WebSocketResponse, operation: int, data: Json) -> None:
        if data.get("token") != self._token:
            await self._refuse(socket, AUTHENTICATION_FAILED, "bad token at the gateway")
        elif operation == IDENTIFY:
            await self._identify(socket, data)
        else:
            self._resume(socket, data)
        self._record.notify()

    async def _refuse(self, socket: web.WebSocketResponse, code: int, why: str) -> None:
        self._record.surprise(why)
        await socket.close(code=code, message=why.encode()[:100])

    def _forget_socket(self, socket: web.WebSocketResponse) -> None:
        """Detach the socket. A normal close ends its session; after any other it can be resumed."""
        self._outboxes.pop(socket, None)
        for session in list(self._sessions.values()):
            if session.socket is socket:
                session.socket = None
                if socket.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY):
                    del self._sessions[session.id]
        self._record.notify()

    async def _identify(self, socket: web.WebSocketResponse, data: Json) -> None:
        shard = read_shard(data.get("shard"))
        if shard is None:
            await self._refuse(socket, INVALID_SHARD, f"no such shard: {data['shard']!r}")
        elif shard.id in self.refused:
            await socket.close(code=self.refused[shard.id])
        elif shard.count < self.required_shards:
            await socket.close(code=SHARDING_REQUIRED, message=b"Sharding required.")
        else:
            self._begin_session(Session(secrets.token_hex(16), int(data.get("intents") or 0), shard, socket))

    def _begin_session(self, session: Session) -> None:
        self.identified.append(session.shard)
        self._sessions[session.id] = session
        here = [guild for guild in self._world.guilds.values() if session.shard.holds(guild.id)]
        guilds = [guild for guild in here if guild.bot_member]
        self._send_event(session, "READY", self._ready(session, guilds))
        for guild in guilds:
            if session.intents & GUILDS_INTENT and not guild.unavailable:
                self._send_event(session, *events.available(guild))

    def _ready(self, session: Session, guilds: list[Guild]) -> Json:
        bot = self._world.bot
        return {
            "v": 10,
            "user": payloads.own_user(bot),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            # Only for sessions that identified with a shard.
            **({} if session.shard is WHOLE else {"shard": [session.shard.id, session.shard.count]}),
            "resume_gateway_url": self.url,
            "application": {"id": str(bot.id), "flags": 0},
            "private_channels": [],
        }

    def _resume(self, socket: web.WebSocketResponse, data: Json) -> None:
        session = self._sessions.get(str(data.get("session_id")))
        if session is None:
            self._outboxes[socket].put_nowait({"op": INVALID_SESSION, "d": False})
            return
        self.resumes += 1
        session.socket = socket
        for event in session.sent[int(data.get("seq") or 0) :]:
            self._outboxes[socket].put_nowait(event)
        self._send_event(session, "RESUMED", {})

    # --- events

    def _send_event(self, session: Session, name: str, data: Any) -> None:
        event = {"op": DISPATCH, "t": name, "s": len(session.sent) + 1, "d": self.alter(name, data)}
        session.sent.append(event)
        if session.socket is not None and session.socket in self._outboxes:
            self._outboxes[session.socket].put_nowait(event)

    def dispatch_now(self, name: str, data: Json) -> bool:
        """Send an event to the connected sessions only. Returns False when there is none."""
        guild_id = int(data["guild_id"]) if "guild_id" in data else None
        there = [session for session in self._holding(guild_id) if session.connected]
        for session in there:
            self._send_event(session, name, data)
        return bool(there)

    def broadcast(self, name: str, data: Any) -> None:
        """Send an event to every connected session."""
        for session in self._sessions.values():
            if session.connected:
                self._send_event(session, name, data)

    def send_frame(self, text: str) -> None:
        """Send a frame that need not be JSON on every connection."""
        for outbox in self._outboxes.values():
            outbox.put_nowait(text)

    def _on_change(self, change: Change) -> None:
        found = events.events_of(change)
        if found is None:
            return
        guild, told = found
        for session in self._holding(guild.id):
            for event in told if session.intents & GUILDS_INTENT else ():
                self._send_event(session, *event)

    def _holding(self, guild_id: int | None) -> list[Session]:
        return [session for session in self._sessions.values() if session.shard.holds(guild_id)]

    # --- what a test does to it

    async def disconnect(self, code: int, shard: int | None = None) -> None:
        """Close connections with this code; with 1006 they are aborted instead."""
        of_shard = [s for s in self._sessions.values() if shard in (None, s.shard.id)]
        sockets = list(self._outboxes) if shard is None else [s.socket for s in of_shard if s.socket]
        for session in of_shard:
            # Detached first, because the client echoes our close, which must not count as its own.
            session.socket = None
        for socket in sockets:
            if code == WSCloseCode.ABNORMAL_CLOSURE:
                _abort(socket)
            else:
                await socket.close(code=code)

    def ask_reconnect(self) -> None:
        for outbox in self._outboxes.values():
            outbox.put_nowait({"op": RECONNECT, "d": None})

    def forget_sessions(self) -> None:
        """Make every later resume fail, so that clients identify again."""
        self._sessions.clear()


async def _write_all(socket: web.WebSocketResponse, outbox: asyncio.Queue[Json | str | None]) -> None:
    while (event := await outbox.get()) is not None:
        try:
            await socket.send_str(event if isinstance(event, str) else json.dumps(event))
        except ConnectionError:
            return


def _abort(socket: web.WebSocketResponse) -> None:
    transport = socket._req.transport if socket._req else None  # noqa: SLF001 - aiohttp has no name for it
    if transport is not None:
        transport.abort()
