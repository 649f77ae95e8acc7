"""Download slots: fairness between users, and slow downloads that make room for others."""

import asyncio
import time

import pytest

from bot.work.download_slots import DownloadSlots, Progress, Slots
from sandbox.patience import PATIENCE

ALICE, BOB = 1, 2


class Downloads:
    """Downloads that a test ends explicitly, and a count of those in progress."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.started: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.changed = asyncio.Event()

    async def fetch(self, name: str, received: Progress, *, size: int = 0) -> str:
        self.started.append(name)
        self.running.append(name)
        received(0)
        received(size)
        self.changed.set()
        try:
            await self.ends.setdefault(name, asyncio.Event()).wait()
        finally:
            self.running.remove(name)
            self.changed.set()
        return name

    def end(self, name: str) -> None:
        self.ends.setdefault(name, asyncio.Event()).set()

    async def until_running(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while sorted(self.running) != sorted(names):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def downloads() -> Downloads:
    return Downloads()


def start(
    slots: DownloadSlots, downloads: Downloads, name: str, person: int = ALICE, *, size: int = 0
) -> asyncio.Task[str]:
    return asyncio.create_task(slots.run(person, lambda received: downloads.fetch(name, received, size=size)))


async def test_no_more_downloads_run_than_there_are_slots(downloads: Downloads):
    """The next one starts when a slot is free."""
    slots = DownloadSlots(fast=2, patience_in_a_queue=60)
    jobs = [start(slots, downloads, name) for name in "abc"]
    await downloads.until_running("a", "b")

    downloads.end("a")

    await downloads.until_running("b", "c")
    downloads.end("b")
    downloads.end("c")
    assert await asyncio.gather(*jobs) == ["a", "b", "c"]


async def test_user_with_half_of_the_slots_waits_for_others(downloads: Downloads):
    """Bob's download starts before three of Alice's that were queued earlier."""
    slots = DownloadSlots(fast=2, patience_in_a_queue=60)
    jobs = [start(slots, downloads, name, ALICE) for name in ("a1", "a2", "a3", "a4")]
    await downloads.until_running("a1", "a2")
    jobs.append(start(slots, downloads, "b1", BOB))
    await asyncio.sleep(0)

    downloads.end("a1")

    await downloads.until_running("a2", "b1")
    for name in ("a2", "b1", "a3", "a4"):
        downloads.end(name)
    assert len(await asyncio.gather(*jobs)) == 5


async def test_user_may_use_every_slot_if_no_other_user_waits(downloads: Downloads):
    slots = DownloadSlots(fast=4, patience_in_a_queue=60)
    jobs = [start(slots, downloads, name) for name in "abcd"]

    await downloads.until_running("a", "b", "c", "d")

    for name in "abcd":
        downloads.end(name)
    assert len(await asyncio.gather(*jobs)) == 4


async def test_slow_download_makes_room_and_goes_on_in_a_slow_slot(downloads: Downloads):
    """It is interrupted and called again; the downloader resumes its partial file."""
    slots = DownloadSlots(fast=1, slow=1, min_speed=1 << 30, patience_in_a_queue=0.01)
    slow = start(slots, downloads, "slow")
    await downloads.until_running("slow")

    good = start(slots, downloads, "good", BOB)

    await downloads.until_running("slow", "good")
    assert downloads.started == ["slow", "slow", "good"] or downloads.started == ["slow", "good", "slow"]
    downloads.end("slow")
    downloads.end("good")
    assert [await slow, await good] == ["slow", "good"]


async def test_slow_download_moves_to_a_slow_slot_also_if_none_waits(downloads: Downloads):
    """So that the next download finds a free slot."""
    slots = DownloadSlots(fast=1, slow=1, min_speed=1 << 30, patience=0.01)
    slow = start(slots, downloads, "slow")

    async with asyncio.timeout(PATIENCE):
        while downloads.started != ["slow", "slow"]:
            downloads.changed.clear()
            await downloads.changed.wait()

    downloads.end("slow")
    assert await slow == "slow"


async def test_fast_download_keeps_its_slot(downloads: Downloads):
    """Also while many wait: its speed is measured three times."""
    looked, looks = asyncio.Event(), 0

    def seconds() -> float:
        nonlocal looks
        looks += 1
        if looks == 8:
            looked.set()
        return time.monotonic()

    slots = DownloadSlots(
        fast=1, slow=1, min_speed=1, patience=0.01, patience_in_a_queue=0.01, seconds=seconds
    )
    fast = start(slots, downloads, "fast", size=1 << 40)
    await downloads.until_running("fast")
    waiting = start(slots, downloads, "waiting", BOB)

    await looked.wait()

    assert downloads.started == ["fast"]
    downloads.end("fast")
    downloads.end("waiting")
    assert [await fast, await waiting] == ["fast", "waiting"]


async def test_failed_download_frees_its_slot(downloads: Downloads):
    """Its error reaches the caller."""
    slots = DownloadSlots(fast=1)

    async def fail(_: Progress) -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await slots.run(ALICE, fail)

    job = start(slots, downloads, "next")
    await downloads.until_running("next")
    downloads.end("next")
    assert await job == "next"


async def test_cancelled_waiter_takes_no_slot(downloads: Downloads):
    """The next waiter gets the slot."""
    slots = Slots(1)
    entered = asyncio.Event()

    async def hold() -> None:
        async with slots.take(ALICE):
            entered.set()
            await asyncio.Event().wait()

    first, second, third = (asyncio.create_task(hold()) for _ in range(3))
    await entered.wait()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    entered.clear()

    first.cancel()

    async with asyncio.timeout(PATIENCE):
        await entered.wait()
    assert not slots.is_contended
    third.cancel()
    await asyncio.gather(first, third, return_exceptions=True)
