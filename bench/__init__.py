"""Benchmarks: medians and ratios within one run. `python -m bench --help` lists them."""

# Lifts the limits on open tasks, because a benchmark tracks more than they allow.
LIFTED_LIMITS = {
    "MAX_OPEN_PER_USER": "100000",
    "MAX_OPEN_PER_CHANNEL": "100000",
    "MAX_OPEN_PER_GUILD": "100000",
}
