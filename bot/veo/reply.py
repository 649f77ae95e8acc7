"""What a reply of the video API means: (status, headers, body) -> Answer. Pure.

The order of the checks matters: HTTP status, then JSON, then the task's own status. An `error` key decides
nothing, because some services send `{"code": 0}` there on success. The API wraps its refusals in HTTP 200, so
a body without a status is read as an envelope `{code, msg, data}`. Every reply that is not understood raises
VideoApiUnavailable and is polled again, because a misreading must not end a task.
"""

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bot.core.errors import KeyRefused, VideoApiThrottled, VideoApiUnavailable
from bot.core.verdicts import Answer, Completed, Doubt, Doubtful, Failed, Waiting
from bot.veo import wording
from bot.veo.retry_after import header, retry_after

NO_REASON = "The API gave no reason."

_DONE = frozenset({"completed", "succeeded", "success"})
_FAILED = frozenset(
    {"failed", "fail", "failure", "error", "cancelled", "canceled", "cancel", "expired", "timeout"}
)
_ID_KEYS = ("id", "task_id", "taskId", "projectId")
_MAX_STATUS = 40
_MAX_REASON = 4000
# Signed links carry a session token of some 2,000 characters.
_MAX_URL = 8192

_Json = dict[str, Any]


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Raises VideoApiThrottled, KeyRefused or VideoApiUnavailable, and nothing else."""
    if status == 429:
        raise VideoApiThrottled("The video API answered 429.", retry_after=retry_after(headers))
    if status >= 500:
        raise _unavailable(f"The video API answered {status}", headers)
    if 200 <= status < 300:
        return _read_document(_document(body), headers)
    if status in {401, 403}:
        raise _refusal(status, headers, body)
    if 400 <= status < 500:
        return _read_client_error(status, headers, body)
    raise _unavailable(f"The video API answered {status}", headers)


# -- the task's own document ---------------------------------------------------------------------


def _read_document(reply: _Json, headers: Mapping[str, str]) -> Answer:
    task = _unwrap(reply)
    status = task.get("status")
    if not isinstance(status, str) or not status.strip():
        return _read_envelope(reply, headers)
    if all(task.get(key) is None for key in _ID_KEYS):
        # {"status": "error", "message": "invalid token"} names no task: it is about the caller.
        doubt = _doubt_in(wording.message_of(reply))
        if doubt is not None:
            return doubt
    return _read_status(status.strip().lower(), task)


def _unwrap(reply: _Json) -> _Json:
    """The task itself. Deployers report a `data` wrapper that the documentation does not show."""
    inner = reply.get("data")
    if not isinstance(inner, dict) or (reply.get("id") and isinstance(reply.get("status"), str)):
        return reply
    known = {key: value for key, value in inner.items() if value is not None}
    if isinstance(known.get("status"), str):
        # The envelope's own words ("ok", "success") are not the task's.
        return {key: reply[key] for key in _ID_KEYS if key in reply} | known
    return reply | known


def _read_status(status: str, task: _Json) -> Answer:
    if status in _DONE:
        url = _video_url(task)
        return Completed(url, _seconds(task)) if url else Doubtful(Doubt.NO_VIDEO)
    if status in _FAILED:
        return Failed(_reason(task))
    return Waiting(wording.printable(status, _MAX_STATUS) or "unknown")


def _video_url(task: _Json) -> str | None:
    """`result_url` is what other models of the same endpoint fill in (video-api.md, 2)."""
    for key in ("video_url", "result_url"):
        value = task.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and _is_http_url(value.strip()):
            return value.strip()
    return None


def _is_http_url(text: str) -> bool:
    if len(text) > _MAX_URL or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _seconds(task: _Json) -> float | None:
    value = task.get("actualDuration")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _reason(task: _Json) -> str:
    return wording.storable(wording.reason_of(task), _MAX_REASON) or NO_REASON


# -- everything that is not a task ---------------------------------------------------------------


def _document(body: bytes) -> _Json:
    if not body.strip():
        raise VideoApiUnavailable("The video API sent an empty reply.")
    reply = _parse(body)
    if isinstance(reply, dict):
        return reply
    if wording.is_html(body):
        raise VideoApiUnavailable("The video API sent a web page instead of JSON.")
    what = "no JSON" if reply is None else "JSON that is not an object"
    raise VideoApiUnavailable(f"The video API sent {what}: {wording.excerpt(body)}")


def _parse(body: bytes) -> Any:
    """The parsed JSON, or None: broken text, numbers too long, nesting too deep."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _read_envelope(reply: _Json, headers: Mapping[str, str]) -> Answer:
    """No status. Success is 0, "0", 200 or "20000" somewhere, so a code alone proves little."""
    message = wording.message_of(reply)
    code = _code(reply)
    if code == "429":
        raise VideoApiThrottled(
            f"The video API answered code 429{_quoted(message)}", retry_after=retry_after(headers)
        )
    if code in {"204", "401", "403"}:
        raise KeyRefused(f"The video API refused the key: code {code}{_quoted(message)}")
    doubt = _doubt_in(message)
    if doubt is not None:
        return doubt
    nothing = reply.get("data") is None
    if nothing and (code == "404" or (code == "-1" and not wording.says_busy(message))):
        return Doubtful(Doubt.UNKNOWN_ID)
    raise VideoApiUnavailable(f"The video API sent no status (code {code}){_quoted(message)}")


def _doubt_in(message: str) -> Doubtful | None:
    """In this order: "API key not found" is about the key, "No handler found" about the path."""
    if wording.says_wrong_path(message):
        raise _wrong_address(message)
    if wording.says_key_refused(message):
        raise KeyRefused(f"The video API refused the key{_quoted(message)}")
    return Doubtful(Doubt.UNKNOWN_ID) if wording.says_unknown_task(message) else None


def _code(reply: _Json) -> str:
    """A number on one endpoint and a string on another, in the same service."""
    value = reply.get("code")
    if value is None:
        value = reply.get("status")
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return wording.printable(str(value), 20)
    return "none"


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> KeyRefused | VideoApiUnavailable:
    reply = _parse(body)
    if status == 403 and reply is None and wording.is_html(body, header(headers, "Content-Type")):
        return VideoApiUnavailable("Something in front of the video API answered 403 (a web page).")
    message = wording.message_of(reply) if isinstance(reply, dict) else ""
    return KeyRefused(f"The video API refused the key: {status}{_quoted(message)}")


def _read_client_error(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    reply = _parse(body)
    gone = status in {404, 410}
    if gone and not body.strip():
        return Doubtful(Doubt.UNKNOWN_ID)
    if not isinstance(reply, dict):
        if gone:
            raise _wrong_address(f"{status} without JSON")
        raise _unavailable(f"The video API answered {status}", headers)
    if gone and wording.is_spring_no_route(reply):
        raise _wrong_address(f"{status} from its web server")
    message = wording.message_of(reply)
    doubt = _doubt_in(message)
    if gone or doubt is not None:
        return Doubtful(Doubt.UNKNOWN_ID)
    raise _unavailable(f"The video API answered {status}{_quoted(message)}", headers)


def _wrong_address(message: str) -> VideoApiUnavailable:
    return VideoApiUnavailable(
        f"The video API does not know this address; VEO_API_URL may be wrong{_quoted(message)}"
    )


def _unavailable(message: str, headers: Mapping[str, str]) -> VideoApiUnavailable:
    return VideoApiUnavailable(message, retry_after=retry_after(headers))


def _quoted(message: str) -> str:
    return f": {wording.excerpt(message)}" if message else ""
