"""Reads task ids from pasted text: ids, a URL, the API's JSON reply, a curl command, a log line.

Ids are opaque: vgen_…, sora_…, proj_… and video_<uuid> are all polled at the same address, and other services
have other shapes. A text is read in three steps, and the first that finds an id decides:

1. A JSON reply: the values of its id keys.
2. Known shapes and ids in URLs, wherever they stand; the rest of the text is ignored.
3. A list of bare words, each of them an id.

An option, a header or a credential among the words shows that the text is no list. Such a text is refused as
a whole, and nothing of it may be shown.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

from bot.core.masking import looks_like_credential

MAX_IDS = 20
MAX_DEPTH = 8

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# Spaces, and the commas and semicolons of every script.
_SEPARATORS = re.compile("[\\s,;\uff0c\u3001\uff1b\u060c]+")
# Zero-width characters, and other format characters that a copy from a chat or a web page may carry.
_INVISIBLE = re.compile("[\\x00-\\x08\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_FENCE = re.compile(r"```(?:[A-Za-z0-9_+-]*\n)?(.*?)```", re.DOTALL)
_ID_KEYS = ("id", "task_id", "taskId", "projectId")
# Shapes of ids of GET /v1/result/{id}. The first three occur in no other word. The others do, as in
# `video_url`, so they need a digit. There is no upper bound, because a part of a longer text is no id.
_KNOWN_SHAPE = (
    r"(?:(?<![A-Za-z0-9._@-])|(?<=\bveo_)|(?<![A-Za-z0-9._-])_{1,3})(?P<id>"
    r"(?:vgen|sora|mcp)_[A-Za-z0-9][A-Za-z0-9._:-]{%d,}"
    r"|(?:proj|video|task)_(?=[A-Za-z0-9._:-]*\d)[A-Za-z0-9][A-Za-z0-9._:-]*"
    r")"
)
_KNOWN = re.compile(_KNOWN_SHAPE % 2)
# A command's option is about tasks, so short ids count there as well.
_KNOWN_OR_SHORT = re.compile(_KNOWN_SHAPE % 0)
_KNOWN_SEGMENT = re.compile(r"(?:vgen|sora|mcp|proj|video|task)_[A-Za-z0-9][A-Za-z0-9._:-]*")
_URL = re.compile(r"\bhttps?://[^\s\"'<>`]+", re.IGNORECASE)
# Path segments before an id, and query parameters that hold one.
_COLLECTIONS = frozenset(
    {"result", "results", "task", "tasks", "video", "videos", "generation", "generations"}
)
_QUERY_KEYS = frozenset({"id", "ids", "task_id", "taskid", "projectid", "video_id"})
_FILE_ENDING = ".mp4"  # a link to the video itself carries the id as its file name
_TRIM = "`'\"<>()[]{}*|!?\u201c\u201d\u2018\u2019\u00ab\u00bb\u3002\uff01\uff1f"
_LABELS = frozenset({"id", "ids", "task", "tasks", "task_id", "taskid", "task-id", "and"})
# Behind the beginning of an id that a card shows in a few characters: the rest of it is missing.
_SHORTENED = "\u2026"
# The number or the bullet of a list.
_BULLET = re.compile("(?:[-*\u2022\u2013\u2014]|[(]?[0-9]{1,3}[.)])")


@dataclass(frozen=True, slots=True)
class IdText:
    """The ids in a text, in order and each once, and the words that cannot be ids.

    `refused`: something in the text may be a secret, so nothing of it may be used or shown.
    """

    ids: tuple[str, ...]
    malformed: tuple[str, ...] = ()
    refused: bool = False


def is_task_id(text: str) -> bool:
    """Whether `text` could be an id: 1 to 128 of A-Z a-z 0-9 . _ : -, and not only dots.

    "." and ".." are refused because a URL path drops them.
    """
    return _ID.fullmatch(text) is not None and text.strip(".") != ""


def read_ids(text: str) -> IdText:
    """Read the ids of a command's option."""
    text = _plain(text)
    ids = _from_json(text)
    if ids is not None:
        return _checked(ids)
    ids = _find_ids(text, _KNOWN_OR_SHORT)
    return _checked(ids) if ids else _from_words(text)


def find_ids(message: str) -> tuple[str, ...]:
    """Find ids in a message: known shapes, and ids in URLs that lead to a task."""
    return _find_ids(_plain(message), _KNOWN)


