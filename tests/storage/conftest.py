"""Every test of the store runs on both databases."""

from pathlib import Path

import pytest

from tests.conftest import database_url_of


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url_of(request, tmp_path)
