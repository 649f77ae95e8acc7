"""Several processes over one PostgreSQL: locks, notifications, a server that fails or moves."""

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.clock import HOUR, MINUTE, SECOND, system_clock
from bot.core.errors import StorageUnavailable
from bot.core.rate_limit import RateLimit
from bot.core.tasks import DeliveryState, TaskState
from bot.core.tracking import Limits, QuotaReached, TrackRequest
from bot.core.verdicts import PollOutcome
from bot.storage import postgresql
from bot.storage.clock_watch import ClockWatch
from bot.storage.engine import Database, notify
from bot.storage.migrations import NEWEST, migrate, schema_version
from bot.storage.postgresql import NotificationListener, clock_difference
from bot.storage.rate_limit import SharedRateLimiter
from bot.storage.store import CARDS, DELIVERIES, DISCORD, LEASE_TIME, TASKS, Store, open_database, open_store
from bot.storage.tables import cards, deliveries, metadata, rate_limits, tasks
from sandbox.patience import PATIENCE
from sandbox.postgres import Server, postgres
from tests.conftest import INTERVAL
from tests.factories import CHANNEL, DONE, GUILD, OWNER, ask_about, track
from tests.timing import FakeClock, eventually

RATE = RateLimit(rate=10, burst=10)


@pytest.fixture
def url(server: Server) -> str:
    return server.database()


@asynccontextmanager
async def processes(url: str, count: int, rate: RateLimit | None = None) -> AsyncIterator[list[Store]]:
    """Stores as separate processes open them, each with its connections."""
    async with AsyncExitStack() as stack:
        limits = Limits(per_user=20, per_channel=50, per_guild=200)
        yield [
            await stack.enter_async_context(open_store(url, limits=limits, interval=INTERVAL, rate=rate))
            for _ in range(count)
        ]


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.close()


# -- the schema ------------------------------------------------------------------------------------


def normal(spelled: object) -> str:
    """VARCHAR without a length is TEXT; the conditions of a column tell which one it is."""
    return re.sub(r"::text\[\]|::text|::character varying|VARCHAR|[()]", "", str(spelled)) or "TEXT"


def describe(connection: sa.Connection) -> dict[str, object]:
    found = sa.inspect(connection)
    return {
        table: (
            [
                (c["name"], normal(c["type"]), c["nullable"], normal(c["default"]), "identity" in c)
                for c in found.get_columns(table)
                # One schema spells a generated key as SERIAL, the other as IDENTITY.
                if c["name"] != "id"
            ],
            found.get_pk_constraint(table)["constrained_columns"],
            sorted((k["constrained_columns"], k["referred_table"]) for k in found.get_foreign_keys(table)),
            sorted(
                (i["name"] or "", i["column_names"], i["unique"], normal(i.get("dialect_options")))
                for i in found.get_indexes(table)
                if not i.get("duplicates_constraint")
            ),
        )
        for table in found.get_table_names()
        if table != "schema_version"
    }


async def schema(database: Database) -> dict[str, object]:
    async def work(connection: AsyncConnection) -> dict[str, object]:
        return await connection.run_sync(describe)

    return await database.run(work)


async def test_steps_give_the_schema_of_tables(server: Server, database: Database):
    """A change in tables.py without a step fails here, and vice versa."""
    declared = open_database(server.database())
    await declared.run(lambda connection: connection.run_sync(metadata.create_all))

    assert await migrate(database) == (0, NEWEST)
    assert await schema(database) == await schema(declared)
    assert len(await schema(database)) == len(metadata.tables)
    await declared.close()


async def test_processes_that_start_together_migrate_once(url: str):
    """The others wait for the first one, and find nothing to do."""
    databases = [open_database(url) for _ in range(4)]

    outcomes = await asyncio.gather(*(migrate(database) for database in databases))

    assert {after for _, after in outcomes} == {NEWEST}
    versions = await databases[0].run(
        lambda c: c.execute(sa.text("SELECT version FROM schema_version ORDER BY version"))
    )
    assert [row[0] for row in versions] == list(range(1, NEWEST + 1))
    for database in databases:
        await database.close()


# -- concurrency -----------------------------------------------------------------------------------


