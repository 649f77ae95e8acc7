"""Discord's gateway: one websocket per shard, which is opened, resumed and replaced until the process ends.

discord.py 2.7.1 connects shards, too (shard.py). But it tries a failing first connection for ever, with a
traceback each time. It looks at no close code before all shards are launched. A shard that cannot connect
delays the others, and an outage costs a new session instead of a resumed one. So its state, events and
websocket are used here, but the decision when to connect is ours.
"""

import asyncio
import logging
from typing import Any

import aiohttp
import discord
from discord.gateway import ReconnectWebSocket

from bot.aio import cancel_all
from bot.chat.gateway.identify import IdentifyLimiter
from bot.chat.gateway.lenient import LenientWebSocket, UnreadableEvents, guarded
from bot.chat.responses import describe_error
from bot.core.backoff import retry_delay
from bot.core.clock import MINUTE, SECOND, system_clock, to_datetime

logger = logging.getLogger(__name__)

# They take two minutes with the back-off. By then Discord has dropped the session or its address.
_RESUMPTIONS = 8
_MAX_RETRY_DELAY = MINUTE
# Seconds. A session that ends sooner did not work, so the next attempt waits.
_LASTING = 5.0
_OPENING = 60.0
_UNREACHABLE = (OSError, aiohttp.ClientError)
_CLOSE_NORMAL, _CLOSE_RESUMABLE = 1000, 4000
# Close codes after which no attempt can succeed: of the token, and of the number of shards. Others (4010,
# 4012 to 4014) are tried again, because nothing else of the bot depends on the gateway.
AUTHENTICATION_FAILED, SHARDING_REQUIRED = 4004, 4011


