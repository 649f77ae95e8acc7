"""How long a test waits for a stand-in."""

# Seconds. The event usually comes within milliseconds, but a busy machine may stop a process for longer.
PATIENCE = 90.0
