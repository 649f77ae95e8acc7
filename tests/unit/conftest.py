"""The deliverer's desk, for the tests of what is fetched and of what is posted."""

from pathlib import Path

import pytest

from bot.storage.store import Store
from tests.delivery_desk import Desk
from tests.timing import FakeClock


@pytest.fixture
def desk(store: Store, clock: FakeClock, tmp_path: Path) -> Desk:
    folder = tmp_path / "videos"
    folder.mkdir()
    return Desk(store, clock, folder)
