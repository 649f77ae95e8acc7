"""Log set-up: one handler to standard error, console or JSON, and redaction of every secret."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from bot.core.log_fields import current_fields, without_private_texts
from bot.core.masking import STARS, mask_credentials

# discord.py at DEBUG logs every gateway event, interaction tokens included (gateway.py), and webhook URLs
# that end in one (webhook/async_.py): these loggers never go below INFO.
_AT_LEAST = {
    "discord": logging.INFO,
    "aiohttp": logging.INFO,
    # SQLAlchemy logs every statement at INFO, with what people wrote in it.
    "sqlalchemy": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "filelock": logging.WARNING,
    "asyncio": logging.INFO,
}
_KNOWN_FIELDS = (
    "action",
    "task_id",
    "delivery_id",
    "guild_id",
    "channel_id",
    "person_id",
    "attempt",
)
# The fields at the end of a console line, unless its text contains them.
_NAMED_FIELDS = {"task_id": "task", "guild_id": "server", "channel_id": "channel", "person_id": "person"}
_WORDS = re.compile(r"[\w.-]+")


class Redaction:
    """Replaces secrets in whole records: message, arguments and traceback."""

    def __init__(self, secrets: Sequence[str]) -> None:
        # Also as repr and JSON write them, where a quote or a backslash looks different.
        forms = {form for s in secrets if s for form in (s, repr(s)[1:-1], json.dumps(s)[1:-1])}
        self._secrets = sorted(forms, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Replace every secret in `text`, and everything that looks like a credential, by stars."""
        for secret in self._secrets:
            text = text.replace(secret, STARS)
        return mask_credentials(text)


class _Format(logging.Formatter):
    """Shows tracebacks without private texts and links, because an exception's text may hold them."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return without_private_texts(super().formatException(ei))


class ConsoleFormat(_Format):
    """2027-01-15T08:00:00.000+00:00 INFO    bot.work.posting: text (server 1, channel 2, person 3)"""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__("{asctime} {levelname:<7} {name}: {message}", style="{")
        self._redaction = redaction

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return _when(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return super().formatMessage(record) + _named_fields(record)

    def format(self, record: logging.LogRecord) -> str:
        # Another handler may have put its own text of the traceback there.
        record.exc_text = None
        return self._redaction.clean(super().format(record))


def _named_fields(record: logging.LogRecord) -> str:
    """Return the ids that the text leaves out, in brackets."""
    fields, words = _fields(record), set(_WORDS.findall(record.message))
    named = [
        f"{label} {fields[name]}"
        for name, label in _NAMED_FIELDS.items()
        if fields.get(name) is not None and str(fields[name]) not in words
    ]
    return f" ({', '.join(named)})" if named else ""


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    """Return the record's own fields, else those of its job."""
    known = {**current_fields(), **vars(record)}
    return {name: known[name] for name in _KNOWN_FIELDS if name in known}


class JsonFormat(_Format):
    """One JSON object a line. Ids are separate fields: the record's own, else those of its job."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": _when(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _fields(record)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: self._safe(value) for name, value in entry.items()}, ensure_ascii=False)

    def _safe(self, value: object) -> object:
        """Redact a value before JSON escapes it, because a token in a text is recognised by its quotes."""
        return value if value is None or isinstance(value, int) else self._redaction.clean(str(value))


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")


@contextmanager
def logging_to_stderr(level: str, form: Literal["console", "json"], secrets: Sequence[str]) -> Iterator[None]:
    """Set up the root logger, and undo everything at the end."""
    redaction = Redaction(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat(redaction) if form == "json" else ConsoleFormat(redaction))
    root = logging.getLogger()
    touched = [root, *(logging.getLogger(name) for name in _AT_LEAST)]
    before = [each.level for each in touched]
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in _AT_LEAST.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        for each, earlier in zip(touched, before, strict=True):
            each.setLevel(earlier)
        handler.close()
