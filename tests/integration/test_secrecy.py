"""The check that greps what the whole suite printed can fail, and sees every kind of print."""

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


@pytest.mark.parametrize("leak", [PRINTS, LOGS, WARNS], ids=["stdout", "log", "stderr"])
def test_passing_test_that_prints_a_secret_fails(
    pytester: pytest.Pytester, leak: str, capfd: pytest.CaptureFixture[str]
):
    """Passed tests are the many."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(f"def test_it():\n    {leak}\n    assert True\n")

    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    # What the inner run printed must not be taken for ours.
    capfd.readouterr()
    outcome.assert_outcomes(failed=1)
    assert any("a secret was printed" in line for line in outcome.outlines)


def test_test_that_prints_no_secret_passes(pytester: pytest.Pytester):
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile("def test_it():\n    print('nothing')\n    assert True\n")

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
