"""Claiming due rows by lease: the same four statements for tasks, deliveries and cards.

A row is due when its `due_at` has come. Claiming writes a new lease number and moves `due_at` to the end
of the lease, in one statement, so a row whose holder died becomes due again by itself.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.engine import Database
from bot.storage.rows import AnyRow

# Bound parameters of one IN list; SQLite allows 32,766 and PostgreSQL more.
_MOST_IN_ONE_LIST = 10_000
# When a statement that was made once is run.
NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)


class LeaseQueue:
    """One table with `id`, `due_at` and `lease`. Times and spans in milliseconds.

    `only` keeps rows out that are due but cannot be worked on yet.
    """

    def __init__(
        self,
        database: Database,
        table: sa.Table,
        *,
        lease_time: int,
        only: sa.ColumnElement[bool] | None = None,
    ) -> None:
        self._database = database
        self._table = table
        self._lease_time = lease_time
        self._workable = sa.true() if only is None else only

    def claiming(
        self,
        returning: Sequence[sa.ColumnElement[Any]],
        *,
        only: sa.ColumnElement[bool] | None = None,
        first: sa.ColumnElement[Any] | None = None,
        **changes: Any,
    ) -> sa.UpdateBase:
        """The statement for `claim`, made once: making it takes longer than running it.

        The least by `first` come first, then the longest due. `NOW` may stand in all of them.
        SKIP LOCKED is PostgreSQL's; SQLite has one writer at a time and leaves it out.
        """
        table = self._table
        due = (
            sa.select(table.c.id)
            .where(table.c.due_at <= NOW, self._workable)
            .order_by(*(() if first is None else (first,)), table.c.due_at)
            .limit(sa.bindparam("most", type_=sa.BigInteger))
        )
        if only is not None:
            due = due.where(only)
        # A CTE, as PostgreSQL runs one that locks exactly once; a subquery it may run again, past its limit.
        chosen = due.with_for_update(skip_locked=True, of=table).cte("due")
        return (
            sa.update(table)
            .where(table.c.id.in_(sa.select(chosen.c.id)))
            .values(lease=sa.bindparam("new_lease"), due_at=sa.bindparam("lease_end"), **changes)
            .returning(*returning)
        )

    async def claim(
        self, connection: AsyncConnection, claiming: sa.UpdateBase, limit: int, now: int
    ) -> tuple[int, Sequence[AnyRow]]:
        """The lease number and up to `limit` due rows."""
        lease = secrets.randbits(62) + 1
        values = {"now": now, "most": limit, "new_lease": lease, "lease_end": now + self._lease_time}
        return lease, (await connection.execute(claiming, values)).all()

    async def next_due(self) -> int | None:
        """When the earliest row is due, claimed ones counted by the end of their lease."""

        async def work(connection: AsyncConnection) -> int | None:
            earliest = sa.select(sa.func.min(self._table.c.due_at)).where(
                self._table.c.due_at.is_not(None), self._workable
            )
            found: int | None = (await connection.execute(earliest)).scalar()
            return found

        return await self._database.run(work)

    async def renew(self, leases: Iterable[int], now: int) -> None:
        """Another full lease for all that is held under `leases`."""

        async def work(connection: AsyncConnection) -> None:
            wanted = list(leases)
            for start in range(0, len(wanted), _MOST_IN_ONE_LIST):
                held = (
                    sa.select(self._table.c.id)
                    .where(self._table.c.lease.in_(wanted[start : start + _MOST_IN_ONE_LIST]))
                    .where(self._table.c.due_at.is_not(None))
                    # What somebody writes at this moment has come to its end: waiting for it could deadlock.
                    .with_for_update(skip_locked=True)
                )
                await connection.execute(
                    sa.update(self._table)
                    .where(self._table.c.id.in_(held))
                    .values(due_at=now + self._lease_time)
                )

        await self._database.run(work)

    async def postpone(self, key: int | str, lease: int, due_at: int, **changes: Any) -> bool:
        """Give a row back until `due_at`. False when the lease was no longer ours.

        With `set_aside`, for a reason that an operator should see.
        """

        async def work(connection: AsyncConnection) -> bool:
            return await self.finish(connection, key, lease, due_at=due_at, **changes)

        return await self._database.run(work)

    async def finish(
        self,
        connection: AsyncConnection,
        key: int | str,
        lease: int,
        *,
        only: sa.ColumnElement[bool] | None = None,
        **changes: Any,
    ) -> bool:
        """Write `changes` and end the lease, if it is still ours."""
        changes = {"set_aside": None} | changes
        statement = (
            sa.update(self._table)
            .where(self._table.c.id == key, self._table.c.lease == lease)
            .values(lease=None, **changes)
        )
        if only is not None:
            statement = statement.where(only)
        return (await connection.execute(statement)).rowcount == 1

    async def release_orphans(self, due_at: sa.ColumnElement[int] | int) -> int:
        """End every lease there is. Only for a process that holds the database alone."""

        async def work(connection: AsyncConnection) -> int:
            rows = await connection.execute(
                sa.update(self._table)
                .where(self._table.c.lease.is_not(None))
                .values(lease=None, due_at=due_at)
            )
            return rows.rowcount

        return await self._database.run(work)
