"""The durable loops and their handlers. Nothing here imports discord, aiohttp or sqlalchemy."""
