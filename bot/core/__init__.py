"""What the bot knows: types, state tables, ids, back-off, clock, errors. No I/O, no third-party import."""
