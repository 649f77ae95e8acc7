"""Measurements, not tests: medians and ratios within one run."""
