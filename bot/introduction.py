"""The log lines at the start: what runs, with which database and address, without a secret."""

import platform
from urllib.parse import urlsplit

from bot.core.version import VERSION
from bot.settings import Role, Settings
from bot.storage.sqlite_files import sqlite_path


def introduction(settings: Settings, role: Role) -> list[str]:
    """Return the two lines."""
    http = "none" if settings.http_port is None else f"{_host(settings.http_host)}:{settings.http_port}"
    what = (
        f"veo-courier {VERSION}, Python {platform.python_version()}, role {role}; "
        f"database: {_database(settings)}; videos: {_video_folder(settings)}; HTTP: {http}"
    )
    polls = (
        f"video API: {settings.veo_api_url}; POLL_INTERVAL {settings.poll_interval:g} s, "
        f"POLL_RATE {settings.poll_rate:g} a second"
    )
    return [what, polls]


def _database(settings: Settings) -> str:
    if not settings.on_postgresql:
        return f"SQLite, {sqlite_path(settings.database).absolute()}"
    address = urlsplit(settings.database)
    port = "" if address.port is None else f":{address.port}"
    return f"PostgreSQL, {_host(address.hostname or 'localhost')}{port}{address.path}"


def _video_folder(settings: Settings) -> str:
    return str((settings.data_dir / "videos").absolute())


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
