"""Looks in a channel's history for a message of ours that an earlier attempt may have left there."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bot.core.clock import MINUTE
from bot.core.results import LookUp, ReadRange

PAGE = 100  # Discord gives no more at once
MAX_PAGES = 100
# A message may appear in the history later than it was taken: what is younger is read again the next time.
_MAY_APPEAR = 10 * MINUTE
_DISCORD_EPOCH = 1_420_070_400_000
# The messages of a channel before an id (None: the newest), newest first, at most PAGE.
ReadPage = Callable[[int | None], Awaitable[Sequence[Any]]]


def snowflake(at: int) -> int:
    """The lowest message id of a moment (UTC milliseconds)."""
    return max(at - _DISCORD_EPOCH, 0) << 22


async def look_up(
    read_page: ReadPage,
    is_ours: Callable[[Any], bool],
    *,
    since: int,
    now: int,
    read: ReadRange | None = None,
    max_pages: int = MAX_PAGES,
) -> LookUp:
    """Read backwards from the newest message to the time `since`, or as far as `max_pages` go.

    `read` is what an earlier look-up has read: it is left out. Absent means that a message at or before that
    time was seen, or the beginning of a history that is not empty: an empty one may also be one that we may
    not read.
    """
    newest: int | None = None
    before: int | None = None
    for _ in range(max_pages):
        page = await read_page(before)
        for message in page:
            if is_ours(message):
                return LookUp(message_id=int(message["id"]))
        if page:
            newest = int(page[0]["id"]) if newest is None else newest
            before = int(page[-1]["id"])
        if len(page) < PAGE or (before is not None and before < snowflake(since)):
            return LookUp(is_absent=newest is not None)
        before = _skipped(before, read)
    assert newest is not None and before is not None  # noqa: S101, PT018 - all pages were full
    certain = min(newest, snowflake(now - _MAY_APPEAR))
    return LookUp(read=ReadRange(certain, before) if certain > before else None)


def _skipped(before: int | None, read: ReadRange | None) -> int | None:
    """Where to go on: below what was read before, once that is reached."""
    if read is not None and before is not None and read.oldest < before <= read.newest:
        return read.oldest
    return before
