"""What the documents, the compose file and the Makefile promise about setting up and running the bot."""

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
LOCKS = ("requirements.lock", "requirements-demo.lock", "requirements-uv.lock", "requirements-dev.lock")
STAMPS = ("run", "demo", "ready")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")


def unit() -> str:
    [found] = re.findall(r"```ini\n(.+?)```", OPERATING, re.DOTALL)
    return str(found)


def test_systemd_unit_does_not_restart_after_wrong_settings_or_a_refused_token():
    """A restart fixes neither, and each log-in with a refused token counts against the daily limit."""
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
def test_systemd_accepts_the_unit_without_a_warning(tmp_path: Path):
    """The program is replaced, because systemd checks that it exists."""
    file = tmp_path / "veo-courier.service"
    file.write_text(unit().replace("/opt/veo-courier/.venv/bin/python", sys.executable), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, timeout=30)

    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_compose_restarts_a_failing_bot_five_times():
    """Endless restarts would be a log-in per minute with a token that Discord refuses."""
    bot = COMPOSE[: COMPOSE.index("services:")]

    assert "restart: on-failure:5\n" in bot
    assert 'HTTP_HOST: "0.0.0.0"' in bot
    assert "ports:" not in COMPOSE


def pinned(lock: str) -> dict[str, str]:
    """The version of each package in a lock file."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_file_holds_versions_and_hashes_and_no_address(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]

    assert len(entries) == len(pinned(lock)) > 0
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert " @ " not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_developers_lock_file_pins_everything_at_the_same_version(lock: str):
    """`make check` audits it, and `make test` adds it to what `make demo` installed."""
    assert pinned(lock).items() <= pinned("requirements-dev.lock").items()


def planned(folder: Path, target: str) -> str:
    """What `make` would do for a target in a fresh copy of the files that set-up reads."""
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy2(ROOT / name, folder)
    command = ("make", "--dry-run", f"PYTHON={sys.executable}", target)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=True).stdout


def installed(plan: str) -> set[str]:
    return {lock for lock in LOCKS if re.search(rf"--requirement {re.escape(lock)}\b", plan)}


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@needs_make
@pytest.mark.parametrize(
    ("target", "locks"),
    [("run", {*LOCKS[:1], *LOCKS[2:3]}), ("demo", {*LOCKS[:3]}), ("test", {*LOCKS}), ("check", {*LOCKS})],
)
def test_target_installs_only_what_it_needs(tmp_path: Path, target: str, locks: set[str]):
    assert installed(planned(tmp_path, target)) == locks


@needs_make
@pytest.mark.parametrize(
    ("present", "target", "locks"),
    [
        ("demo", "run", set()),
        ("ready", "run", set()),
        ("ready", "demo", set()),
        ("run", "demo", {"requirements-demo.lock"}),
        ("demo", "test", {"requirements-dev.lock"}),
    ],
)
def test_target_adds_only_what_is_missing(tmp_path: Path, present: str, target: str, locks: set[str]):
    (tmp_path / ".venv").mkdir()
    for stamp in STAMPS[: STAMPS.index(present) + 1]:
        (tmp_path / ".venv" / stamp).touch()

    assert installed(planned(tmp_path, target)) == locks


@needs_make
def test_changed_lock_file_makes_the_environment_anew(tmp_path: Path):
    (tmp_path / ".venv").mkdir()
    for stamp in STAMPS:
        (tmp_path / ".venv" / stamp).touch()
        os.utime(tmp_path / ".venv" / stamp, (0, 0))

    assert "-m venv --clear" in planned(tmp_path, "run")
