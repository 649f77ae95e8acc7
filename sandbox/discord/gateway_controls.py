"""What tests see of the gateway, and what they do to it: a part of `StandInDiscord`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.discord.account_routes import AccountRoutes
    from sandbox.discord.gateway import Gateway, Shard


class GatewayControls:
    _gateway: Gateway
    _account: AccountRoutes

    @property
    def connected(self) -> bool:
        return self._gateway.connected

    @property
    def connected_shards(self) -> set[int]:
        """The ids of the shards that have a session with a connection."""
        return self._gateway.connected_shards

    @property
    def sessions(self) -> int:
        """How many sessions are connected or can be resumed."""
        return self._gateway.sessions

    @property
    def identified(self) -> list[Shard]:
        """The shard of every session so far, in the order of their IDENTIFY."""
        return self._gateway.identified

    @property
    def identifies(self) -> int:
        return len(self._gateway.identified)

    @property
    def resumes(self) -> int:
        return self._gateway.resumes

    def alter_events(self, change: Callable[[str, Any], Any]) -> None:
        """Have every event's data changed before it is sent: `change(name, data)` returns what is sent."""
        self._gateway.alter = change

    def send_event(self, name: str, data: Any) -> None:
        """Send an event with this data to every connected session."""
        self._gateway.broadcast(name, data)

    def send_frame(self, text: str) -> None:
        """Send a frame that need not be JSON."""
        self._gateway.send_frame(text)

    def refuse_connections(self, times: int) -> None:
        """Answer the next `times` websocket requests with 503."""
        self._gateway.refusals = times

    def refuse_shard(self, shard_id: int, code: int) -> None:
        """From now on, close the websocket with this code when this shard identifies."""
        self._gateway.refused[shard_id] = code

    @property
    def shards(self) -> int:
        """How many shards Discord recommends (GET /gateway/bot)."""
        return self._account.shards

    @shards.setter
    def shards(self, count: int) -> None:
        self._account.shards = count

    @property
    def required_shards(self) -> int:
        """A session that identifies with fewer shards is closed with 4011."""
        return self._gateway.required_shards

    @required_shards.setter
    def required_shards(self, count: int) -> None:
        self._gateway.required_shards = count

    @property
    def session_starts(self) -> dict[str, int]:
        """The `session_start_limit` of GET /gateway/bot: IDENTIFYs left, and milliseconds until the reset."""
        return self._account.session_starts

    async def disconnect_gateway(self, code: int = 4000, *, shard: int | None = None) -> None:
        """Close every connection with this code, or those of one shard."""
        await self._gateway.disconnect(code, shard)

    async def ask_reconnect(self) -> None:
        """Send opcode 7 (reconnect) on every connection."""
        self._gateway.ask_reconnect()

    def forget_sessions(self) -> None:
        """Make every later resume fail, so that clients identify again."""
        self._gateway.forget_sessions()