class ShardedClient(discord.AutoShardedClient):
    """A client that connects this process's shards. `share_out` must be called before `connect`.

    `shards` of AutoShardedClient stays empty.
    """

    shard_count: int
    shard_ids: list[int]

    def __init__(self, *, shard_count: int | None, shard_ids: tuple[int, ...], **options: Any) -> None:
        super().__init__(**options)
        self._given = shard_count, shard_ids
        self._shard_connections: list[ShardConnection] = []
        self._waits_for: str | None = "Discord's gateway is not connected yet"
        self.unreadable = UnreadableEvents()
        self._connection.parsers = guarded(self._connection.parsers, self._connection, self.unreadable)

    @property
    def counts_by_itself(self) -> bool:
        """Whether Discord's recommended number of shards is used, because SHARD_COUNT is not set."""
        return self._given[0] is None

    def share_out(self, recommended: int, at_once: int = 1) -> None:
        """Set which shards are this process's; `at_once` of them may log in within five seconds."""
        count, ids = self._given
        self.shard_count = self._connection.shard_count = count or recommended
        self.shard_ids = list(ids or range(self.shard_count))
        self._connection.shard_ids = self.shard_ids
        self._at_once = at_once
        self.identifies = IdentifyLimiter(
            system_clock, ours=len(self.shard_ids), count=self.shard_count, at_once=at_once
        )
        self._shard_connections = [ShardConnection(self, shard_id) for shard_id in self.shard_ids]

    def waits_for(self, reason: str | None) -> None:
        """Set why no shard connects at the moment, for the operator; None while they do."""
        self._waits_for = reason

    def gateway_problem(self) -> str | None:
        """Return why the gateway is not connected, in words;

        None when all of this process's shards are up.
        """
        if self.is_up():
            return None
        if self._waits_for is not None:
            return self._waits_for
        return next((each.problem for each in self._shard_connections if not each.is_up()), None)

    def is_up(self) -> bool:
        """Whether all of this process's shards carry events at this moment."""
        return bool(self._shard_connections) and all(
            connection.is_up() for connection in self._shard_connections
        )

    async def connect(self, *, reconnect: bool = True) -> None:
        """Keep all shards connected until cancelled.

        Raises discord.ConnectionClosed for a close code after which no new attempt can succeed.
        """
        jobs = [asyncio.create_task(connection.run(), name="shard") for connection in self._shard_connections]
        try:
            await asyncio.gather(*jobs)
        finally:
            await cancel_all(*jobs)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Count the login that is sent now. Its slot was taken before the websocket was opened."""
        self.identifies.spend(shard_id or 0)

    def forget_guilds(self, shard_id: int) -> None:
        """Remove the servers of a shard, because a new session does not name those that were left."""
        for guild in [guild for guild in self.guilds if guild.shard_id == shard_id]:
            self._connection._remove_guild(guild)  # noqa: SLF001 - as Client does at READY, all at once


class ShardConnection:
    """One shard: its connection, and its session, which outlives connections."""

    def __init__(self, client: ShardedClient, shard_id: int) -> None:
        self._client = client
        self._id = shard_id
        self._latest: LenientWebSocket | None = None
        self._ready: asyncio.Future[Any] | None = None
        self._failures = 0
        self._name = "Discord's gateway" + (f" (shard {shard_id})" if client.shard_count > 1 else "")
        self._down_since = system_clock()
        self._why = "not yet"

    def is_up(self) -> bool:
        """Whether it is between READY or RESUMED and the connection's end."""
        return self._ready is not None and self._ready.done()

    @property
    def problem(self) -> str:
        """Why it is not connected, for the operator; without meaning while it is."""
        return (
            f"{self._name} is not connected since {to_datetime(self._down_since):%H:%M:%S} UTC ({self._why})"
        )

    async def run(self) -> None:
        """Keep the shard connected; never returns.

        Raises discord.ConnectionClosed for a close code after which no new attempt can succeed.
        """
        while True:
            opened = float("inf")
            try:
                socket = await self._open_session()
                opened = _now()
                await self._listen(socket)
            except ReconnectWebSocket as end:
                why = self._handle_close(end)
            except discord.ConnectionClosed as end:
                why = self._handle_refusal(end)
            except _UNREACHABLE as error:
                why = describe_error(error)
            except Exception as error:
                # An unreadable frame, or a bug: open a new connection, with back-off.
                self._client.unreadable.note("frame", error)
                why = "a frame cannot be read"
            if not self._ended_well(opened):
                await self._back_off(why)

    async def _open_session(self) -> LenientWebSocket:
        """Resume the session if there is one, else begin a new one in its slot."""
        latest = self._latest
        if latest is not None and latest.session_id is not None:
            socket = await self._websocket(
                resume=True, gateway=latest.gateway, session=latest.session_id, sequence=latest.sequence
            )
            self._ready = socket.wait_for("RESUMED", lambda _: True)
        else:
            async with self._client.identifies.slot(self._id):
                socket = await self._websocket()
            self._client.forget_guilds(self._id)
            self._ready = socket.wait_for("READY", lambda _: True)
        self._latest = socket
        return socket

    async def _websocket(self, **session: Any) -> LenientWebSocket:
        async with asyncio.timeout(_OPENING):
            socket = await LenientWebSocket.from_client(self._client, shard_id=self._id, **session)
        socket.events = self._client.unreadable
        return socket

    async def _listen(self, socket: LenientWebSocket) -> None:
        code = _CLOSE_RESUMABLE
        try:
            while True:
                await socket.poll_event()
        except asyncio.CancelledError:
            code = _CLOSE_NORMAL
            raise
        finally:
            await socket.close(code)

    def _handle_close(self, end: ReconnectWebSocket) -> str:
        if end.resume:
            return "closed"
        # Discord was reached. It has dropped the session, or another process took the slot. discord.py has
        # removed the session's id from the websocket.
        self._failures = 0
        return "session refused"

    def _handle_refusal(self, end: discord.ConnectionClosed) -> str:
        """Raise a close code that ends the process; for others, drop the session and return why."""
        if end.code in {AUTHENTICATION_FAILED, SHARDING_REQUIRED}:
            raise end
        self._latest = None
        return f"it closes with {end.code}"

    def _ended_well(self, opened: float) -> bool:
        """Whether the connection lasted long enough to be opened again at once."""
        was_up, self._ready = self.is_up(), None
        if was_up:
            self._down_since, self._why = system_clock(), "the connection ended"
        lasted = was_up and _now() - opened >= _LASTING
        self._failures = 0 if lasted else self._failures + 1
        return lasted

    async def _back_off(self, why: str) -> None:
        if self._failures >= _RESUMPTIONS:
            self._latest = None
        wait = retry_delay(self._failures, base=SECOND, cap=_MAX_RETRY_DELAY) / SECOND
        self._why = why
        logger.warning("no connection to %s (%s): trying again in %.0f s", self._name, why, wait)
        await asyncio.sleep(wait)


def _now() -> float:
    return asyncio.get_running_loop().time()


def shard_of(guild_id: int, count: int) -> int:
    """Return the shard of a server by Discord's rule (Gateway, "Sharding").

    Direct messages are on shard 0.
    """
    return (guild_id >> 22) % count
