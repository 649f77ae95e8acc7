"""How long whoever waits for a stand-in is patient."""

# Seconds. What is waited for comes within milliseconds; a busy machine may stop a process for many seconds.
PATIENCE = 45.0
