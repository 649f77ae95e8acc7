"""Logging: redaction of secrets at every level and in both formats, the formats, and the tear-down."""

import contextlib
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

import pytest

from bot.core.masking import STARS
from bot.logs import JsonFormat, Redaction, logging_to_stderr

TOKEN = "MTIzNDU2.GhIjKl.token-of-the-bot"
KEY = 'sk-key"with\\odd-characters'
INTERACTION = "aW50ZXJhY3Rpb246MTIzNDU2Nzg5"
LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
Form = Literal["console", "json"]
FORMS: list[Form] = ["console", "json"]

logger = logging.getLogger("bot.work.poller")
Written = Callable[[], str]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    """Returns what was written to standard error since the last call."""
    return lambda: capsys.readouterr().err


@contextmanager
def logged(form: Form = "json", level: str = "DEBUG") -> Iterator[None]:
    with logging_to_stderr(level, form, [TOKEN, KEY]):
        yield


def entries(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# -- redaction -----------------------------------------------------------------------------------

LEAKS = {
    "token": (f"token is {TOKEN}", TOKEN),
    "key": (f"key is {KEY}", KEY),
    "callback url": (
        f"POST https://discord.com/api/v10/interactions/12345/{INTERACTION}/callback",
        INTERACTION,
    ),
    "webhook url": (f"https://discord.com/api/v10/webhooks/12345/{INTERACTION}?wait=1", INTERACTION),
    "webhook message url": (f"/webhooks/12345/{INTERACTION}/messages/@original", INTERACTION),
    "json": (f'{{"type": 2, "token": "{INTERACTION}", "version": 1}}', INTERACTION),
    "compact json": (f'{{"token":"{INTERACTION}"}}', INTERACTION),
    "python": (f"{{'token': '{INTERACTION}'}}", INTERACTION),
    "json in json": (json.dumps({"d": json.dumps({"token": INTERACTION})}), INTERACTION),
    "query": ("GET https://h/v.mp4?a=1&X-Amz-Signature=0123abcd", "0123abcd"),
    "key in a query": ("https://h/v1?key=AIzaSyA1234567890abcdefghij", "AIzaSyA1234567890abcdefghij"),
    "key of another service": ("invalid api key: sk-live-abcdef123456", "sk-live-abcdef123456"),
    "bot header": ("{'Authorization': 'Bot someOtherToken.x-y'}", "someOtherToken"),
    "bearer header": ("Authorization: Bearer abc/def+ghi==", "abc/def+ghi"),
    "lower case": ("authorization: bearer abcdefghi", "abcdefghi"),
    "proxy header": ("Proxy-Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "proxy url": ("http://user:hunter2@127.0.0.1:7890", "hunter2"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("level", LEVELS, ids=logging.getLevelName)
@pytest.mark.parametrize(("text", "secret"), LEAKS.values(), ids=LEAKS.keys())
def test_log_with_a_secret_in_message_or_arguments_shows_stars(
    written: Written, text: str, secret: str, level: int, form: Form
):
    """At every level and in both formats."""
    with logged(form):
        logger.log(level, text)
        logger.log(level, "got %s and %r", text, {"inner": [text]})

    out = written()
    assert len(out.splitlines()) == 2
    assert secret not in out
    assert json.dumps(secret)[1:-1] not in out
    assert out.count(STARS) == 3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("text", "secret"), LEAKS.values(), ids=LEAKS.keys())
def test_log_with_a_secret_in_a_traceback_shows_stars(written: Written, text: str, secret: str, form: Form):
    """The text of an exception and of its cause."""
    with logged(form):
        try:
            try:
                raise ValueError(text)
            except ValueError as error:
                raise RuntimeError(text) from error
        except RuntimeError:
            logger.exception("it failed")

    out = written()
    assert secret not in out
    assert json.dumps(secret)[1:-1] not in out
    assert out.count(STARS) == 2
    assert "Traceback" in out


def test_log_with_a_secret_in_a_field_shows_stars(written: Written):
    """A user may type a secret in the place of a task id."""
    with logged():
        logger.info("asked", extra={"task_id": TOKEN, "action": ["poll", TOKEN]})

    assert TOKEN not in written()


@pytest.mark.parametrize("secrets", [[], [""]])
def test_redaction_without_secrets_changes_nothing(secrets: list[str]):
    """An empty secret would put stars between all letters."""
    text = "posted vgen_1 in https://discord.com/channels/1/2/3 at 12:30, a@b.example, token refused"

    assert Redaction(secrets).clean(text) == text


# -- the formats ---------------------------------------------------------------------------------


def test_console_line_has_time_level_name_and_message(written: Written):
    """In this order."""
    with logged("console"):
        logger.warning("%s posted", "vgen_1", extra={"task_id": "vgen_1"})

    when, rest = written().rstrip("\n").split(" ", 1)
    assert datetime.fromisoformat(when).utcoffset() is not None
    assert rest == "WARNING bot.work.poller: vgen_1 posted"


def test_console_line_names_server_channel_and_person(written: Written):
    """At its end, and only those that the message does not name."""
    about = {"task_id": "vgen_1", "guild_id": 1, "channel_id": 22, "person_id": 333, "attempt": 1}
    with logged("console"):
        logger.info("%s posted", "vgen_1", extra=about)
        logger.info("server 1: channel 22 is closed", extra=about)
        logger.info("rate limited", extra=about | {"guild_id": None, "person_id": None})

    assert [line.split(": ", 1)[1] for line in written().splitlines()] == [
        "vgen_1 posted (server 1, channel 22, person 333)",
        "server 1: channel 22 is closed (task vgen_1, person 333)",
        "rate limited (task vgen_1, channel 22)",
    ]


def test_console_line_of_an_exception_names_them_before_the_traceback(written: Written):
    with logged("console"):
        try:
            raise KeyError("missing")
        except KeyError:
            logger.exception("a bug", extra={"person_id": 333})

    assert "a bug (person 333)\nTraceback" in written()


def test_json_line_has_the_ids_as_fields(written: Written):
    """One object per line; extra fields of other libraries are left out."""
    fields = {
        "action": "deliver",
        "task_id": "vgen_1",
        "delivery_id": 7,
        "guild_id": 2**63 - 1,
        "channel_id": 22,
        "person_id": 333,
        "attempt": 1,
    }
    with logged():
        logger.info("%s posted\nin two lines: “é”", "vgen_1", extra={**fields, "unknown": "x"})

    (entry,) = entries(written())
    assert datetime.fromisoformat(entry.pop("at")).utcoffset() is not None
    assert entry == {
        "level": "INFO",
        "logger": "bot.work.poller",
        "message": "vgen_1 posted\nin two lines: “é”",
        **fields,
    }


def test_json_line_with_odd_values_still_parses(written: Written):
    """Quotes, line ends, control characters, None and arbitrary objects."""
    with logged():
        logger.info('"\\\n\x00\u2028', extra={"task_id": None, "action": object()})

    (entry,) = [json.loads(line) for line in written().split("\n") if line]
    assert entry["task_id"] is None
    assert entry["action"].startswith("<object object")


def test_json_line_of_an_exception_holds_the_whole_traceback(written: Written):
    """In one line."""
    with logged():
        try:
            raise KeyError("missing")
        except KeyError:
            logger.exception("a bug")

    (entry,) = entries(written())
    assert entry["traceback"].startswith("Traceback (most recent call last):\n")
    assert entry["traceback"].endswith("KeyError: 'missing'")


def test_secret_that_json_escapes_is_masked():
    """A quote or a backslash in a key is written differently in JSON."""
    record = logging.LogRecord("n", logging.INFO, "", 0, KEY, None, None)

    assert json.loads(JsonFormat(Redaction([KEY])).format(record))["message"] == STARS


# -- levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("discord", logging.INFO),
        ("discord.gateway", logging.INFO),
        ("discord.webhook.async_", logging.INFO),
        ("aiohttp.access", logging.INFO),
        ("asyncio", logging.INFO),
        ("sqlalchemy", logging.WARNING),
        ("sqlalchemy.engine.Engine", logging.WARNING),
        ("aiosqlite", logging.WARNING),
        ("filelock", logging.WARNING),
        ("bot", logging.DEBUG),
    ],
)
def test_debug_level_keeps_verbose_libraries_at_their_level(written: Written, name: str, least: int):
    """discord.py logs interaction tokens at DEBUG, SQLAlchemy logs user texts at INFO."""
    with logged(level="DEBUG"):
        for level in LEVELS:
            logging.getLogger(name).log(level, "x")

    assert [e["level"] for e in entries(written())] == [logging.getLevelName(n) for n in LEVELS if n >= least]


