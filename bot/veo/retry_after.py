"""Reads Retry-After (RFC 9110, 10.2.3): seconds or a date."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bot.core.clock import system_clock, to_datetime

# A header that asks for more is a mistake or an attack.
_MAX_SECONDS = 3600.0
_SECONDS = re.compile(r"[+-]?\d{1,12}(\.\d{1,9})?", re.ASCII)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return one header of any mapping. Header names have no case, but the keys of a plain dict do."""
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, within [0, 3600], or None without a usable header."""
    text = (header(headers, "Retry-After") or "").strip()
    wait = float(text) if _SECONDS.fullmatch(text) else _seconds_until(text, headers)
    return None if wait is None else min(max(wait, 0.0), _MAX_SECONDS)


def _seconds_until(text: str, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the reply's Date, because the clocks of the two machines may differ."""
    moment = http_date(text)
    if moment is None:
        return None
    now = http_date(header(headers, "Date") or "") or to_datetime(system_clock())
    return (moment - now).total_seconds()


def http_date(text: str) -> datetime | None:
    """Return the moment that a header such as Date names; None when it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
