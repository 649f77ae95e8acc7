"""Settings of a bot whose people may have as many tasks open as a benchmark needs."""

LIFTED = {"MAX_OPEN_PER_USER": "100000", "MAX_OPEN_PER_CHANNEL": "100000", "MAX_OPEN_PER_GUILD": "100000"}
