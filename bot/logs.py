"""Log set-up: one handler to standard error, console or JSON, and redaction of every secret."""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from bot.core.log_fields import current_fields
from bot.core.masking import STARS, mask_credentials

# discord.py at DEBUG logs every gateway event, interaction tokens included (gateway.py), and webhook URLs
# that end in one (webhook/async_.py): these loggers never go below INFO.
_AT_LEAST = {
    "discord": logging.INFO,
    "aiohttp": logging.INFO,
    # SQLAlchemy tells every statement at INFO, with what people wrote in it.
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
    "attempt",
)


class Redaction:
    """Replaces secrets in whole records: message, arguments and traceback alike."""

    def __init__(self, secrets: Sequence[str]) -> None:
        # Also as repr and JSON write them, where a quote or a backslash looks different.
        forms = {form for s in secrets if s for form in (s, repr(s)[1:-1], json.dumps(s)[1:-1])}
        self._secrets = sorted(forms, key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, STARS)
        return mask_credentials(text)


class ConsoleFormat(logging.Formatter):
    """2027-01-15T08:00:00Z INFO    bot.work.poller: text"""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__("{asctime} {levelname:<7} {name}: {message}", style="{")
        self._redaction = redaction

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return _when(record)

    def format(self, record: logging.LogRecord) -> str:
        return self._redaction.clean(super().format(record))


class JsonFormat(logging.Formatter):
    """One JSON object a line; ids are fields of their own: the record's, else those of its job."""

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
        known = {**current_fields(), **vars(record)}
        entry |= {name: known[name] for name in _KNOWN_FIELDS if name in known}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: self._safe(value) for name, value in entry.items()}, ensure_ascii=False)

    def _safe(self, value: object) -> object:
        """Cleaned before JSON escapes the quotes by which a token in a text is known."""
        return value if value is None or isinstance(value, int) else self._redaction.clean(str(value))


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")


@contextmanager
def logging_to_stderr(level: str, form: Literal["console", "json"], secrets: Sequence[str]) -> Iterator[None]:
    """Sets the root logger up and takes everything back at the end."""
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
