"""What the bot takes from the run while an explorer is open: its clocks, its chance, its database."""

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

from bot.chat.gateway import membership
from bot.core import results
from bot.core.tasks import Claim
from bot.storage import queue, sqlite, store
from bot.storage.card_queue import CardQueue
from bot.storage.delivery_queue import DeliveryQueue
from bot.storage.queue import LeaseQueue
from bot.storage.task_queue import TaskQueue
from bot.work import poller, posting, telling, video_cache
from tests.explore.database import Engines
from tests.explore.discord_model import SEND, VIEW
from tests.explore.world import World

# The run that goes on.
Current = Callable[[], World]


def patches(current: Current, engines: Engines) -> list[Any]:
    """What takes the place of the bot's clocks, chance, database and view of the server."""

    def seconds() -> float:
        return asyncio.get_event_loop().time()

    clock = SimpleNamespace(monotonic=seconds, time=lambda: current().now() / 1000)
    chance = SimpleNamespace(randbits=lambda bits: random.getrandbits(bits), token_urlsafe=_token)
    return [
        *_shortcuts(current),
        mock.patch.object(sqlite, "_open_engine", engines.open),
        *(mock.patch.object(module, "time", clock) for module in (poller, posting, telling, video_cache)),
        *(mock.patch.object(module, "secrets", chance) for module in (queue, store, results)),
        mock.patch.object(
            membership, "rights_in_guild", lambda guild, c: guild.world.discord.channel(c).rights
        ),
        mock.patch.object(membership, "may_post", lambda guild, c, rights: rights & SEND and rights & VIEW),
    ]


def _shortcuts(current: Current) -> list[Any]:
    """Ask by plain SQL what the loops ask most often, because SQLAlchemy takes a hundred times as long.

    A claim is made only where a row is due, and `pull_back` only where a row is due too far ahead.
    """

    async def next_due(self: LeaseQueue) -> int | None:
        return current().observer.next_due_of(self._table.name)

    async def pull_back(self: LeaseQueue, now: int) -> int:
        if current().observer.is_due_after(self._table.name, now + self._max_ahead):
            return await real_pull_back(self, now)
        return 0

    def claim(real: Any) -> Any:
        async def wrapper(self: LeaseQueue, limit: int, now: int) -> Any:
            due = current().observer.next_due_of(self._table.name)
            return Claim(0, ()) if due is None or due > now else await real(self, limit, now)

        return wrapper

    async def finish(self: LeaseQueue, *arguments: Any, **named: Any) -> bool:
        if is_ours := await real_finish(self, *arguments, **named):
            return is_ours
        current().count("an outcome under a lost lease")
        return False

    real_finish = LeaseQueue._finish
    real_pull_back = LeaseQueue.pull_back
    return [
        mock.patch.object(LeaseQueue, "_finish", finish),
        mock.patch.object(LeaseQueue, "next_due", next_due),
        mock.patch.object(LeaseQueue, "pull_back", pull_back),
        *(mock.patch.object(q, "claim", claim(q.claim)) for q in (TaskQueue, DeliveryQueue, CardQueue)),
    ]


def _token(size: int) -> str:
    return f"{random.getrandbits(size * 8):0{size * 2}x}"[:20]
