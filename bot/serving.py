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


class Loop(Protocol):
    """Whatever runs until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None: ...


async def serve(client: CourierClient, loops: Sequence[Loop], stop: asyncio.Event) -> None:
    """Connects, then runs `loops` until `stop` is set. Raises whatever one of them died of."""
    connection = asyncio.create_task(connect(client), name="gateway")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        if await _is_ready(client, connection, stopping):
            await _run(client, loops, connection, stopping, stop)
        else:
            await _shut_down(set(), connection, stop)
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


async def _is_ready(
    client: CourierClient, connection: asyncio.Task[None], stopping: asyncio.Task[Any]
) -> bool:
    """False: there is nothing to run, for the process ends before the first READY."""
    ready = asyncio.create_task(client.connected.wait(), name="ready")
    patience = _FIRST_CONNECTION + client.identify_wait
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
    loops: Sequence[Loop],
    connection: asyncio.Task[None],
    stopping: asyncio.Task[Any],
    stop: asyncio.Event,
) -> None:
    jobs = {asyncio.create_task(loop.run(stop), name="loop") for loop in loops}
    watching = asyncio.create_task(watch(client), name="watchdog")
    await asyncio.wait(jobs | {connection, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        # Nothing that Discord was asked for ends any more: there is nothing to wait for.
        for job in (*jobs, connection):
            job.cancel()
        await asyncio.gather(*jobs, connection, return_exceptions=True)
        await watching
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await _shut_down(jobs, connection, stop)


async def _shut_down(
    loops: set[asyncio.Task[None]], connection: asyncio.Task[None], stop: asyncio.Event
) -> None:
    asked_to = stop.is_set()
    if asked_to:
        logger.info("stopping: no new work is taken")
    stop.set()
    outcomes = await asyncio.gather(*loops, return_exceptions=True)
    # The gateway stays up until here: buttons and commands are still answered while uploads finish.
    if connection.done():
        outcomes.append(connection.exception())
    else:
        connection.cancel()
        await asyncio.gather(connection, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    if not asked_to:
        raise RuntimeError("a loop ended without being told to")
