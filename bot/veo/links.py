"""Finds the link of the finished video in a reply: under a documented key, or as the only link."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

# `video_url` is documented; other models of the same endpoint fill in the other keys.
_LINK_KEYS = ("video_url", "result_url", "videoUrl", "resultUrl")
_MAX_DEPTH = 6
_MAX_TEXTS = 200
# Signed links carry a session token of some 2,000 characters.
_MAX_URL = 8192
_VIDEO_ENDING = re.compile(r"\.(?:mp4|m4v|mov|webm)$", re.IGNORECASE)
_OTHER_ENDING = re.compile(
    r"\.(?:png|jpe?g|webp|gif|bmp|svg|heic|avif|tiff?|ico|json|txt|html?|xml|pdf|mp3|wav|m4a|aac|srt|vtt|zip)$",
    re.IGNORECASE,
)
# Keys of pictures, and of what was sent to the API instead of made by it.
_OTHER_KEY = re.compile(
    r"image|img|pic|cover|thumb|poster|frame|preview|avatar|logo|icon|audio|sound|subtitle|caption"
    r"|input|request|param|prompt|reference|callback|webhook|doc|help|status_url|cancel|polling"
    r"|^(?:get|self|links?|web|href)$",
    re.IGNORECASE,
)


def own_link(task: Mapping[str, Any]) -> str | None:
    """Return the link under a documented key; None without one."""
    return next((link for key in _LINK_KEYS for link in _links(task.get(key), _MAX_DEPTH)), None)


def video_link(task: Mapping[str, Any]) -> str | None:
    """Return the http(s) link of the video; None when there is none, or several and no way to tell which."""
    if link := own_link(task):
        return link
    found = list(dict.fromkeys(_links(task, _MAX_DEPTH)))
    named = [link for link in found if _VIDEO_ENDING.search(urlsplit(link).path)]
    only = named if len(found) > 1 else found
    return only[0] if len(only) == 1 else None


def _links(value: object, depth: int) -> Iterator[str]:
    """Yield every link that may be the video's, in the order of the reply."""
    if depth == 0:
        return
    if isinstance(value, str):
        text = value.strip()
        if _is_link(text):
            yield text
        elif text.startswith(("{", "[")):
            yield from _links(_json_in(text), depth - 1)
    elif isinstance(value, list):
        for item in value[:_MAX_TEXTS]:
            yield from _links(item, depth - 1)
    elif isinstance(value, Mapping):
        for key, item in list(value.items())[:_MAX_TEXTS]:
            if not _OTHER_KEY.search(str(key)) or (key == "href" and _is_video_file(item)):
                yield from _links(item, depth - 1)


def _is_video_file(value: object) -> bool:
    """Whether it is a link that ends like a video file. Any other `href` is a page of the API."""
    link = value.strip() if isinstance(value, str) else ""
    return _is_link(link) and bool(_VIDEO_ENDING.search(urlsplit(link).path))


def _is_link(text: str) -> bool:
    if len(text) > _MAX_URL or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and not _OTHER_ENDING.search(parts.path)


def _json_in(text: str) -> object:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
