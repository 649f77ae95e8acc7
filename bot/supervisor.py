"""Runs the jobs of the process side by side. When one ends the process ends, so none can die unnoticed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from bot.aio import cancel_all, wait_for_any
from bot.chat.client import CourierClient
from bot.chat.gateway.watchdog import watch

logger = logging.getLogger(__name__)

# A job runs until the event is set.
Job = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
# Keeps the gateway connected until cancelled.
Gateway = Callable[[], Coroutine[Any, Any, None]]


async def supervise(
    client: CourierClient, jobs: Sequence[Job], stop: asyncio.Event, *, gateway: Gateway | None
) -> None:
    """Run `jobs` until `stop` is set, and the gateway beside them, if the process has one.

    Raises the exception of a job that failed.
    """
    connection = None if gateway is None else asyncio.create_task(gateway(), name="gateway")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    if connection is None:
        logger.info("ready without a gateway: polling and delivering as %s", client.user)
    try:
        await _run_jobs(client, jobs, connection, stopping, stop)
    finally:
        await cancel_all(stopping)


async def _run_jobs(
    client: CourierClient,
    jobs: Sequence[Job],
    connection: asyncio.Task[None] | None,
    stopping: asyncio.Task[Any],
    stop: asyncio.Event,
) -> None:
    running = {asyncio.create_task(job(stop), name="job") for job in jobs}
    connections = set() if connection is None else {connection}
    watching = asyncio.create_task(watch(client), name="watchdog")
    await wait_for_any(*running, *connections, watching, stopping)
    if watching.done():
        # No call to Discord comes back, so there is nothing to wait for.
        await cancel_all(*running, *connections)
        await watching
    await cancel_all(watching)
    await _shut_down(running, connection, stop)


async def _shut_down(
    running: set[asyncio.Task[None]], connection: asyncio.Task[None] | None, stop: asyncio.Event
) -> None:
    is_requested = stop.is_set()
    if is_requested:
        logger.info("stopping: no new work is taken")
    stop.set()
    outcomes = await asyncio.gather(*running, return_exceptions=True)
    # Closed last, because buttons and commands are still answered while uploads finish.
    if connection is not None:
        outcomes.append(await _disconnect(connection))
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    if not is_requested:
        raise RuntimeError("a job ended although no stop was requested")


async def _disconnect(connection: asyncio.Task[None]) -> BaseException | None:
    """Close the connection; returns the exception that had ended it."""
    if connection.done():
        return connection.exception()
    await cancel_all(connection)
    return None
