"""Housekeeping: what is nobody's goes, and a failed round is no reason to stop."""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

import pytest

from bot.core.clock import DAY
from bot.core.errors import StorageUnavailable
from bot.work.housekeeping import Housekeeper, forget_departed, tidy_videos
from tests.timing import FakeClock, eventually


class House:
    """Store and shelf in one, with an error for each round that a test wants to fail."""

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
def house() -> House:
    return House()


@pytest.fixture
def keeper(house: House, clock: FakeClock) -> Housekeeper:
    chores = [partial(forget_departed, house, clock), partial(tidy_videos, house, house, clock)]
    return Housekeeper([*chores, house.recheck], every=0.01)


async def one_round(keeper: Housekeeper, house: House) -> None:
    """At least: the last chore of a round is the look at closed ways."""
    stop = asyncio.Event()
    running = asyncio.create_task(keeper.run(stop))
    await eventually(lambda: house.rechecked)
    stop.set()
    await running


async def test_round_forgets_servers_after_a_month_and_keeps_what_is_owed(
    keeper: Housekeeper, house: House, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)

    await one_round(keeper, house)

    assert house.purged[0] == (clock() - 30 * DAY, clock())
    assert house.kept[0] == {"owed"}
    assert "removed 2 videos that nobody took" in caplog.text


@pytest.mark.parametrize("error", [StorageUnavailable("locked"), KeyError("bug")], ids=["trouble", "bug"])
async def test_round_that_fails_is_followed_by_the_next(keeper: Housekeeper, house: House, error: Exception):
    """And by its other chores."""
    house.errors.append(error)
    stop = asyncio.Event()

    running = asyncio.create_task(keeper.run(stop))
    await eventually(lambda: len(house.purged) >= 2)
    stop.set()
    await running

    assert house.kept
