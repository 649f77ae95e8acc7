"""Which bytes of a video a request gets: Range and If-Range (RFC 9110, 14.2 and 13.1.5)."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

from sandbox.video_api.clips import Clip

# etag: a strong ETag and a date. date: Last-Modified alone. weak: a weak ETag. none: no validator.
Validator = Literal["etag", "date", "weak", "none"]

# The clip's Last-Modified.
_MODIFIED = formatdate(1_760_000_000, usegmt=True)
_FROM_A_BYTE_ON = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Slice:
    """The bytes of one answer: from `start` up to, but not including, `end`. `status` is 200, 206 or 416."""

    status: int
    start: int
    end: int


def validators(clip: Clip, kind: Validator) -> dict[str, str]:
    """The headers that identify this version of the file."""
    date = {"Date": formatdate(time.time(), usegmt=True)}
    if kind == "etag":
        return date | {"ETag": clip.etag, "Last-Modified": _MODIFIED}
    if kind == "weak":
        return date | {"ETag": f"W/{clip.etag}", "Last-Modified": _MODIFIED}
    return date | ({"Last-Modified": _MODIFIED} if kind == "date" else {})


def asked_for(headers: Mapping[str, str], clip: Clip, kind: Validator) -> Slice:
    """The whole clip, or the Range of the request if its If-Range (where present) matches this version."""
    whole = Slice(200, 0, clip.size)
    match = _FROM_A_BYTE_ON.fullmatch(headers.get("Range", ""))
    if match is None or not _is_this_version(headers.get("If-Range"), clip, kind):
        return whole
    start, end = int(match[1]), int(match[2] or clip.size - 1) + 1
    return Slice(206, start, min(end, clip.size)) if start < min(end, clip.size) else Slice(416, 0, 0)


def _is_this_version(if_range: str | None, clip: Clip, kind: Validator) -> bool:
    """A weak ETag never matches."""
    named = {"etag": {clip.etag, _MODIFIED}, "date": {_MODIFIED}, "weak": set(), "none": set()}
    return if_range is None or if_range in named[kind]
