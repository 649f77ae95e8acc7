"""Runs side by side what must not die quietly: the first to end ends the process."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from bot.chat.client import CourierClient
from bot.chat.connection import connect
from bot.chat.watchdog import watch
from bot.core.errors import DependencyDown

logger = logging.getLogger(__name__)

_FIRST_CONNECTION = 60.0


class Job(Protocol):
    """Whatever runs until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None: ...


async def serve(
    client: CourierClient, jobs: Sequence[Job], stop: asyncio.Event, *, has_gateway: bool
) -> None:
    """Connects, if the process is to have a gateway, then runs `jobs` until `stop` is set.

    Raises whatever one of them died of.
    """
    connection = asyncio.create_task(connect(client), name="gateway") if has_gateway else None
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        if connection is None:
            logger.info("ready without a gateway: polling and delivering as %s", client.user)
        if connection is None or await _is_ready(client, connection, stopping):
            await _run(client, jobs, connection, stopping, stop)
        else:
            await _shut_down(set(), connection, stop)
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


async def _is_ready(
    client: CourierClient, connection: asyncio.Task[None], stopping: asyncio.Task[Any]
) -> bool:
    """False: there is nothing to run, for the process ends before every shard had its READY."""
    ready = asyncio.create_task(client.connected.wait(), name="ready")
    patience = _FIRST_CONNECTION + client.logins_take
    try:
        done, _ = await asyncio.wait(
            {connection, ready, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        ready.cancel()
        await asyncio.gather(ready, return_exceptions=True)
    if not done:
        raise DependencyDown(f"Discord's gateway did not let us in within {patience:g} s")
    return not connection.done() and not stopping.done()


async def _run(
    client: CourierClient,
    jobs: Sequence[Job],
    connection: asyncio.Task[None] | None,
    stopping: asyncio.Task[Any],
    stop: asyncio.Event,
) -> None:
    running = {asyncio.create_task(job.run(stop), name="job") for job in jobs}
    connections = set() if connection is None else {connection}
    watching = asyncio.create_task(watch(client), name="watchdog")
    await asyncio.wait(running | connections | {watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        # Nothing that Discord was asked for ends any more: there is nothing to wait for.
        for task in running | connections:
            task.cancel()
        await asyncio.gather(*running, *connections, return_exceptions=True)
        await watching
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await _shut_down(running, connection, stop)


async def _shut_down(
    running: set[asyncio.Task[None]], connection: asyncio.Task[None] | None, stop: asyncio.Event
) -> None:
    asked_to = stop.is_set()
    if asked_to:
        logger.info("stopping: no new work is taken")
    stop.set()
    outcomes = await asyncio.gather(*running, return_exceptions=True)
    # The gateway stays up until here: buttons and commands are still answered while uploads finish.
    if connection is not None:
        outcomes.append(await _disconnect(connection))
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    if not asked_to:
        raise RuntimeError("a job ended without being told to")


async def _disconnect(connection: asyncio.Task[None]) -> BaseException | None:
    """What it had died of, if it had."""
    if connection.done():
        return connection.exception()
    connection.cancel()
    await asyncio.gather(connection, return_exceptions=True)
    return None