async def test_concurrent_claims_never_share_a_task(url: str, clock: FakeClock):
    """Locked rows are skipped, so concurrent claims get different tasks."""
    async with processes(url, 4) as stores:
        for person in range(5):
            ids = tuple(f"vgen_{person}_{n}" for n in range(20))
            await stores[0].tracking.register(TrackRequest(GUILD, person, person, ids), clock())

        claims = await asyncio.gather(*(store.tasks.claim(40, clock()) for store in stores for _ in range(2)))

        claimed = [task.id for claim in claims for task in claim.work]
        assert len(claimed) == len(set(claimed)) == 100


async def test_concurrent_registrations_do_not_exceed_the_quota(url: str, clock: FakeClock):
    """Registrations are exclusive, because each one counts before it writes."""
    async with processes(url, 3) as stores:

        async def ask(number: int) -> bool:
            request = TrackRequest(GUILD, CHANNEL, OWNER, tuple(f"vgen_{number}_{n}" for n in range(5)))
            try:
                await stores[number % 3].tracking.register(request, clock())
            except QuotaReached:
                return False
            return True

        answers = await asyncio.gather(*(ask(number) for number in range(12)))

        assert sum(answers) == 4  # five ids each; twenty are allowed


async def test_same_id_tracked_in_two_processes_at_once_is_one_delivery(url: str, clock: FakeClock):
    """The second registration finds the first."""
    async with processes(url, 2) as stores:
        answers = await asyncio.gather(*(track(store, clock) for store in stores for _ in range(3)))

        assert [bool(answer.card) for answer in answers].count(True) == 1
        assert await stores[0].diagnosis.deliveries_by_state() == {DeliveryState.OPEN: 1}


async def test_task_that_ends_while_it_is_tracked_elsewhere_makes_both_due(url: str, clock: FakeClock):
    """A delivery that opens just after the end of its task would stay open for ever."""
    async with processes(url, 2) as (chat, work):
        for number in range(30):
            task_id = f"vgen_{number}"
            await track(chat, clock, task_id, by=number)
            claim = await work.tasks.claim(1, clock())
            ended = PollOutcome(claim.work[0], claim.lease, clock(), DONE)
            await asyncio.gather(
                work.tasks.record([ended], clock()),
                track(chat, clock, task_id, channel=1000 + number, by=number),
            )

        assert await work.diagnosis.tasks_by_state() == {TaskState.COMPLETED: 30}
        assert await work.diagnosis.deliveries_by_state() == {DeliveryState.DUE: 60}


async def test_work_of_a_dead_process_is_taken_over_when_its_lease_ends(url: str, clock: FakeClock):
    """Not before, because the process may only be slow."""
    async with processes(url, 2) as (dead, other):
        await track(dead, clock)
        await ask_about(dead, clock)
        assert len((await dead.deliveries.claim(1, clock())).work) == 1

        assert await other.recover(clock(), INTERVAL) == 0
        clock.advance(LEASE_TIME - 1)
        assert (await other.deliveries.claim(1, clock())).work == ()
        clock.advance(1)
        assert len((await other.deliveries.claim(1, clock())).work) == 1
    assert LEASE_TIME == 30 * SECOND


async def test_concurrent_outcomes_and_renewals_do_not_deadlock(url: str, clock: FakeClock):
    """Rows are locked in one order, and rows that another process writes are skipped."""
    async with processes(url, 2) as stores:
        for person in range(10):
            ids = tuple(f"vgen_{person}_{n}" for n in range(20))
            registered = await stores[0].tracking.register(TrackRequest(GUILD, person, person, ids), clock())
            assert registered.card
            await stores[0].cards.set_message(registered.card.card.id, 7000 + person, now=0)
        claims = [await store.tasks.claim(100, clock()) for store in stores]

        async def record(store: Store, number: int) -> int:
            outcomes = [PollOutcome(task, lease, clock(), DONE) for lease, task in parts[number]]
            return await store.tasks.record(outcomes, clock())

        parts = [[(claim.lease, task) for task in reversed(claim.work)] for claim in claims]
        async with asyncio.timeout(PATIENCE):
            ended = await asyncio.gather(
                *(record(store, number) for number, store in enumerate(stores)),
                *(
                    store.tasks.renew([c.lease for c in claims], clock())
                    for store in stores
                    for _ in range(5)
                ),
            )

        assert sum(count or 0 for count in ended) == 200


