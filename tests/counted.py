"""What a meter has counted, as Prometheus would read it."""

from bot.ops.counters import PrometheusMeter


def counted(meter: PrometheusMeter, name: str, **labels: str) -> float:
    """The value of one series, which must be there."""
    value = meter.registry.get_sample_value(name, labels)
    assert value is not None, f"{name}{labels} is not exposed"
    return value
