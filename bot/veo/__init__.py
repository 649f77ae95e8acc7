"""The video API: asking about a task, reading what it says, fetching the video."""