@asynccontextmanager
async def row_held(store: Store, task_id: str) -> AsyncIterator[None]:
    """Another transaction holds the row of this task."""
    locked, go = asyncio.Event(), asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        await connection.execute(sa.select(tasks.c.id).where(tasks.c.id == task_id).with_for_update())
        locked.set()
        await go.wait()

    holding = asyncio.create_task(store.database.run(hold))
    await locked.wait()
    try:
        yield
    finally:
        go.set()
        await holding


async def test_claim_skips_rows_that_another_transaction_holds(url: str, clock: FakeClock):
    async with processes(url, 2) as (one, other):
        await track(one, clock, "t1", "t2")
        async with row_held(one, "t1"), asyncio.timeout(PATIENCE):
            claim = await other.tasks.claim(10, clock())

        assert [task.id for task in claim.work] == ["t2"]


async def test_renewal_skips_rows_that_another_transaction_holds(url: str, clock: FakeClock):
    """The outcome is being written; waiting could be a deadlock."""
    async with processes(url, 2) as (one, other):
        await track(one, clock, "t1", "t2")
        claim = await one.tasks.claim(10, clock())
        clock.advance(LEASE_TIME - 1)
        async with row_held(one, "t1"), asyncio.timeout(PATIENCE):
            await other.tasks.renew([claim.lease], clock())
        clock.advance(1)

        assert [task.id for task in (await one.tasks.claim(10, clock())).work] == ["t1"]


