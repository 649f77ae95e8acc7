"""Discord's gateway: a websocket per shard, opened, resumed and begun anew for as long as the process runs.

discord.py 2.7.1 connects shards, too (shard.py), and there a first connection that fails is tried for ever
with a traceback each, no close code is looked at before all shards are launched, a shard that cannot connect
holds up the others, and an outage costs a new session instead of a resumed one. Its state, its events and its
websocket are used here; only what decides when to connect is ours.
"""

import asyncio
import logging
from typing import Any

import aiohttp
import discord
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from bot.aio import cancel_all
from bot.chat.gateway.identify import APART, IdentifyLimiter
from bot.chat.responses import describe_error
from bot.core.backoff import retry_delay
from bot.core.clock import MINUTE, SECOND, system_clock
from bot.core.errors import DependencyDown

logger = logging.getLogger(__name__)

# With a back-off of seconds between them. After them the process ends, and its supervisor restarts it.
_FIRST_ATTEMPTS = 4
# Two minutes with the back-off: by then Discord has forgotten the session, or its own address is gone.
_RESUMPTIONS = 8
_MAX_RETRY_DELAY = MINUTE
# A session that ends sooner did not work: it is no reason to be back at once.
_LASTING = 5.0
_OPENING = 60.0
_UNREACHABLE = (OSError, aiohttp.ClientError)
_CLOSE_NORMAL, _CLOSE_RESUMABLE = 1000, 4000


class ShardedClient(discord.AutoShardedClient):
    """Knows its shards once `share_out` was called. AutoShardedClient's own `shards` stay empty."""

    shard_count: int
    shard_ids: list[int]

    def __init__(self, *, shard_count: int | None, shard_ids: tuple[int, ...], **options: Any) -> None:
        super().__init__(**options)
        self._given = shard_count, shard_ids
        self._shard_connections: list[ShardConnection] = []
        self.identify_wait = 0.0

    @property
    def counts_by_itself(self) -> bool:
        """Whether Discord's recommendation is followed, and no SHARD_COUNT."""
        return self._given[0] is None

    def share_out(self, recommended: int, at_once: int = 1) -> None:
        """Settles which shards are this process's; `at_once` of them may log in within five seconds."""
        count, ids = self._given
        self.shard_count = self._connection.shard_count = count or recommended
        self.shard_ids = list(ids or range(self.shard_count))
        self._connection.shard_ids = self.shard_ids
        self._at_once = at_once
        self.identifies = IdentifyLimiter(
            system_clock, ours=len(self.shard_ids), count=self.shard_count, at_once=at_once
        )
        self._shard_connections = [ShardConnection(self, shard_id) for shard_id in self.shard_ids]

    @property
    def logins_take(self) -> float:
        """Seconds until every shard may have logged in. All processes share the identify limit."""
        return self.identify_wait + APART * (self.shard_count - 1) / self._at_once

    def is_up(self) -> bool:
        """Whether all of this process's shards carry events at this moment."""
        return bool(self._shard_connections) and all(
            connection.is_up() for connection in self._shard_connections
        )

    async def connect(self, *, reconnect: bool = True) -> None:
        """Until cancelled. Raises discord.ConnectionClosed (what no new attempt mends), DependencyDown."""
        jobs = [asyncio.create_task(connection.run(), name="shard") for connection in self._shard_connections]
        try:
            await asyncio.gather(*jobs)
        finally:
            await cancel_all(*jobs)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Count the login, which is sent now: its slot was waited for before the websocket was opened."""
        self.identifies.spend(shard_id or 0)

    def forget_guilds(self, shard_id: int) -> None:
        """Remove the servers of a shard: a new session lists those that exist, not those that were left."""
        for guild in [guild for guild in self.guilds if guild.shard_id == shard_id]:
            self._connection._remove_guild(guild)  # noqa: SLF001 - as Client does at READY, all at once


class ShardConnection:
    """One shard: its connection, and its session, which outlives connections."""

    def __init__(self, client: ShardedClient, shard_id: int) -> None:
        self._client = client
        self._id = shard_id
        self._latest: DiscordWebSocket | None = None
        self._ready: asyncio.Future[Any] | None = None
        self._ever_connected = False
        self._failures = 0

    def is_up(self) -> bool:
        """From READY or RESUMED to the connection's end."""
        return self._ready is not None and self._ready.done()

    async def run(self) -> None:
        """Never returns. Raises discord.ConnectionClosed, DependencyDown."""
        while True:
            opened = float("inf")
            try:
                socket = await self._open()
                opened = _now()
                await self._listen(socket)
            except ReconnectWebSocket as end:
                why = self._closed(end)
            except _UNREACHABLE as error:
                why = describe_error(error)
            if not self._ended_well(opened):
                await self._back_off(why)

    async def _open(self) -> DiscordWebSocket:
        """Resume the session if there is one, else begin a new one when its slot comes."""
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

    async def _websocket(self, **session: Any) -> DiscordWebSocket:
        async with asyncio.timeout(_OPENING):
            return await DiscordWebSocket.from_client(self._client, shard_id=self._id, **session)

    async def _listen(self, socket: DiscordWebSocket) -> None:
        code = _CLOSE_RESUMABLE
        try:
            while True:
                await socket.poll_event()
        except asyncio.CancelledError:
            code = _CLOSE_NORMAL
            raise
        finally:
            await socket.close(code)

    def _closed(self, end: ReconnectWebSocket) -> str:
        if end.resume:
            return "closed"
        # It was reached. (The session is forgotten there, or another process took the slot; discord.py
        # has taken its id from the websocket.)
        self._failures = 0
        return "session refused"

    def _ended_well(self, opened: float) -> bool:
        """Whether the connection served its time: then it may be opened again at once."""
        was_up, self._ready = self.is_up(), None
        self._ever_connected |= was_up
        lasted = was_up and _now() - opened >= _LASTING
        self._failures = 0 if lasted else self._failures + 1
        return lasted

    async def _back_off(self, why: str) -> None:
        what = "Discord's gateway" + (f" (shard {self._id})" if self._client.shard_count > 1 else "")
        if self._failures >= _FIRST_ATTEMPTS and not self._ever_connected:
            raise DependencyDown(f"{what} cannot be reached ({why})")
        if self._failures >= _RESUMPTIONS:
            self._latest = None
        wait = retry_delay(self._failures, base=SECOND, cap=_MAX_RETRY_DELAY) / SECOND
        logger.warning("no connection to %s (%s): trying again in %.0f s", what, why, wait)
        await asyncio.sleep(wait)


def _now() -> float:
    return asyncio.get_running_loop().time()


def shard_of(guild_id: int, count: int) -> int:
    """The shard of a server by Discord's rule (Gateway, "Sharding"). Direct messages are on shard 0."""
    return (guild_id >> 22) % count
