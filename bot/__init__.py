"""A Discord bot that waits for Veo videos and posts them where they were asked for."""
