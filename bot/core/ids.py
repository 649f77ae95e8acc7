"""Reading task ids out of what people paste: ids, a URL, the API's JSON reply, or a chat message.

Ids are opaque: vgen_…, sora_…, proj_… and video_<uuid> all live on the same endpoint, so `read_ids` asks for
no prefix. `find_ids` searches prose, where every word would be an id, and so takes only known shapes.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MAX_IDS = 20
MAX_DEPTH = 8

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SEPARATORS = re.compile(r"[\s,;]+")
_ID_KEYS = ("id", "task_id", "taskId", "projectId")
# Families of GET /v1/result/{id}: see the README's list of tested services.
# No upper bound here: a longer text is no id, and its beginning would be another id.
_KNOWN = re.compile(r"(?<![A-Za-z0-9._-])(?:vgen|sora|proj|video)_[A-Za-z0-9][A-Za-z0-9._:-]{2,}")
_IN_PATH = re.compile(r"/result/([^/?#\s\"'<>]+)")
_FILE_ENDING = ".mp4"  # a link to the video itself carries the id as its file name
_TRIM = "`'\"<>()[]{}*|"


@dataclass(frozen=True, slots=True)
class IdText:
    """What a text held: valid ids in order, each once, and the pieces that cannot be ids."""

    ids: tuple[str, ...]
    malformed: tuple[str, ...] = ()


def is_task_id(text: str) -> bool:
    """Whether `text` could be an id: 1 to 128 of A-Z a-z 0-9 . _ : -, and not only dots.

    "." and ".." are refused since a URL path would swallow them.
    """
    return _ID.fullmatch(text) is not None and text.strip(".") != ""


def read_ids(text: str) -> IdText:
    """Read the ids of a command's option. Everything else in it is returned as malformed."""
    text = text.strip()
    from_json = _from_json(text)
    pieces = from_json if from_json is not None else [p for p in _SEPARATORS.split(text) if p]
    ids: dict[str, None] = {}
    malformed: dict[str, None] = {}
    for piece in pieces:
        candidate = _from_url(piece) if "://" in piece else piece.strip(_TRIM)
        if candidate is not None and is_task_id(candidate):
            ids[candidate] = None
        else:
            malformed[piece] = None
    return IdText(tuple(ids), tuple(malformed))


def find_ids(message: str) -> tuple[str, ...]:
    """Find ids in a message: known shapes, and what follows /result/ in a URL."""
    found: dict[int, str] = {m.start(): _tidy(m.group()) for m in _KNOWN.finditer(message)}
    for match in _IN_PATH.finditer(message):
        candidate = _tidy(unquote(match.group(1)))
        if is_task_id(candidate):
            found.setdefault(match.start(1), candidate)
    return tuple(dict.fromkeys(found[start] for start in sorted(found) if is_task_id(found[start])))


def _from_url(url: str) -> str | None:
    """The last path segment: GET {base}/v1/result/{id}. None when the URL has none."""
    try:
        path = urlsplit(url.strip(_TRIM)).path
    except ValueError:
        return None
    return unquote(path.rstrip("/").rpartition("/")[2]).removesuffix(_FILE_ENDING) or None


def _tidy(found: str) -> str:
    """Without the sentence's punctuation, which ids may contain but hardly end with."""
    return found.rstrip(".:-" + _TRIM).removesuffix(_FILE_ENDING)


def _from_json(text: str) -> list[str] | None:
    """The ids of a pasted reply; None when the text is no JSON object or list."""
    if not text.startswith(("{", "[")):
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return list(_ids_of(value, MAX_DEPTH))


def _ids_of(value: object, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                yield item
            else:
                yield from _ids_of(item, depth - 1)
    elif isinstance(value, dict):
        named = [value[key] for key in _ID_KEYS if isinstance(value.get(key), str)]
        if named:
            yield named[0]
        else:
            yield from _ids_of(value.get("data"), depth - 1)
