"""Stores why the gateway is not connected, so that `doctor` can print it while the bot runs."""

import asyncio
import json
import logging
from dataclasses import dataclass

from bot.aio import wait_for_any
from bot.chat.gateway.shards import ShardedClient
from bot.core.clock import SECOND, Clock
from bot.core.errors import StorageUnavailable
from bot.storage.key_values import KeyValues

logger = logging.getLogger(__name__)

# One key for each process with a gateway: its first shard tells them apart.
GATEWAY_KEY = "gateway:"
_INTERVAL = 1.0
# Milliseconds. Every start and every resumed session is a moment without a gateway.
_WORTH_STORING = 30 * SECOND


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A gateway that is not connected: since when (UTC milliseconds), and why, for the operator."""

    since: int
    problem: str

    def to_text(self) -> str:
        """Return the text to store."""
        return json.dumps({"since": self.since, "problem": self.problem})

    @classmethod
    def from_text(cls, text: str) -> "GatewayState":
        """Read what `to_text` wrote."""
        stored = json.loads(text)
        return cls(stored["since"], stored["problem"])


class GatewayRecorder:
    """A job beside the gateway that stores its state."""

    def __init__(self, client: ShardedClient, key_values: KeyValues, clock: Clock) -> None:
        self._client = client
        self._key_values = key_values
        self._clock = clock
        self._recorded: str | None = ""
        self._down_since: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Check every second until `stop` is set, and store what has changed."""
        while not stop.is_set():
            await self._store_problem(self._lasting(self._client.gateway_problem()))
            await wait_for_any(stop, timeout=_INTERVAL)
        await self._store_problem(None)

    def _lasting(self, problem: str | None) -> str | None:
        """Return the problem once it has lasted long enough to be stored, else None."""
        if problem is None:
            self._down_since = None
            return None
        now = self._clock()
        self._down_since = now if self._down_since is None else self._down_since
        return problem if now - self._down_since >= _WORTH_STORING else None

    async def _store_problem(self, problem: str | None) -> None:
        if problem == self._recorded:
            return
        try:
            await self._key_values.put(self._key, self._text(problem))
        except StorageUnavailable as error:
            logger.info("the gateway's state is not stored: %s", error)
            return
        self._recorded = problem

    def _text(self, problem: str | None) -> str | None:
        if problem is None or self._down_since is None:
            return None
        return GatewayState(self._down_since, problem).to_text()

    @property
    def _key(self) -> str:
        return f"{GATEWAY_KEY}{min(self._client.shard_ids or [0])}"
