"""The MP4 file: whether it is whole, how long and large it is, and how to make it fit a channel."""
