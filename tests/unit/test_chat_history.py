"""The look-up of our own message: found, absent, or not known, and never read twice without need."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bot.chat.history import MAX_PAGES, PAGE, look_up, snowflake
from bot.core.clock import DAY, MINUTE, SECOND
from bot.core.results import LookUp, ReadRange
from tests.factories import NOW

SINCE = NOW - DAY
OURS = "ours"


@dataclasses.dataclass
class History:
    """A channel's messages by the time at which they were written, and what was read of it."""

    times: list[int]
    ours: int | None = None  # the time of our own
    pages: list[int | None] = dataclasses.field(default_factory=list)

    async def read_page(self, before: int | None) -> Sequence[Any]:
        self.pages.append(before)
        older = [at for at in sorted(self.times, reverse=True) if before is None or snowflake(at) < before]
        return [{"id": str(snowflake(at)), "ours": at == self.ours} for at in older[:PAGE]]

    async def look_up(self, *, since: int = SINCE, read: ReadRange | None = None, pages: int = 5) -> LookUp:
        is_ours: Callable[[Any], bool] = lambda message: message["ours"]  # noqa: E731
        self.pages.clear()
        return await look_up(self.read_page, is_ours, since=since, now=NOW, read=read, max_pages=pages)


def every_second(count: int, *, until: int = NOW) -> list[int]:
    return [until - number * SECOND for number in range(count)]


@pytest.mark.parametrize("place", [0, PAGE - 1, PAGE, 3 * PAGE + 7, 5 * PAGE - 1])
async def test_own_message_is_found_on_any_page(place: int):
    """Up to the last one that is read."""
    times = every_second(6 * PAGE)
    history = History(times, ours=times[place])

    assert await history.look_up() == LookUp(message_id=snowflake(times[place]))
    assert len(history.pages) == place // PAGE + 1


async def test_message_older_than_the_first_attempt_proves_that_ours_is_absent():
    """Everything since then was read."""
    history = History([*every_second(150), *every_second(500, until=SINCE - 1)])

    assert await history.look_up() == LookUp(is_absent=True)
    assert len(history.pages) == 2


async def test_beginning_of_a_history_proves_that_ours_is_absent():
    """A new channel has nothing older."""
    assert await History(every_second(1)).look_up() == LookUp(is_absent=True)
    assert await History(every_second(PAGE)).look_up() == LookUp(is_absent=True)


async def test_empty_history_proves_nothing():
    """Without Read Message History Discord gives an empty list."""
    assert await History([]).look_up() == LookUp()


async def test_history_longer_than_the_bound_is_not_known_and_says_what_was_read():
    """But for the last ten minutes, in which a message may still appear."""
    times = every_second(2000)

    found = await History(times).look_up(pages=8)

    newest, oldest = snowflake(NOW - 10 * MINUTE), snowflake(times[8 * PAGE - 1])
    assert found == LookUp(read=ReadRange(newest, oldest))


async def test_busy_channel_whose_whole_reading_is_young_leaves_nothing_to_skip():
    """All of it is read again."""
    assert await History(every_second(2000)).look_up(pages=5) == LookUp()


async def test_next_look_up_goes_on_where_the_last_one_ended():
    """Ten thousand messages are read once, and what came since."""
    times = every_second(3000)
    history = History(times)
    first = await history.look_up(pages=8)
    assert first.read

    second = await history.look_up(read=first.read, pages=12)

    assert first.read.oldest in history.pages
    assert second.read
    assert second.read.oldest < first.read.oldest
    # Ten minutes are seven pages; the other five go on behind the range.
    assert second.read.oldest == snowflake(times[8 * PAGE - 1 + (12 - 7) * PAGE])


async def test_message_that_appeared_late_is_found_although_its_time_was_read():
    """Younger than ten minutes is read again."""
    times = every_second(3000)
    history = History(times)
    first = await history.look_up(pages=8)
    late = NOW - 5 * MINUTE - 1
    history.times.append(late)
    history.ours = late

    assert await history.look_up(read=first.read, pages=8) == LookUp(message_id=snowflake(late))


async def test_look_up_reads_a_hundred_pages_and_no_more():
    """A channel of a million messages holds no delivery for long."""
    reads = 0

    async def read_page(before: int | None) -> Sequence[Any]:
        nonlocal reads
        reads += 1
        newest = snowflake(NOW) if before is None else before
        return [{"id": str(newest - number - 1)} for number in range(PAGE)]

    found = await look_up(read_page, lambda _: False, since=SINCE, now=NOW)

    assert (reads, MAX_PAGES) == (100, 100)
    assert not found.is_absent
