"""Discord's gateway: shards, identify limits, server membership, a watchdog."""
