"""Gauges for Prometheus, read from the database at each scrape, so that a restart does not lose them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from bot.core.clock import SECOND, Clock
from bot.core.tasks import DeliveryState, TaskState
from bot.storage.diagnosis import Diagnosis, OverdueRow


@dataclass(frozen=True, slots=True)
class Gateway:
    """The state of Discord's gateway in this process at this moment."""

    is_up: bool
    servers: int


async def gauges(diagnosis: Diagnosis, clock: Clock, gateway: Callable[[], Gateway] | None) -> bytes:
    """Return the gauges of one scrape as text; `gateway` is None for a process without one.

    Raises StorageUnavailable.
    """
    delivery, poll = await diagnosis.most_overdue_delivery(), await diagnosis.most_overdue_poll()
    good, now = await diagnosis.last_good_answer(), clock()
    registry = CollectorRegistry()
    tasks, deliveries = await diagnosis.tasks_by_state(), await diagnosis.deliveries_by_state()
    _by_state(registry, "veo_tasks", "Tasks by state.", TaskState, tasks)
    _by_state(registry, "veo_deliveries", "Deliveries by state.", DeliveryState, deliveries)
    _gauge(
        registry,
        "veo_oldest_owed_result_seconds",
        "How long the oldest result has been owed; 0 when none is.",
        _age(delivery, now),
    )
    _gauge(
        registry,
        "veo_latest_question_late_seconds",
        "How late the most overdue poll of the video API is; 0 when none is late.",
        _age(poll, now),
    )
    _gauge(
        registry,
        "veo_last_usable_answer_timestamp_seconds",
        "When the video API last gave a usable answer; 0 when it never did.",
        (good or 0) / SECOND,
    )
    quarantined = len(await diagnosis.quarantined())
    _gauge(registry, "veo_set_aside_rows", "Rows quarantined by a bug.", quarantined)
    if gateway is not None:
        state = gateway()
        _gauge(registry, "veo_gateway_up", "Whether Discord's gateway is connected.", int(state.is_up))
        _gauge(registry, "veo_servers", "Servers that this process's gateway sees.", state.servers)
    return generate_latest(registry)


def _gauge(registry: CollectorRegistry, name: str, what: str, value: float) -> None:
    Gauge(name, what, registry=registry).set(value)


def _by_state(
    registry: CollectorRegistry, name: str, what: str, states: Iterable[str], counts: Mapping[str, int]
) -> None:
    """Add a series for each state, also without rows, because alerts need series that do not come and go."""
    gauge = Gauge(name, what, ["state"], registry=registry)
    for state in states:
        gauge.labels(str(state)).set(counts.get(state, 0))


def _age(late: OverdueRow | None, now: int) -> float:
    return 0.0 if late is None else max(now - late.since, 0) / SECOND