def _find_ids(message: str, shape: re.Pattern[str]) -> tuple[str, ...]:
    shapes = (m for m in shape.finditer(message) if not message.startswith(_SHORTENED, m.end()))
    found = {m.start("id"): _tidy(m["id"]) for m in shapes}
    for match in _URL.finditer(message):
        candidate = _from_url(match.group(), only_collections=True)
        if candidate is not None:
            found[match.start()] = candidate
            _drop_inside(found, match)
    ids = dict.fromkeys(found[start] for start in sorted(found))
    return tuple(i for i in ids if is_task_id(i) and not _is_secret(i))


def _plain(text: str) -> str:
    r"""Remove invisible characters, and the backslash of `vgen\_x`, which escapes markdown."""
    return _INVISIBLE.sub("", text).replace("\\_", "_").strip()


def _drop_inside(found: dict[int, str], url: re.Match[str]) -> None:
    """Drop known shapes inside a URL: they are the URL's id once more, or part of a file's name."""
    for start in [start for start in found if url.start() < start < url.end()]:
        del found[start]


def _checked(candidates: tuple[str, ...] | list[str]) -> IdText:
    """Sort candidates into ids and malformed words. One that looks like a secret refuses the whole text."""
    if any(_is_secret(candidate) for candidate in candidates):
        return IdText((), refused=True)
    unique = dict.fromkeys(candidates)
    return IdText(tuple(c for c in unique if is_task_id(c)), tuple(c for c in unique if not is_task_id(c)))


def _from_words(text: str) -> IdText:
    """Read a list of bare words. Words that only label or number the list are left out."""
    words = [word for word in _SEPARATORS.split(text) if word and not _BULLET.fullmatch(word)]
    words = [word for word in words if word.lower().strip(":=" + _TRIM) not in _LABELS or len(words) == 1]
    if any(_is_no_list(word) for word in words):
        return IdText((), refused=True)
    return _checked([_from_word(word) for word in words])


def _from_word(word: str) -> str:
    if _URL.match(word.strip(_TRIM)):
        return _from_url(word.strip(_TRIM), only_collections=False) or word
    return _tidy(word.strip(_TRIM)) or word


def _is_no_list(word: str) -> bool:
    """Whether a word shows that the text is a command, a header or a secret, and no list of ids."""
    bare = word.strip(_TRIM)
    if _URL.match(bare):
        return False
    if bare.startswith("-") or bare.endswith((":", "=")) or "\uff1a" in bare or _is_secret(bare):
        return True
    name, equals, value = bare.partition("=")
    return bool(equals and name and value)


def _is_secret(word: str) -> bool:
    """Whether a word may be a secret.

    An id of a known shape may look random, but not what follows a dot or a colon in it.
    """
    if _KNOWN_SEGMENT.fullmatch(word):
        return any(looks_like_credential(piece) for piece in re.split("[.:]", word)[1:])
    return looks_like_credential(word)


def _tidy(found: str) -> str:
    """Strip the sentence's punctuation. An id may contain it, but hardly ends with it."""
    return found.rstrip("_.:-" + _TRIM).removesuffix(_FILE_ENDING)


def _from_url(url: str, *, only_collections: bool) -> str | None:
    """Return the id in a URL: after /result/ or the like, in the query, else the last segment of the path."""
    try:
        parts = urlsplit(url.rstrip(_TRIM + ".,;:"))
    except ValueError:
        return None
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    candidates = [after for before, after in pairwise(segments) if before in _COLLECTIONS]
    candidates = [c for c in candidates if c not in _COLLECTIONS]
    candidates += [value for key, value in _query(parts.query) if key.lower() in _QUERY_KEYS]
    candidates += [s for s in segments if _KNOWN_SEGMENT.fullmatch(_tidy(s))]
    if not only_collections:
        candidates += segments[-1:]
    return next((tidy for c in candidates if is_task_id(tidy := _tidy(c))), None)


def _query(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, max_num_fields=50)
    except ValueError:
        return []


def _from_json(text: str) -> tuple[str, ...] | None:
    """Return the ids of a pasted reply, also in a fenced block; None when there is no JSON object or list."""
    fenced = _FENCE.search(text)
    for candidate in (text, fenced.group(1).strip() if fenced else "", text.strip("` \n")):
        if candidate.startswith(("{", "[")):
            try:
                value: object = json.loads(candidate, strict=False)
            except (ValueError, RecursionError):
                continue
            return tuple(_ids_of(value, MAX_DEPTH))
    return None


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
