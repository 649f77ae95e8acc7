"""What the metrics have counted, as Prometheus would read it."""

from bot.metrics import Metrics


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of one series, which must be there."""
    value = metrics.registry.get_sample_value(name, labels)
    assert value is not None, f"{name}{labels} is not exposed"
    return value
