"""Benchmarks: medians and ratios within one run. `python -m bench --help` lists them."""