@asynccontextmanager
async def frozen_within(url: str, asked: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection whose process stops in a transaction: within a statement's messages, or after them."""
    frozen = await postgresql.connect(url)
    try:
        # One message, so that the timeout cannot end the transaction between two of them.
        await frozen.execute(f"BEGIN; SELECT pg_advisory_xact_lock_shared({postgresql._LOCK_KEY})")
        if asked == "half":
            await frozen.prepare("SELECT 2")
        yield frozen
    finally:
        frozen.terminate()


@pytest.mark.parametrize("asked", ["whole", "half"])
async def test_process_that_freezes_in_a_transaction_is_disconnected(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch, asked: str
):
    """A new statement is two messages; the server's idle timeout does not apply between them."""
    monkeypatch.setattr(postgresql, "_TRANSACTION_TIMEOUT", "2s")
    monkeypatch.setitem(postgresql._SERVER_SETTINGS, "idle_in_transaction_session_timeout", "2s")

    async with frozen_within(url, asked) as frozen:
        # The frozen transaction times out first, also on a slow machine.
        monkeypatch.setattr(postgresql, "_TRANSACTION_TIMEOUT", "40s")
        async with asyncio.timeout(PATIENCE):
            other = await database.run(
                lambda connection: connection.execute(sa.text("SELECT 1")), exclusive=True
            )

        assert other.scalar_one() == 1
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await frozen.execute("COMMIT")


async def test_only_work_without_timeout_may_take_longer(url: str, monkeypatch: pytest.MonkeyPatch):
    """A migration or a copy: 100,000 rows take longer than the timeout."""
    monkeypatch.setattr(postgresql, "_TRANSACTION_TIMEOUT", "300ms")
    database = open_database(url)

    async def work(connection: AsyncConnection) -> int:
        await connection.execute(sa.text("SELECT pg_sleep(0.6)"))
        return int((await connection.execute(sa.text("SELECT 1"))).scalar_one())

    with pytest.raises(StorageUnavailable):
        await database.run(work)
    assert await database.run(work, exclusive=True, no_timeout=True) == 1
    with pytest.raises(StorageUnavailable):
        await database.run(work)
    await database.close()


# -- the shared rate limit -------------------------------------------------------------------------


async def test_processes_together_poll_no_faster_than_the_rate(url: str, clock: FakeClock):
    """POLL_RATE is the limit of all processes together."""
    async with processes(url, 3, RATE) as stores:
        for person in range(5):
            ids = tuple(f"vgen_{person}_{n}" for n in range(20))
            await stores[0].tracking.register(TrackRequest(GUILD, person, person, ids), clock())

        async def claim_all() -> int:
            claims = await asyncio.gather(*(store.tasks.claim(50, clock()) for store in stores))
            return sum(len(claim.work) for claim in claims)

        taken = [await claim_all()]
        for _ in range(4):
            clock.advance(500)
            taken.append(await claim_all())

        assert taken == [10, 5, 5, 5, 5]


async def test_rate_limit_goes_on_after_the_clock_was_set_back(url: str, clock: FakeClock):
    """What was planned an hour ahead came from the wrong clock."""
    async with processes(url, 1, RATE) as (store,):
        await track(store, clock, "t1", "t2")
        planned = (clock() + HOUR) * 1000
        await store.database.run(lambda c: c.execute(sa.update(rate_limits).values(used_until=planned)))

        assert len((await store.tasks.claim(5, clock())).work) == 2


async def test_calls_of_all_processes_get_different_times(server: Server):
    """Four at once, then one every 20 ms, over all processes."""
    databases = [open_database(server.database())]
    await migrate(databases[0])
    limit = RateLimit(rate=50, burst=4)
    limiters = [SharedRateLimiter(databases[0], DISCORD, limit, system_clock) for _ in range(2)]
    began, times = system_clock(), []

    async def call(number: int) -> None:
        await limiters[number % 2].acquire()
        times.append(system_clock() - began)

    await asyncio.gather(*(call(number) for number in range(24)))

    assert len([t for t in times if t < 400]) < 24
    assert max(times) >= 20 * 20 - 5
    await databases[0].close()


async def test_wrong_clock_is_noticed(database: Database):
    """Leases of other processes end by the local clock."""
    assert abs(await clock_difference(database, system_clock)) < 5 * SECOND
    assert await clock_difference(database, lambda: system_clock() + MINUTE) > 55 * SECOND


async def test_clock_difference_is_logged_once_per_change(
    database: Database, caplog: pytest.LogCaptureFixture
):
    """Health reports it for as long as it lasts."""
    caplog.set_level("INFO")
    ahead = [0]
    watch = ClockWatch(database, lambda: system_clock() + ahead[-1], limit=10 * SECOND)
    seen = []
    for now in (0, MINUTE, MINUTE, -MINUTE, 0, 0):
        ahead.append(now)
        await watch.look()
        seen.append(watch.problem or "")

    said = [record.getMessage() for record in caplog.records if "clock" in record.name]
    assert [bool(problem) for problem in seen] == [False, True, True, True, False, False]
    assert re.fullmatch(r"this machine's clock is \+(59|60) s off the database's: set both by NTP", said[0])
    assert said[1:] == ["this machine's clock agrees with the database's again"]
    assert "is -60 s off" in seen[3] or "is -61 s off" in seen[3]


async def test_sqlite_has_no_clock_difference(tmp_path: Path):
    database = open_database(f"sqlite:///{tmp_path / 'bot.db'}")
    watch = ClockWatch(database, lambda: 0, limit=0)
    await watch.look()

    assert watch.problem is None
    await database.close()


# -- notifications ---------------------------------------------------------------------------------


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[list[tuple[str, ...]]]:
    """The notifications so far; the first one is empty and stands for missed ones."""
    notified: list[tuple[str, ...]] = []
    stop = asyncio.Event()
    job = asyncio.create_task(NotificationListener(url, lambda *queues: notified.append(queues)).run(stop))
    try:
        await eventually(lambda: notified)
        yield notified
    finally:
        stop.set()
        await job


async def test_work_of_one_process_notifies_another(url: str, clock: FakeClock):
    """A command in one process wakes the poller in another."""
    async with processes(url, 1) as (store,), listening(url) as notified:
        await track(store, clock)
        await eventually(lambda: (TASKS,) in notified)
        notified.clear()
        await ask_about(store, clock)
        await eventually(lambda: len(notified) == 2)
        assert notified == [(DELIVERIES,), (CARDS,)]


async def test_work_that_is_rolled_back_notifies_no_process(url: str, database: Database):
    async def fail(connection: AsyncConnection) -> None:
        await notify(connection, cards)
        raise ValueError

    async with listening(url) as notified:
        with pytest.raises(ValueError, match=r"^$"):
            await database.run(fail)
        await database.run(lambda connection: notify(connection, deliveries))
        await eventually(lambda: len(notified) == 2)
        assert notified == [(), (DELIVERIES,)]


# -- a server that fails ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A separate server that the tests may stop."""
    with postgres() as server:
        yield server


async def test_server_that_stops_and_starts_again_loses_nothing(own: Server, clock: FakeClock):
    """Meanwhile every call raises StorageUnavailable. Afterwards the first try succeeds."""
    url = own.database()
    async with processes(url, 1) as (store,), listening(url) as notified:
        await track(store, clock)
        before = len(notified)
        own.stop()
        try:
            with pytest.raises(StorageUnavailable, match="PostgreSQL cannot be reached"):
                await store.tasks.claim(1, clock())
            with pytest.raises(StorageUnavailable):
                await track(store, clock, "vgen_other")
        finally:
            own.start()

        assert [task.id for task in (await store.tasks.claim(5, clock())).work] == ["vgen_abc123def456"]
        await eventually(lambda: len(notified) > before)
        assert len(notified) > before


async def make_sessions_read_only(database: Database) -> int:
    """Imitates a server that was replaced: its connections stay open but refuse writes."""
    met = asyncio.Barrier(postgresql._MAX_CONNECTIONS)

    async def refuse_writes(connection: AsyncConnection) -> int:
        await connection.execute(sa.text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        pid = int((await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one())
        await met.wait()
        return pid

    pids = await asyncio.gather(*(database.run(refuse_writes) for _ in range(met.parties)))
    return len(set(pids))


async def test_pool_closes_connections_to_a_server_that_refuses_writes(url: str, clock: FakeClock):
    """One call fails; the next ones connect to the address again."""
    async with processes(url, 1) as (store,):
        assert await make_sessions_read_only(store.database) == postgresql._MAX_CONNECTIONS

        with pytest.raises(StorageUnavailable, match="read-only transaction"):
            await track(store, clock)

        answers = await asyncio.gather(*(track(store, clock, f"vgen_{n}", by=n) for n in range(16)))
        assert all(answer.card for answer in answers)


@pytest.mark.parametrize("code", ["57P01", "57P02", "57P03"])
async def test_pool_closes_every_connection_to_a_server_that_is_stopping(
    url: str, clock: FakeClock, code: str
):
    """Not only the connection that got the error."""
    async with processes(url, 1) as (store,):
        await make_sessions_read_only(store.database)
        raises = f"DO $$ BEGIN RAISE EXCEPTION 'stopping' USING ERRCODE = '{code}'; END $$"

        with pytest.raises(StorageUnavailable, match="stopping"):
            await store.database.run(lambda c: c.execute(sa.text(raises)))

        assert (await track(store, clock)).card


async def test_server_that_refuses_writes_is_refused_unless_only_reading(server: Server, brought_up: str):
    """A standby can serve reads, but not a bot."""
    url = server.database(brought_up)
    name = urlsplit(url).path.strip("/")
    server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    writing, reading = open_database(url), open_database(url, read_only=True)

    with pytest.raises(StorageUnavailable, match="takes no writes: a standby, or set to read-only"):
        await migrate(writing)

    assert await schema_version(reading) == NEWEST
    await writing.close()
    await reading.close()


@asynccontextmanager
async def forwarded(folder: Path, to: list[str]) -> AsyncIterator[str]:
    """A folder with a socket that leads to the last server in `to`, like an address that moves."""

    async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(to[-1])
        await asyncio.gather(pipe(reader, there_writer), pipe(there_reader, writer))

    async with await asyncio.start_unix_server(forward, folder / ".s.PGSQL.5432"):
        yield str(folder)


def socket_of(url: str) -> str:
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


async def test_pool_follows_an_address_that_moves_to_another_server(
    own: Server, server: Server, brought_up: str, clock: FakeClock
):
    """The old server stays up, read-only."""
    old, new = own.database(), server.database(brought_up)
    name = urlsplit(old).path.strip("/")
    server.sql(f"ALTER DATABASE {urlsplit(new).path.strip('/')} RENAME TO {name}_moved")
    own.sql(f"ALTER DATABASE {name} RENAME TO {name}_moved")
    to = [socket_of(old)]
    with tempfile.TemporaryDirectory() as short:
        async with forwarded(Path(short), to) as folder:
            url = f"postgresql://postgres:@/{name}_moved?host={folder}"
            async with processes(url, 1) as (store,):
                await track(store, clock, "vgen_before")
                own.sql("ALTER SYSTEM SET default_transaction_read_only = on")
                own.sql("SELECT pg_reload_conf()")
                to.append(socket_of(new))
                failures = await failures_until_tracked(store, clock)
                tasks_there = await store.diagnosis.tasks_by_state()
    own.sql("ALTER SYSTEM RESET default_transaction_read_only")
    own.sql("SELECT pg_reload_conf()")

    assert failures <= 2  # a reload reaches a connection with a delay
    assert tasks_there == {TaskState.WAITING: 1}


async def failures_until_tracked(store: Store, clock: FakeClock) -> int:
    for failures in range(10):
        try:
            await track(store, clock, "vgen_after")
        except StorageUnavailable:
            continue
        return failures
    raise AssertionError("the pool kept the old server")


async def test_listener_leaves_a_server_that_refuses_writes(
    own: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """No process notifies there. The listener reconnects when the server accepts writes."""
    monkeypatch.setattr(postgresql, "_KEEPALIVE_INTERVAL", 0.05)
    async with listening(own.database()) as notified:
        own.sql("ALTER SYSTEM SET default_transaction_read_only = on")
        own.sql("SELECT pg_reload_conf()")
        await eventually(lambda: "PostgreSQL no longer takes writes" in caplog.text)
        own.sql("ALTER SYSTEM RESET default_transaction_read_only")
        own.sql("SELECT pg_reload_conf()")
        before = len(notified)
        await eventually(lambda: len(notified) > before)
        assert set(notified[before:]) == {()}


async def test_error_of_a_statement_holds_no_values(database: Database):
    """It is logged, and users' texts must not be in the log."""
    with pytest.raises(sa.exc.ProgrammingError) as raised:
        await database.run(lambda c: c.execute(sa.text("SELECT nonsense, :note"), {"note": "a private note"}))

    assert "a private note" not in str(raised.value)


async def test_transaction_whose_connection_breaks_is_rolled_back(url: str, database: Database):
    """The caller gets StorageUnavailable."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TABLE half (number INTEGER)"))
        await connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StorageUnavailable, match="did not answer"):
        await database.run(work)

    names = await database.run(lambda c: c.run_sync(lambda sync: sa.inspect(sync).get_table_names()))
    assert names == []


async def test_connection_that_breaks_between_two_statements_is_unavailable(url: str, database: Database):
    """The server may have failed with its machine, without a message."""
    other = open_database(url)

    async def work(connection: AsyncConnection) -> None:
        pid = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
        await other.run(lambda c: c.execute(sa.text(f"SELECT pg_terminate_backend({pid})")))
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await eventually(raw.is_closed)
        await connection.execute(sa.text("SELECT 1"))

    with pytest.raises(StorageUnavailable, match="connection is closed"):
        await database.run(work)
    await other.close()


@pytest.mark.parametrize("code", ["53100", "57P01", "40P01", "58030"])
async def test_failure_of_the_server_is_unavailable(url: str, clock: FakeClock, code: str):
    """Full disk (53100), shutdown, deadlock, disk error: nothing is lost or half written."""
    async with processes(url, 1) as (store,):
        await store.database.run(lambda c: _refuse_inserts(c, code))

        with pytest.raises(StorageUnavailable, match="no more"):
            await track(store, clock)

        await store.database.run(lambda c: c.execute(sa.text("DROP TRIGGER refuse ON deliveries")))
        assert (await track(store, clock)).card
        assert await store.diagnosis.tasks_by_state() == {TaskState.WAITING: 1}


async def test_mistake_in_a_statement_is_a_bug(database: Database):
    """A retry would not help."""
    with pytest.raises(sa.exc.ProgrammingError):
        await database.run(lambda connection: connection.execute(sa.text("SELECT nonsense")))
    assert database.is_shared


async def _refuse_inserts(connection: AsyncConnection, code: str) -> None:
    await connection.execute(
        sa.text(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'no more' USING ERRCODE = '{code}'; END $$"
        )
    )
    await connection.execute(
        sa.text("CREATE TRIGGER refuse BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse()")
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://bot:hunter2hunter2@127.0.0.1:1/veo", "cannot be reached"),
        ("postgresql://bot:hunter2hunter2@127.0.0.1:port/veo", "cannot be read"),
    ],
)
async def test_unreachable_server_is_reported_without_the_password(address: str, said: str):
    """The whole address is a secret."""
    database = open_database(address)

    with pytest.raises(StorageUnavailable, match=said) as raised:
        await migrate(database)

    assert "hunter2" not in str(raised.value)
    await database.close()


async def test_missing_database_is_reported(server: Server):
    """In PostgreSQL's words."""
    database = open_database(server.database().replace("/veo_", "/nobodys_"))

    with pytest.raises(StorageUnavailable, match=r"refuses the connection: database .* does not exist"):
        await migrate(database)
    await database.close()
