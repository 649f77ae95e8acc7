"""The check that greps what the whole suite printed can fail, and sees every kind of print."""

import re
from pathlib import Path

import pytest

from tests.secrecy import SECRETS, leaked

CONFTEST = Path(__file__).parents[1] / "conftest.py"
PRINTS = "print('Bearer stand-in-token')"
LOGS = "import logging; logging.getLogger('bot').warning('key %s', 'stand-in-key')"
WARNS = "import sys; sys.stderr.write('/interactions/1/stand-in-interaction-abc/callback')"

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("secret", SECRETS)
def test_secret_in_a_log_is_found_with_its_surroundings(secret: str):
    assert leaked(f"a harmless line\nsent {secret}xyz to Discord\n") == [
        f"a harmless line\nsent {secret}xyz to Dis"
    ]


def test_clean_log_is_clean():
    assert leaked("INFO bot.app: ready as courier in 3 servers\nAuthorization: ********\n") == []


INSIDE = f"""
def test_stdout():
    {PRINTS}
    assert True

def test_log():
    {LOGS}
    assert True

def test_stderr():
    {WARNS}
    assert True

def test_file(tmp_path):
    (tmp_path / 'deep').mkdir()
    (tmp_path / 'deep' / 'bot.log').write_bytes(b'\\xff stand-in-key')

def test_failing():
    {PRINTS}
    assert 1 == 2

def test_clean():
    print('nothing')
"""


@pytest.fixture
def said(pytester: pytest.Pytester, capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What a run of pytest on these tests, with our conftest.py, said about each: by its heading."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(INSIDE)
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    # What the inner run printed must not be taken for ours.
    capfd.readouterr()
    # Passed: the test that leaves a file, whose end is the error, and the clean one.
    outcome.assert_outcomes(passed=2, failed=4, errors=1)
    headed = re.split(
        r"^_+ (?:ERROR at teardown of )?(test_\w+) _+$", outcome.stdout.str(), flags=re.MULTILINE
    )
    return dict(zip(headed[1::2], headed[2::2], strict=True))


def test_test_that_prints_a_secret_or_leaves_it_in_a_file_fails(said: dict[str, str]):
    """Passed tests are the many; every file is read, however deep: each bot process logs into one."""
    assert said.keys() == {"test_stdout", "test_log", "test_stderr", "test_file", "test_failing"}
    for name in ("test_stdout", "test_log", "test_stderr", "test_failing"):
        assert "a secret was printed" in said[name]
    assert "deep/bot.log" in said["test_file"]
    # Its own reason is still told.
    assert "assert 1 == 2" in said["test_failing"]
