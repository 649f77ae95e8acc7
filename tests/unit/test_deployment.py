"""What the documents and the compose file promise about running the bot."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")


def unit() -> str:
    [found] = re.findall(r"```ini\n(.+?)```", OPERATING, re.DOTALL)
    return str(found)


def test_systemd_unit_restarts_only_what_a_restart_may_mend():
    """Settings that are wrong and a refused token stay so; every log-in with the latter counts."""
    read = ConfigParser(interpolation=None, strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(unit())
    service = read["Service"]

    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2 77")
    assert int(service["TimeoutStopSec"]) == 30
    assert service["WorkingDirectory"] == "%S/" + service["StateDirectory"]
    assert service["Environment"] == f"DATA_DIR={service['WorkingDirectory']}"
    for order in ("Wants", "After"):
        assert set(read["Unit"][order].split()) == {"network-online.target", "time-sync.target"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path):
    """Without a warning; the program is another one, because it must exist."""
    file = tmp_path / "veo-courier.service"
    file.write_text(unit().replace("/opt/veo-courier/.venv/bin/python", sys.executable), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, timeout=30)

    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_compose_gives_up_on_a_bot_that_cannot_start():
    """For ever is a log-in every minute with a token that Discord refuses."""
    bot = COMPOSE[: COMPOSE.index("services:")]

    assert "restart: on-failure:5\n" in bot
    assert 'HTTP_HOST: "0.0.0.0"' in bot
    assert "ports:" not in COMPOSE
