"""The first lines of the log: versions, database, folders, API."""

import platform
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bot.core.version import VERSION
from bot.introduction import introduction
from bot.settings import Role, read_settings

ROOT = Path(__file__).parents[2]
KEYS = {"discord_token": "a-token-of-the-bot", "veo_api_key": "a-key-of-the-api"}


def said(role: Role = Role.ALL, **settings: Any) -> str:
    return "\n".join(introduction(read_settings(_env_file=None, **KEYS, **settings), role))


def test_introduction_names_versions_database_folders_and_api(tmp_path: Path):
    text = said(data_dir=tmp_path, http_port=9100)

    assert text == (
        f"veo-courier {VERSION}, Python {platform.python_version()}, role all; "
        f"database: SQLite, {tmp_path}/bot.db; videos: {tmp_path}/videos; HTTP: 127.0.0.1:9100\n"
        "video API: https://zcbservice.aizfw.cn/kyyReactApiServer; POLL_INTERVAL 30 s, POLL_RATE 10 a second"
    )


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://courier:hunter22@db/courier", "PostgreSQL, db/courier;"),
        ("postgresql://courier:hunter22@db.example:6543/courier?ssl=require", "db.example:6543/courier;"),
        ("postgresql://courier:hunter22@[::1]:5432/courier", "[::1]:5432/courier;"),
    ],
)
def test_introduction_holds_no_password(address: str, told: str):
    text = said(Role.WORK, database_url=address)

    assert told in text
    assert "role work" in text
    assert "HTTP: none" in text
    for secret in ("hunter22", *KEYS.values()):
        assert secret not in text


def test_folders_are_logged_as_absolute_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A relative `data` does not say where it is."""
    monkeypatch.chdir(tmp_path)

    assert f"SQLite, {tmp_path}/data/bot.db; videos: {tmp_path}/data/videos" in said()


def test_version_equals_the_packages_version():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert package["project"]["version"] == VERSION
