"""Which database a DATABASE_URL names. Apart from the storage, so that settings load no library for it."""

SQLITE_PREFIX = "sqlite:///"
POSTGRESQL_PREFIXES = ("postgresql://", "postgres://")


def is_postgresql(url: str) -> bool:
    """Whether a DATABASE_URL names PostgreSQL, which several processes may share."""
    return url.startswith(POSTGRESQL_PREFIXES)
