"""The MP4 itself: is it one, how long, how big, and making it fit a channel."""
