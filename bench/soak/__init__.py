"""Random kills and faults, and the count of lost and doubled results."""
