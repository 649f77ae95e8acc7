"""A Discord bot that waits for Veo videos and posts them in the channel in which they were requested."""
