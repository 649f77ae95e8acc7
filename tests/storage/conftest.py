"""The store's contract holds on both databases."""

from pathlib import Path

import pytest

from tests.conftest import one_of_both


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return one_of_both(request, tmp_path)
