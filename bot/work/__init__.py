"""The durable loops and what they do with each piece of work; no discord, aiohttp or sqlalchemy in here."""
