"""What `/healthz` says and when it answers 503, on a real database with a clock that is set by hand."""

import asyncio
from dataclasses import asdict
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.api_pause import API_PAUSE_KEY, PauseReason, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.errors import DiscordUnavailable
from bot.core.poll_rate import PollRate
from bot.metrics import Metrics
from bot.ops.health import Health, HealthCheck
from bot.ops.server import open_server
from bot.storage.store import Store
from bot.storage.tables import tasks
from bot.storage.task_queue import RESULT_FOLLOWS
from tests.conftest import INTERVAL
from tests.factories import ask_about, make_task, make_waiting, take_delivery, track, track_ended
from tests.timing import FakeClock
from tests.unit.test_ops_http import fetch

RATE = PollRate(rate=10, interval=INTERVAL)
MANY = 1500


def check(store: Store, clock: FakeClock, **changes: Any) -> HealthCheck:
    return HealthCheck(store, clock, RATE, **({"gateway": None, "works": True} | changes))


async def track_many(store: Store, clock: FakeClock, count: int = MANY) -> None:
    """Track many tasks that are all due now, in one statement because that is faster."""
    now = clock()
    rows = [asdict(make_task(id=f"vgen_{n}", registered_at=now, due_at=now)) for n in range(count)]
    await store.diagnosis._database.run(lambda connection: connection.execute(sa.insert(tasks), rows))


# -- polls -----------------------------------------------------------------------------------------


async def test_more_tasks_than_the_rate_serves_are_reported_with_200(store: Store, clock: FakeClock):
    """1,500 tasks at ten polls a second take 150 s: the last one is always 120 s late."""
    await track_many(store, clock)
    clock.advance(120 * SECOND)

    health = await check(store, clock)()

    assert health.problems == []
    assert health.text == (
        "ok\nPOLL_RATE is too low for 1500 waiting tasks: at 10 a second each is polled every 150 s "
        "instead of every 30 s (POLL_INTERVAL); 50 would do, if the video API allows it\n"
    )


async def test_polls_later_than_the_rate_explains_give_503(store: Store, clock: FakeClock):
    """The limit is three intervals plus the time that the queue takes."""
    await track_many(store, clock)
    clock.advance(210 * SECOND)
    assert (await check(store, clock)()).problems == []
    clock.advance(1)

    assert (await check(store, clock)()).problems == [
        "the last round of polls of the video API is 210 s late"
    ]


@pytest.mark.parametrize(("count", "says"), [(300, False), (330, False), (331, True)])
def test_rate_that_is_almost_sufficient_gives_no_warning(count: int, says: bool):
    assert (RATE.shortfall(count) is not None) is says


async def test_old_tasks_count_less_because_they_are_polled_less(store: Store, clock: FakeClock):
    """After some hours a task is polled every five minutes: a tenth of the polls of a new one."""
    await track_many(store, clock, 400)
    claim = await store.tasks.claim(1000, clock())
    for task in claim.work[:200]:
        await store.tasks.postpone(task.id, claim.lease, clock() + 5 * MINUTE)
    for task in claim.work[200:]:
        await store.tasks.postpone(task.id, claim.lease, clock())

    assert await check(store, clock)() == Health()


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (PauseReason.KEY_REFUSED, "(key refused): correct VEO_API_KEY and restart"),
        (PauseReason.THROTTLED, "(throttled): the API asks for fewer polls than POLL_RATE"),
    ],
)
async def test_api_pause_is_reported_with_what_to_do(
    store: Store, clock: FakeClock, reason: PauseReason, advice: str
):
    await track_many(store, clock, 2)
    pause = PauseState(reason, clock(), clock() + HOUR)
    await store.key_values.put(API_PAUSE_KEY, pause.to_text())
    clock.advance(100 * SECOND)

    assert (await check(store, clock)()).problems == [
        f"the last round of polls of the video API is 100 s late {advice}"
    ]


# -- results ---------------------------------------------------------------------------------------


