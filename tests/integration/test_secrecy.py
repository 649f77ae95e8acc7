"""The check that greps what the whole suite printed can fail, and sees every kind of print."""

from collections.abc import Callable
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


@pytest.fixture
def run_inside(
    pytester: pytest.Pytester, capfd: pytest.CaptureFixture[str]
) -> Callable[[str], pytest.RunResult]:
    """A run of pytest on one file, with our conftest.py."""

    def run(source: str) -> pytest.RunResult:
        pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        pytester.makepyfile(source)
        outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
        # What the inner run printed must not be taken for ours.
        capfd.readouterr()
        return outcome

    return run


@pytest.mark.parametrize("leak", [PRINTS, LOGS, WARNS], ids=["stdout", "log", "stderr"])
def test_passing_test_that_prints_a_secret_fails(run_inside: Callable[[str], pytest.RunResult], leak: str):
    """Passed tests are the many."""
    outcome = run_inside(f"def test_it():\n    {leak}\n    assert True\n")

    outcome.assert_outcomes(failed=1)
    assert any("a secret was printed" in line for line in outcome.outlines)


def test_passing_test_whose_process_logs_a_secret_fails(run_inside: Callable[[str], pytest.RunResult]):
    """Every file that it leaves is read, however deep: each bot process logs into one."""
    write = "(tmp_path / 'deep').mkdir(); (tmp_path / 'deep' / 'bot.log').write_bytes(b'\\xff stand-in-key')"

    outcome = run_inside(f"def test_it(tmp_path):\n    {write}\n    assert True\n")

    outcome.assert_outcomes(passed=1, errors=1)
    assert any("deep/bot.log" in line for line in outcome.outlines)


def test_failing_test_that_prints_a_secret_still_tells_why(run_inside: Callable[[str], pytest.RunResult]):
    outcome = run_inside(f"def test_it():\n    {PRINTS}\n    assert 1 == 2\n")

    outcome.assert_outcomes(failed=1)
    assert any("assert 1 == 2" in line for line in outcome.outlines)
    assert any("a secret was printed" in line for line in outcome.outlines)


def test_test_that_prints_no_secret_passes(run_inside: Callable[[str], pytest.RunResult]):
    outcome = run_inside("def test_it():\n    print('nothing')\n")

    outcome.assert_outcomes(passed=1)
