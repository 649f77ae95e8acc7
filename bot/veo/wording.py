"""The API's texts: where they are in a reply, what they speak about, and what of them may be kept.

The patterns come from video-api.md (sections 1, 2, 5). They are asked only of replies that carry no
task, so the word "key" in somebody's failed prompt cannot stop the bot.
"""

import re
from collections.abc import Mapping
from typing import Any

_EXCERPT_LIMIT = 120

_KEY_REFUSED = re.compile(
    r"登录|登陆|鉴权|未授权|身份验证|认证失败|令牌|密钥|用户不存在"
    r"|unauthori[sz]ed|authenticat|authori[sz]ation|log ?in (check|required|failed)|not logged in"
    r"|api[ _-]?key|(invalid|expired|missing|unknown) (access )?(token|key)"
    r"|(token|key) (is |has |was )?(invalid|expired|missing|unknown|not found)",
    re.IGNORECASE,
)
_UNKNOWN_TASK = re.compile(
    r"not[ _]?found|(not|n't)[ _]exist|no such|unknown (task|id|video|result)|不存在|未找到|找不到",
    re.IGNORECASE,
)
_WRONG_PATH = re.compile(
    r"no handler found|no static resource|no (matching )?(route|endpoint|mapping)|invalid url"
    r"|cannot get /",
    re.IGNORECASE,
)
_BUSY = re.compile(r"繁忙|稍后|频繁|超时|busy|try again|time(d)? ?out|overload", re.IGNORECASE)


def says_key_refused(message: str) -> bool:
    """登录验证失败 ("login check failed") under HTTP 200 is how this service refuses a key."""
    return bool(_KEY_REFUSED.search(message))


def says_unknown_task(message: str) -> bool:
    """Only what says so plainly: the reader ends a task on it after asking again."""
    return bool(_UNKNOWN_TASK.search(message))


def says_wrong_path(message: str) -> bool:
    """A web server that has no such route knows nothing about the task."""
    return bool(_WRONG_PATH.search(message))


def says_busy(message: str) -> bool:
    """Code -1 is also what such services send when they are merely overloaded."""
    return bool(_BUSY.search(message))


def is_spring_no_route(reply: Mapping[str, Any]) -> bool:
    """Spring Boot's own page for an unmapped path, as JSON: it names the path and says nothing."""
    return (
        "path" in reply
        and reply.get("error") == "Not Found"
        and reply.get("message") in {None, "", "No message available", "Not Found"}
    )


def is_html(body: bytes, content_type: str | None = None) -> bool:
    """The body decides first: some services label their JSON text/html."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"<") or (bool(text) and "html" in (content_type or "").lower())


def message_of(reply: Mapping[str, Any]) -> str:
    """Every text in which such services explain a refusal; "" when there is none."""
    texts = (_text_of(reply.get(key)) for key in ("msg", "message", "error", "detail"))
    return "; ".join(dict.fromkeys(text for text in texts if text))


def reason_of(task: Mapping[str, Any]) -> str:
    """Why a task failed: `error` by the documentation, the rest by comparable services."""
    texts = (_text_of(task.get(key)) for key in ("error", "fail_reason", "msg", "message"))
    return next((text for text in texts if text), "")


def _text_of(value: object) -> str:
    """A text, the telling part of an object, or the first of a list of either."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, Mapping):
        parts = (value.get(key) for key in ("message", "msg", "detail", "reason", "code"))
        value = next((part for part in parts if isinstance(part, str) and part.strip()), None)
    return value.strip() if isinstance(value, str) else ""


def storable(text: str, limit: int) -> str:
    """Without NUL (PostgreSQL refuses it), lone surrogates (UTF-8 does) and other controls."""
    kept = (c for c in text[: 2 * limit] if c.isprintable() or c in "\n\t")
    return "".join(kept).strip()[:limit]


def printable(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * limit]).split())
    return line[:limit]


def excerpt(text: str | bytes) -> str:
    """Enough to recognise a reply in a log, never all of it."""
    if isinstance(text, bytes):
        text = text[: 4 * _EXCERPT_LIMIT].decode("utf-8", "replace")
    line = printable(text, _EXCERPT_LIMIT + 1)
    return line if len(line) <= _EXCERPT_LIMIT else f"{line[: _EXCERPT_LIMIT - 1]}…"
