"""Reads the metrics' counters as Prometheus would."""

from bot.metrics import Metrics


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of one series. The series must exist."""
    value = metrics.registry.get_sample_value(name, labels)
    assert value is not None, f"{name}{labels} is not exposed"
    return value
