"""Housekeeping removes what is no longer needed, and a failed round does not stop it."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pytest

from bot.core.clock import DAY
from bot.core.errors import StorageUnavailable
from bot.work.housekeeping import Chore, purge_left_guilds, run_chores, tidy_videos
from tests.timing import FakeClock, eventually


class HousekeepingEnv:
    """Store and video cache in one, with an error for each round that a test lets fail."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.purged: list[tuple[int, int]] = []
        self.kept: list[set[str]] = []
        self.rechecked = 0

    async def purge(self, before: int, now: int) -> int:
        self.purged.append((before, now))
        if self.errors:
            raise self.errors.pop()
        return 1

    async def tasks_to_keep(self, now: int) -> set[str]:
        return {"owed"}

    async def recheck(self) -> None:
        self.rechecked += 1

    async def tidy(self, keep: Iterable[str]) -> int:
        self.kept.append(set(keep))
        return 2


@pytest.fixture
def env() -> HousekeepingEnv:
    return HousekeepingEnv()


@pytest.fixture
def chores(env: HousekeepingEnv, clock: FakeClock) -> Sequence[Chore]:
    scripted: Any = env
    return [
        partial(purge_left_guilds, scripted, clock),
        partial(tidy_videos, scripted, scripted, clock),
        env.recheck,
    ]


async def one_round(chores: Sequence[Chore], env: HousekeepingEnv) -> None:
    """Runs at least one round: its last chore rechecks the undeliverable results."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_chores(chores, 0.01, stop))
    await eventually(lambda: env.rechecked)
    stop.set()
    await running


async def test_round_purges_servers_after_a_month_and_keeps_needed_videos(
    chores: Sequence[Chore], env: HousekeepingEnv, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)

    await one_round(chores, env)

    assert env.purged[0] == (clock() - 30 * DAY, clock())
    assert env.kept[0] == {"owed"}
    assert "removed 2 videos that no channel is owed" in caplog.text


@pytest.mark.parametrize("error", [StorageUnavailable("locked"), KeyError("bug")], ids=["try later", "bug"])
async def test_chore_that_fails_stops_neither_its_round_nor_the_next(
    chores: Sequence[Chore], env: HousekeepingEnv, error: Exception
):
    env.errors.append(error)
    stop = asyncio.Event()

    running = asyncio.create_task(run_chores(chores, 0.01, stop))
    await eventually(lambda: len(env.purged) >= 2)
    stop.set()
    await running

    assert env.kept
