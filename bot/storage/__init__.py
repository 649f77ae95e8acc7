"""The database: one store over SQLAlchemy Core. No other package imports sqlalchemy."""
