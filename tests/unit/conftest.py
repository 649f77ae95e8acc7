"""The deliverer's environment, for the tests of downloading and posting."""

from pathlib import Path

import pytest

from bot.storage.store import Store
from tests.deliverer_env import DelivererEnv
from tests.timing import FakeClock


@pytest.fixture
def env(store: Store, clock: FakeClock, tmp_path: Path) -> DelivererEnv:
    folder = tmp_path / "videos"
    folder.mkdir()
    return DelivererEnv(store, clock, folder)
