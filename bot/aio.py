"""Waiting with asyncio: to the end even if cancelled, for the first of several things, until a stop."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def finish(work: Awaitable[Result]) -> Result:
    """Await `work` to its end, even if the caller is cancelled; the cancellation is raised after it.

    For work that must not be interrupted: a transaction, a write to the disk, a child process.
    """
    job = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await wait_until_done(job)
        raise


async def wait_until_done(job: "asyncio.Future[Any]") -> None:
    """Wait for `job`, ignoring cancellation of the waiter; the caller re-raises it.

    The exception of `job` is retrieved, because a cancelled caller raises its own.
    """
    while not job.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([job])
    retrieve_exception(job)


def retrieve_exception(job: "asyncio.Future[Any]") -> None:
    """Retrieve the exception of a finished job, so asyncio does not log 'exception was never retrieved'."""
    if not job.cancelled():
        job.exception()


async def wait_for_event(event: asyncio.Event, *, timeout: float | None = None) -> bool:
    """Whether `event` was set within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def wait_for_any(*waits: "asyncio.Event | asyncio.Future[Any]", timeout: float | None = None) -> bool:
    """Whether an event was set or a job was done within `timeout` seconds. The jobs go on."""
    events = {asyncio.create_task(wait.wait()) for wait in waits if isinstance(wait, asyncio.Event)}
    jobs = {wait for wait in waits if not isinstance(wait, asyncio.Event)}
    try:
        done, _ = await asyncio.wait(events | jobs, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(*events)
    return bool(done)


async def run_unless(stop: asyncio.Event, work: Awaitable[Result]) -> Result | None:
    """Return the result of `work`, or None when `stop` was set first; `work` is then cancelled."""
    job = asyncio.ensure_future(work)
    try:
        await wait_for_any(job, stop)
        return job.result() if job.done() else None
    finally:
        await cancel_all(job)


async def cancel_all(*jobs: "asyncio.Future[Any]") -> None:
    """Cancel jobs and wait until they have ended. Their exceptions are dropped."""
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
