"""What the bot remembers: one store over SQLAlchemy Core; nothing outside imports sqlalchemy."""
