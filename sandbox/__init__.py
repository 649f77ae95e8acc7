"""Stand-ins for Discord and the video API on loopback, for tests, benchmarks and the demo."""
