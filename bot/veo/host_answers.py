"""Decides what a video host's answer means for the download: a pure function for answers, one for failures.

Status codes, Content-Range and If-Range are those of RFC 9110 (14.2, 14.4, 13.1.5, 15.3.7). The host is not
trusted: every status, header and exception that is not named here has a reaction as well.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

import aiohttp

from bot.core.errors import LinkRefused, VideoUnusable
from bot.media.part_file import Representation
from bot.veo.retry_after import header, http_date

# The box type `ftyp` follows the first box's size (ISO/IEC 14496-12, 4.3): the first bytes that tell an MP4.
MP4_HEAD: Final = 8

# The answers whose body can be the video.
VIDEO_STATUSES: Final = frozenset({200, 203, 206})
# These concern the moment, not the link.
_TRANSIENT = frozenset({408, 425, 429})
# These can concern the Range or If-Range header alone.
_ABOUT_THE_RANGE = frozenset({400, 412, 416})
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", re.ASCII | re.IGNORECASE)
_CONTENT_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,512}"')
# A date is a strong validator when the file is at least this much older than the answer (RFC 9110, 8.8.2.2).
_STRONG_DATE_AGE = timedelta(seconds=1)


class HostReaction(StrEnum):
    """What the downloader does with an answer."""

    TAKE = "take"
    """The body is the video, from its first byte or from the byte that was requested."""
    RESTART = "restart"
    """The bytes of the part file are of no use: begin at byte 0."""
    TRY_LATER = "try_later"
    """The network or the host failed for the moment."""
    ODD = "odd"
    """The host answered without the video: often for ever, sometimes only for now."""
    NEVER = "never"
    """No later answer can help."""


@dataclass(frozen=True, slots=True)
class BodyRange:
    """The bytes of the video that a body holds: from `start` on; `whole` when it is all of them.

    `length` is the video's, None when the answer does not state it.
    """

    start: int
    length: int | None
    whole: bool


def body_range(status: int, headers: Mapping[str, str]) -> BodyRange | None:
    """Return the bytes that a body holds; None for a status without a video and for an unclear 206."""
    if status not in VIDEO_STATUSES:
        return None
    if status != 206:
        return BodyRange(0, _content_length(headers), whole=True)
    match = _CONTENT_RANGE.fullmatch(header(headers, "Content-Range") or "")
    if match is None:
        return None
    start, end = int(match[1]), int(match[2])
    length = None if match[3] == "*" else int(match[3])
    if end < start or (length is not None and end >= length):
        return None
    return BodyRange(start, length, whole=start == 0 and length in (None, end + 1))


def validator_of(headers: Mapping[str, str]) -> str | None:
    """Return what If-Range may carry: a strong ETag, or a strong date if there is no ETag (13.1.5)."""
    etag = header(headers, "ETag")
    if _is_encoded(headers):
        return None  # the bytes in the part file are not those that the host counts
    if etag is not None:
        return etag.strip() if _STRONG_ETAG.fullmatch(etag.strip()) else None
    modified = header(headers, "Last-Modified")
    changed, now = http_date(modified or ""), http_date(header(headers, "Date") or "")
    if modified is None or changed is None or now is None or now - changed < _STRONG_DATE_AGE:
        return None
    return modified.strip()


def read_host_answer(
    status: int,
    headers: Mapping[str, str],
    first_bytes: bytes,
    *,
    resumed_at: int = 0,
    part: Representation | None = None,
    max_bytes: int | None = None,
) -> HostReaction:
    """Return the reaction to an answer whose body begins with `first_bytes`.

    These are MP4_HEAD bytes, fewer only when the body is shorter. `resumed_at` is the first byte that was
    requested, for a part file that holds `part`.
    """
    if status in _TRANSIENT or 500 <= status < 600:
        return HostReaction.TRY_LATER
    if status not in VIDEO_STATUSES:
        restarts = resumed_at > 0 and status in _ABOUT_THE_RANGE
        return HostReaction.RESTART if restarts else HostReaction.ODD
    body = body_range(status, headers)
    if resumed_at > 0 and (body is None or not body.whole):
        return _read_rest(body, headers, first_bytes, resumed_at, part, max_bytes)
    if not _is_mp4(first_bytes) or (body is not None and not body.whole):
        return HostReaction.ODD
    if body is not None and _is_too_large(body, max_bytes):
        return HostReaction.NEVER
    return HostReaction.RESTART if resumed_at > 0 else HostReaction.TAKE


def read_host_failure(error: BaseException) -> HostReaction:
    """Return the reaction to an exception of aiohttp, ssl, socket, or of our own checks of an address."""
    if isinstance(error, (LinkRefused, aiohttp.TooManyRedirects)):
        return HostReaction.ODD
    if isinstance(error, (VideoUnusable, aiohttp.InvalidURL, UnicodeError)):
        return HostReaction.NEVER  # UnicodeError: a host name that cannot be encoded
    return HostReaction.TRY_LATER


def _read_rest(
    body: BodyRange | None,
    headers: Mapping[str, str],
    first_bytes: bytes,
    resumed_at: int,
    part: Representation | None,
    max_bytes: int | None,
) -> HostReaction:
    """Return the reaction to a 206 that should continue at `resumed_at`."""
    if body is None or body.start != resumed_at or _is_encoded(headers):
        return HostReaction.RESTART
    if part is not None and not _is_same(part, body, headers):
        return HostReaction.RESTART
    if not first_bytes:
        return HostReaction.ODD
    return HostReaction.NEVER if _is_too_large(body, max_bytes) else HostReaction.TAKE


def _is_same(part: Representation, body: BodyRange, headers: Mapping[str, str]) -> bool:
    """Whether the rest belongs to the part file. Hosts that ignore If-Range are checked as well.

    A 206 must repeat the ETag (15.3.7), but need not repeat Last-Modified.
    """
    if None not in (part.length, body.length) and part.length != body.length:
        return False
    if part.has_etag:
        return (header(headers, "ETag") or "").strip() == part.validator
    modified = header(headers, "Last-Modified")
    return modified is None or modified.strip() == part.validator


def _is_too_large(body: BodyRange, max_bytes: int | None) -> bool:
    return max_bytes is not None and body.length is not None and body.length > max_bytes


def _is_mp4(first_bytes: bytes) -> bool:
    return first_bytes[4:MP4_HEAD] == b"ftyp"


def _content_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of the body; None for an encoded one, because its length on the wire is another."""
    text = (header(headers, "Content-Length") or "").strip()
    return int(text) if _CONTENT_LENGTH.fullmatch(text) and not _is_encoded(headers) else None


def _is_encoded(headers: Mapping[str, str]) -> bool:
    encoding = header(headers, "Content-Encoding") or "identity"
    return encoding.strip().lower() not in {"", "identity"}
