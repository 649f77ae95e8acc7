"""Waiting for what must end, however often whoever waits is cancelled."""

import asyncio
import contextlib
from typing import Any


async def wait_out(job: "asyncio.Future[Any]") -> None:
    """Returns when `job` is done, and takes a cancellation for nothing: the caller raises its own.

    Its error counts as looked at: a caller that was cancelled wants no other.
    """
    while not job.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([job])
    if not job.cancelled():
        job.exception()
