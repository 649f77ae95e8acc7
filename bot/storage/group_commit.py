"""Commits units of work that wait at the same time together, because each commit waits for the disk."""

import asyncio
from typing import Any, Generic

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.storage.engine import Result, Work


class GroupCommit:
    """Runs units of work one after the other, in one transaction for all that wait when it begins.

    A unit that fails undoes its own changes only. A commit that fails fails every unit of its group.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._waiting: list[_Unit[Any]] = []

    async def run(self, work: Work[Result]) -> Result:
        """Return the result of `work`, once it is committed. Raises what `work` or the commit raises."""
        unit = _Unit(work)
        self._waiting.append(unit)
        async with self._turn:
            if not unit.ended.done():
                await self._commit_waiting()
        return unit.ended.result()

    async def _commit_waiting(self) -> None:
        units, self._waiting = self._waiting, []
        try:
            async with self._engine.begin() as connection:
                for unit in units:
                    await unit.run(connection, alone=len(units) == 1)
        except BaseException as error:
            for unit in units:
                unit.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            for unit in units:
                unit.end()


class _Unit(Generic[Result]):
    """One unit of work and its outcome; `ended` is set when its group ends."""

    def __init__(self, work: Work[Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self.ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    async def run(self, connection: AsyncConnection, *, alone: bool) -> None:
        """Run the work. Raises only what ends the whole group; other errors are kept for `end`."""
        if alone:
            self._results.append(await self._work(connection))
            return
        try:
            async with connection.begin_nested():
                self._results.append(await self._work(connection))
        except Exception as error:
            self._error = error
            if not await _is_in_transaction(connection):
                raise

    def fail(self, error: BaseException) -> None:
        """Set the group's error, unless this unit has one, which says more."""
        self._error = self._error or error

    def end(self) -> None:
        """Give the result or the error to the caller."""
        if self._error is not None:
            self.ended.set_exception(self._error)
        else:
            self.ended.set_result(self._results[0])


async def _is_in_transaction(connection: AsyncConnection) -> bool:
    """Whether the transaction is still open. At errors such as a full disk SQLite rolls back all of it."""
    try:
        driver = (await connection.get_raw_connection()).driver_connection
    except sa.exc.SQLAlchemyError:
        return False
    return driver is not None and bool(driver.in_transaction)