async def test_result_that_no_worker_claims_is_overdue_after_15_minutes(store: Store, clock: FakeClock):
    await track_ended(store, clock)
    clock.advance(15 * MINUTE - RESULT_FOLLOWS - 1)
    assert await check(store, clock)() == Health()
    clock.advance(1)

    assert (await check(store, clock)()).problems == [
        "1 result is overdue: owed for more than 15 min, the oldest for 15 min; python -m bot doctor says why"
    ]
    assert await check(store, clock, works=False)() == Health()


async def test_results_that_discord_refuses_are_overdue_as_well(store: Store, clock: FakeClock):
    """They are retried, but users are still waiting."""
    await track(store, clock, "a", "b")
    for task_id in ("a", "b"):
        await ask_about(store, clock, task_id=task_id)
        lease, due = await take_delivery(store, clock)
        error = DiscordUnavailable("Discord answered 503", status=503)
        await postpone(store, clock, due.delivery.id, lease, attempt=1, last_error=error.problem.to_text())
    clock.advance(95 * MINUTE)

    (problem,) = (await check(store, clock)()).problems
    assert problem.startswith("2 results are overdue: owed for more than 15 min, the oldest for 1.6 h")


@pytest.mark.parametrize(
    "waits",
    [
        {"attempt": 2, "last_error": DiscordUnavailable("", blocked=1).problem.to_text()},
        {"download_attempt": 3, "last_error": '{"code": "download_interrupted"}'},
    ],
    ids=["edge block", "download"],
)
async def test_result_delayed_by_an_edge_block_or_a_slow_host_is_not_overdue(
    store: Store, clock: FakeClock, waits: dict[str, Any]
):
    """The operator can do nothing about either."""
    await track_ended(store, clock)
    lease, due = await take_delivery(store, clock)
    await postpone(store, clock, due.delivery.id, lease, **waits)
    clock.advance(HOUR)

    assert await check(store, clock)() == Health()


async def postpone(store: Store, clock: FakeClock, delivery: int, lease: int, **changes: Any) -> None:
    await store.deliveries.postpone(delivery, lease, clock() + 2 * HOUR, **changes)


async def test_waiting_task_has_no_overdue_result(store: Store, clock: FakeClock):
    await track(store, clock)
    await ask_about(store, clock, make_waiting(due_at=clock() + HOUR))
    clock.advance(HOUR)

    assert await check(store, clock)() == Health()


# -- the gateway, and a database that hangs --------------------------------------------------------


async def test_gateway_problem_is_reported_in_its_own_words(store: Store, clock: FakeClock):
    problem = "Discord's gateway is not connected since 08:00:00 UTC (closed)"
    health = await check(store, clock, gateway=lambda: problem)()

    assert health.problems == [problem]
    assert await check(store, clock, gateway=lambda: None)() == Health()


class Hanging(HealthCheck):
    """A database that never answers; counts the calls."""

    asked = 0

    async def __call__(self) -> Health:
        self.asked += 1
        await asyncio.Event().wait()
        return Health()


async def test_database_that_hangs_is_reported_in_time_and_called_once(
    store: Store, clock: FakeClock, port: int
):
    """Monitoring waits at most ten seconds and repeats its request."""
    hanging = Hanging(store, clock, RATE, gateway=lambda: "no gateway", works=True)

    async def gauges() -> bytes:
        await asyncio.Event().wait()
        return b""

    async with open_server("127.0.0.1", port, check=hanging, gauges=gauges, metrics=Metrics(), timeout=0.2):
        said = await asyncio.gather(*(fetch(port, "/healthz") for _ in range(3)))
        scraped = await fetch(port, "/metrics")
        alive = await fetch(port, "/livez")

    assert said == [(503, "no gateway\nthe database has not answered for 0.2 s\n")] * 3
    assert scraped == (503, "the database has not answered for 0.2 s\n")
    assert alive == (200, "ok\n")
    assert hanging.asked == 1
