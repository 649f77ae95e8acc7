"""The gauges that Prometheus is told: read from the database when it asks, so that no restart loses them."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.core.clock import SECOND, Clock
from bot.core.tasks import DeliveryState, TaskState
from bot.storage.diagnosis import Diagnosis, Late


class _Ready(Collector):
    """Families that were read already: the library asks from a function that cannot await."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def gauges(diagnosis: Diagnosis, clock: Clock, *, gateway_is_up: bool | None) -> bytes:
    """Their part of one scrape. Raises StorageUnavailable."""
    delivery, question = await diagnosis.latest_delivery(), await diagnosis.latest_question()
    good, now = await diagnosis.last_good_answer(), clock()
    families = [
        _by_state("veo_tasks", "Tasks by state.", TaskState, await diagnosis.tasks_by_state()),
        _by_state(
            "veo_deliveries", "Deliveries by state.", DeliveryState, await diagnosis.deliveries_by_state()
        ),
        _gauge(
            "veo_oldest_owed_result_seconds",
            "How long the oldest result has been owed; 0 when none is.",
            _age(delivery, now),
        ),
        _gauge(
            "veo_latest_question_late_seconds",
            "How late the latest question to the video API is; 0 when none is.",
            _age(question, now),
        ),
        _gauge(
            "veo_last_usable_answer_timestamp_seconds",
            "When the video API last gave a usable answer; 0 when it never did.",
            (good or 0) / SECOND,
        ),
        _gauge("veo_set_aside_rows", "Rows set aside by a bug.", len(await diagnosis.set_aside())),
    ]
    if gateway_is_up is not None:
        families.append(
            _gauge("veo_gateway_up", "Whether Discord's gateway is connected.", int(gateway_is_up))
        )
    registry = CollectorRegistry()
    registry.register(_Ready(families))
    return generate_latest(registry)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=value)


def _by_state(name: str, what: str, states: Iterable[str], counts: Mapping[str, int]) -> GaugeMetricFamily:
    """Every state, also one that nothing is in: a series that comes and goes cannot be alerted on."""
    family = GaugeMetricFamily(name, what, labels=["state"])
    for state in states:
        family.add_metric([str(state)], counts.get(state, 0))
    return family


def _age(late: Late | None, now: int) -> float:
    return 0.0 if late is None else max(now - late.since, 0) / SECOND
