"""Reads what a reply of the video API says about the polled id: (status, headers, body, id) -> Answer. Pure.

The checks are in the order of trust. A document that names the polled id and gives it a status is believed,
with any HTTP code. Then the HTTP code, the envelope's code and the words are read; they may only lead to
another poll. A reply that names another id, or none, never ends a task.
"""

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot.core.answers import Answer, AnswerKind
from bot.core.clock import SECOND
from bot.core.phases import Phase, phase_of
from bot.veo import wording
from bot.veo.links import own_link, video_link
from bot.veo.retry_after import header, retry_after

_DONE = frozenset({"completed", "succeeded", "success"})
_FAILED = frozenset(
    {"failed", "fail", "failure", "error", "cancelled", "canceled", "cancel", "expired", "timeout"}
)
_UNKNOWN = frozenset({"not_found", "notfound", "not found", "not_exist", "nonexistent"})
# Envelopes use these words, too. Under an error code they count only when a second answer agrees.
_AMBIGUOUS = frozenset({"error", "timeout", "fail"})
_STATUS_KEYS = ("task_status", "taskStatus", "status", "state")
_ID_KEYS = ("id", "task_id", "taskId", "projectId", "video_id", "request_id")
_WRAPPERS = ("data", "result", "output", "task", "response")
_MAX_DEPTH = 5
_MAX_STATUS = 40
_MAX_MODEL = 60
_MAX_WORDS = 4000
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)

_Json = dict[str, Any]


def read_reply(status: int, headers: Mapping[str, str], body: bytes, task_id: str) -> Answer:
    """Return what the reply says about `task_id`. Never raises."""
    document = _parse(body, header(headers, "Content-Type") or "")
    if isinstance(document, dict | list):
        answer = _read_task(document, task_id, status)
        if answer is not None and not (status == 429 and answer.kind is AnswerKind.WAITING):
            return answer
    reply = document if isinstance(document, dict) else None
    return replace(_read_refusal(status, headers, body, reply, task_id), retry_after=retry_after(headers))


# -- the task's own document ---------------------------------------------------------------------


def _read_task(document: Any, task_id: str, http_status: int) -> Answer | None:
    """Return the status of the polled id; None when the reply does not give one."""
    task = next(_tasks(document, task_id, _MAX_DEPTH), None)
    if task is None:
        return None
    status = _status_of(task)
    if not status:
        return None
    answer = _read_status(status, task, is_error=http_status >= 400)
    return replace(answer, model=_model(task), created=_created(task), seconds=_seconds(task))


def _tasks(value: Any, task_id: str, depth: int) -> Iterator[_Json]:
    """Yield the objects that carry the polled id and a status, the outermost first."""
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value[:50]:
            yield from _tasks(item, task_id, depth - 1)
    elif isinstance(value, dict):
        if _names(value, task_id):
            yield _unwrap(_without_others(value, task_id), task_id)
        for item in value.values():
            yield from _tasks(item, task_id, depth - 1)


def _names(task: _Json, task_id: str) -> bool:
    return task_id in _ids(task)


def _unwrap(task: _Json, task_id: str) -> _Json:
    """Add what a wrapper inside holds, unless that names another id; its status is the task's."""
    for key in _WRAPPERS:
        inner = task.get(key)
        if isinstance(inner, dict) and (_names(inner, task_id) or not _ids(inner)):
            known = {name: value for name, value in inner.items() if value is not None}
            if _status_of(inner) and not (_status_of(task) in _DONE and own_link(task)):
                # The envelope's own words ("ok", "success") are not the task's.
                return {name: value for name, value in task.items() if name not in _STATUS_KEYS} | known
            task = task | {name: value for name, value in known.items() if not task.get(name)}
    return task


def _ids(task: _Json) -> set[str]:
    """Return the ids that an object names; a number is an id as well."""
    values = (task.get(key) for key in _ID_KEYS)
    ids = {str(v).strip() for v in values if isinstance(v, str | int) and not isinstance(v, bool)}
    return ids - {""}


def _without_others(value: Any, task_id: str, depth: int = 2 * _MAX_DEPTH) -> Any:
    """Drop the objects that name another id and not this one, because nothing in them is this task's."""
    if depth == 0:
        return None
    if isinstance(value, list):
        return [_without_others(item, task_id, depth - 1) for item in value]
    if isinstance(value, dict):
        if _ids(value) and not _names(value, task_id):
            return None
        return {key: _without_others(item, task_id, depth - 1) for key, item in value.items()}
    return value


def _status_of(task: _Json) -> str:
    """Return the task's status in lower case; `task_status` before `status`, which may be the envelope's."""
    words = (task.get(key) for key in _STATUS_KEYS)
    return next((w.strip().lower() for w in words if isinstance(w, str) and w.strip()), "")


