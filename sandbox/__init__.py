"""Stand-ins for Discord and for the video API, on loopback: for tests, the demo and development."""