@pytest.mark.parametrize("name", ["bot", "discord", "sqlalchemy"])
def test_error_level_applies_to_every_library(written: Written, name: str):
    """The minimum level of a library never lowers the configured level."""
    with logged(level="ERROR"):
        for level in LEVELS:
            logging.getLogger(name).log(level, "x")

    assert [e["level"] for e in entries(written())] == ["ERROR", "CRITICAL"]


def test_python_warnings_become_log_lines(written: Written):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with logged():
            warnings.warn("old habit", UserWarning, stacklevel=1)

    (entry,) = entries(written())
    assert entry["logger"] == "py.warnings"
    assert "old habit" in entry["message"]


# -- tear-down -----------------------------------------------------------------------------------

TOUCHED = ["", "discord", "aiohttp", "sqlalchemy", "aiosqlite", "filelock", "asyncio"]


def state() -> list[tuple[int, list[logging.Handler]]]:
    return [(each.level, list(each.handlers)) for each in map(logging.getLogger, TOUCHED)]


@pytest.mark.parametrize("fails", [False, True])
def test_logging_to_stderr_at_its_end_restores_levels_and_handlers(
    written: Written, monkeypatch: pytest.MonkeyPatch, fails: bool
):
    """Also when the program ends with an exception."""
    for name in TOUCHED[1:]:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.CRITICAL)
    before = state()

    with contextlib.suppress(KeyError), logged("console"):
        inside = state()
        if fails:
            raise KeyError
    logger.error("after the end")

    assert inside != before
    assert state() == before
    assert "after the end" not in written()


def test_logging_to_stderr_leaves_the_stream_open(capsys: pytest.CaptureFixture[str]):
    with logged():
        pass
    sys.stderr.write("still here")

    assert "still here" in capsys.readouterr().err