def _read_status(status: str, task: _Json, *, is_error: bool) -> Answer:
    shown = wording.printable(status, _MAX_STATUS) or "unknown"
    if _is_running(status) and not is_error:
        # First, because nearly all replies are this one and the rest is costly to read.
        return Answer(AnswerKind.WAITING, shown)
    link, words = video_link(task), _words(wording.error_of(task))
    message = wording.message_of(task)
    says_unknown = (is_error or status == "error") and wording.says_unknown_task(message)
    if status in _UNKNOWN or says_unknown:
        return Answer(AnswerKind.UNKNOWN_ID, words=_words(message))
    if status in _FAILED and not (is_error and status in _AMBIGUOUS):
        return Answer(AnswerKind.FAILED, shown, words=_words(wording.reason_of(task)))
    if status in _DONE and link:
        return Answer(AnswerKind.COMPLETED, shown, video_url=link)
    if status in _DONE:
        kind = AnswerKind.PROBABLY_FAILED if words else AnswerKind.NO_VIDEO
        return Answer(kind, shown, words=words)
    if _is_running(status):
        return Answer(AnswerKind.WAITING, shown)
    if link:
        return Answer(AnswerKind.PROBABLY_COMPLETED, shown, video_url=link)
    if words or status in _AMBIGUOUS:
        reason = words or _words(wording.reason_of(task))
        return Answer(AnswerKind.PROBABLY_FAILED, shown, words=reason)
    return Answer(AnswerKind.WAITING, shown)


def _is_running(status: str) -> bool:
    """Any other word means waiting only without a link and an error text."""
    return phase_of(status) is not Phase.OTHER


def _words(text: str) -> str | None:
    return wording.readable(text, _MAX_WORDS) or None


def _model(task: _Json) -> str | None:
    model = task.get("model")
    return wording.printable(model, _MAX_MODEL) or None if isinstance(model, str) else None


def _created(task: _Json) -> int | None:
    """Return the creation time in UTC milliseconds, from Unix seconds (documented) or milliseconds."""
    created = _number(task.get("created", task.get("created_at")))
    if created is None or not 1e9 < created < 1e14:
        return None
    return int(created if created > 1e11 else created * SECOND)


def _seconds(task: _Json) -> float | None:
    seconds = _number(task.get("actualDuration"))
    return seconds if seconds is not None and 0 < seconds < 1e6 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


# -- everything that is not a status of the polled id --------------------------------------------


def _read_refusal(
    status: int, headers: Mapping[str, str], body: bytes, reply: _Json | None, task_id: str
) -> Answer:
    """Read a reply without a status of the polled id.

    The order matters: "API key not found" is about the key, "No handler found" about the path.
    """
    message = wording.message_of(reply) if reply else ""
    spoken = wording.without_id(message, task_id)
    code = _code(reply) if reply else ""
    where = f"HTTP {status}{f', code {code}' if code else ''}: {wording.excerpt(message or body)}"
    words = _words(message)
    if status == 429 or (code == "429" and status < 400):
        return Answer(AnswerKind.THROTTLED, words=words, where=where)
    if reply is None and wording.is_html(body, header(headers, "Content-Type")):
        kind = AnswerKind.NOT_FOUND if status in {404, 410} else AnswerKind.ERROR
        return Answer(kind, where=f"HTTP {status}: a web page")
    if wording.says_wrong_path(spoken):
        return Answer(AnswerKind.NOT_FOUND, words=words, where=where)
    if status == 401 or (status < 500 and (code in {"204", "401"} or wording.says_key_refused(spoken))):
        return Answer(AnswerKind.KEY_REFUSED, words=words, where=where)
    if status < 500 and wording.says_unknown_task(spoken):
        return Answer(AnswerKind.UNKNOWN_ID, words=words, where=where)
    if status in {404, 410} or (status < 400 and code in {"404", "410"}):
        return Answer(AnswerKind.NOT_FOUND, words=words, where=where)
    return Answer(AnswerKind.ERROR, words=words, where=where)


def _code(reply: _Json) -> str:
    """Return the envelope's code, "" without one. It is a number on one endpoint and a string on another."""
    value = reply.get("code")
    if value is None:
        value = reply.get("status")
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return wording.printable(str(value), 20)
    return ""


# -- bytes ---------------------------------------------------------------------------------------


def _parse(body: bytes, content_type: str) -> Any:
    """Return the JSON in `body`, with control characters, odd bytes and any charset; None without JSON."""
    text = body.decode(_charset(body, content_type), "replace").lstrip("\ufeff \t\r\n")
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _charset(body: bytes, content_type: str) -> str:
    """Choose UTF-8 if it fits, else the header's, else GBK, which Chinese services send without a label."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" or error.end >= len(body):
            return "utf-8"
        named = _CHARSET.search(content_type)
        if named is not None:
            return _known_codec(named[1]) or "utf-8"
        return "gb18030" if _is_gbk(body) else "utf-8"
    return "utf-8"


def _known_codec(name: str) -> str | None:
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return info.name if info._is_text_encoding else None  # noqa: SLF001 - no public way tells text codecs


def _is_gbk(body: bytes) -> bool:
    try:
        body.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True
