"""A queue with leases over one table; tasks, deliveries and cards share its statements.

A row is due when its `due_at` has come. One statement claims it: it writes a new lease number and moves
`due_at` to the end of the lease. So a row whose process died becomes due again.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.backoff import MAX_PAUSE
from bot.core.clock import MINUTE
from bot.storage.engine import Database, Queries, transaction

# Bound parameters of one IN list; SQLite allows 32,766 and PostgreSQL more.
_MAX_IN_LIST = 10_000
# Clocks of several machines may differ by this much, in milliseconds.
_CLOCKS_APART = MINUTE
# The time at which a claim statement runs.
NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)


def claim_statement(
    table: sa.Table,
    returning: Sequence[sa.ColumnElement[Any]],
    *,
    only: sa.ColumnElement[bool] | None = None,
    order_by: sa.ColumnElement[Any] | None = None,
    or_due: sa.ColumnElement[bool] | None = None,
    **changes: Any,
) -> sa.UpdateBase:
    """Build the statement that claims due rows.

    Rows come by `order_by`, then by how long they have been due. `NOW` may be used in all arguments. SKIP
    LOCKED works on PostgreSQL; SQLite has one writer at a time and leaves it out.
    """
    due = (
        sa.select(table.c.id)
        .where((table.c.due_at <= NOW) | (sa.false() if or_due is None else or_due))
        .order_by(*(() if order_by is None else (order_by,)), table.c.due_at)
        .limit(sa.bindparam("max_rows", type_=sa.BigInteger))
    )
    if only is not None:
        due = due.where(only)
    # A CTE, because PostgreSQL runs one that locks exactly once; a subquery it may run again, past its limit.
    chosen = due.with_for_update(skip_locked=True, of=table).cte("due")
    return (
        sa.update(table)
        .where(table.c.id.in_(sa.select(chosen.c.id)))
        .values(lease=sa.bindparam("new_lease"), due_at=sa.bindparam("lease_end"), **changes)
        .returning(*returning)
    )


class LeaseQueue(Queries):
    """One table with `id`, `due_at` and `lease`. Times and spans in milliseconds.

    `ready_at` is when a row can be worked on, if that is not `due_at`. `max_pause` is the longest pause that
    is ever planned, so a row that is due further ahead was planned by a wrong clock.
    """

    def __init__(
        self,
        database: Database,
        table: sa.Table,
        *,
        lease_time: int,
        max_pause: int = MAX_PAUSE,
        ready_at: sa.ColumnElement[int] | None = None,
    ) -> None:
        super().__init__(database)
        self._max_ahead = max(lease_time, max_pause) + _CLOCKS_APART
        self._table = table
        self.lease_time = lease_time
        earliest = sa.func.min(table.c.due_at if ready_at is None else ready_at)
        self._earliest = sa.select(earliest).where(table.c.due_at.is_not(None))
        is_ours = table.c.id == sa.bindparam("key"), table.c.lease == sa.bindparam("claim")
        self._ours = sa.update(table).where(*is_ours)

    def _new_lease(self, limit: int, now: int) -> dict[str, int]:
        """Return the parameters of a claim statement: a new lease number for up to `limit` rows."""
        lease = secrets.randbits(62) + 1
        return {"now": now, "max_rows": limit, "new_lease": lease, "lease_end": now + self.lease_time}

    @transaction
    async def next_due(self, connection: AsyncConnection) -> int | None:
        """Return when the earliest row is due; a claimed row counts with the end of its lease."""
        found: int | None = (await connection.execute(self._earliest)).scalar()
        return found

    @transaction
    async def pull_back(self, connection: AsyncConnection, now: int) -> int:
        """Make due now the rows that are due further ahead than the longest pause; returns how many."""
        rows = await connection.execute(
            sa.update(self._table).where(self._table.c.due_at > now + self._max_ahead).values(due_at=now)
        )
        return rows.rowcount

    @transaction
    async def renew(self, connection: AsyncConnection, leases: Iterable[int], now: int) -> None:
        """Extend the rows held under `leases` by a full lease from `now`."""
        wanted = list(leases)
        for start in range(0, len(wanted), _MAX_IN_LIST):
            held = (
                sa.select(self._table.c.id)
                .where(self._table.c.lease.in_(wanted[start : start + _MAX_IN_LIST]))
                .where(self._table.c.due_at.is_not(None))
                # A locked row is being finished by another transaction; waiting for it could deadlock.
                .with_for_update(skip_locked=True)
            )
            await connection.execute(
                sa.update(self._table).where(self._table.c.id.in_(held)).values(due_at=now + self.lease_time)
            )

    @transaction
    async def postpone(
        self, connection: AsyncConnection, /, key: int | str, lease: int, due_at: int, **changes: Any
    ) -> bool:
        """Give a row back until `due_at`, with `changes` of other columns. False when the lease was lost.

        `quarantine_reason` marks a row that our own bug stopped, for an operator.
        """
        return await self._finish(connection, key, lease, due_at=due_at, **changes)

    async def _finish(
        self,
        connection: AsyncConnection,
        key: int | str,
        lease: int,
        *,
        only: sa.ColumnElement[bool] | None = None,
        **changes: Any,
    ) -> bool:
        """Write `changes` and end the lease, if it is still ours."""
        changes = {"quarantine_reason": None} | changes
        return (await self._update_ours(connection, key, lease, only, lease=None, **changes)).rowcount == 1

    async def _update_ours(
        self,
        connection: AsyncConnection,
        key: int | str,
        lease: int,
        only: sa.ColumnElement[bool] | None = None,
        /,
        **changes: Any,
    ) -> sa.CursorResult[Any]:
        """Write `changes` to a row if its lease is still ours."""
        computed = {n: value for n, value in changes.items() if isinstance(value, sa.ColumnElement)}
        statement = self._ours if only is None else self._ours.where(only)
        if computed:
            statement = statement.values(computed)
        # What is not computed is given as parameters: SQLAlchemy builds its part of the statement once.
        given = {n: value for n, value in changes.items() if n not in computed}
        return await connection.execute(statement, {"key": key, "claim": lease, **given})

    @transaction
    async def release_all_leases(
        self, connection: AsyncConnection, due_at: sa.ColumnElement[int] | int
    ) -> int:
        """End every lease; returns how many. Only for a process that has the database to itself."""
        rows = await connection.execute(
            sa.update(self._table).where(self._table.c.lease.is_not(None)).values(lease=None, due_at=due_at)
        )
        return rows.rowcount
