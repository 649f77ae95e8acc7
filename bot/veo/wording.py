"""Reads the texts of a reply: where they are, what they say, and what of them may be kept.

The patterns come from replies of this service and of similar ones. They are applied only to replies without a
status of the polled task, so the word "key" in a failed prompt cannot pause the bot.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.core.masking import mask_credentials

_MAX_EXCERPT = 120
_MAX_DEPTH = 4
# Stands for the polled id, which is cut out before words are read, because an id may be called "api-key".
_THE_ID = "\N{OBJECT REPLACEMENT CHARACTER}"

_KEY_REFUSED = re.compile(
    r"登录|登陆|鉴权|未授权|身份验证|认证失败|令牌|密钥|用户不存在"
    r"|unauthori[sz]ed|authenticat|authori[sz]ation|log ?in (check|required|failed)|not logged in"
    r"|api[ _-]?key|(invalid|expired|missing|unknown|incorrect|wrong) (access )?(token|key)"
    r"|(token|key) (is |has |was )?(invalid|expired|missing|unknown|not found)",
    re.IGNORECASE,
)
_GONE = (
    r"(?:was |is |has |could |can ?|does |did )?(?:not|n['o\u2019]?t)[ _]?(?:be )?(?:found|exist)|unknown"
    r"|no longer (?:exists|available)|(?:has |was )?(?:expired|deleted)|不存在|未找到|找不到|已过期"
)
_THING = (
    r"(?:task|job|video|result|record|generation|project|request|operation|\bid|任务|编号|视频|记录|作品|结果|"
    + _THE_ID
    + ")"
)
_UNKNOWN_TASK = re.compile(
    rf"{_THING}[^.,;。]{{0,40}}?(?:{_GONE})"
    rf"|(?:no such|unknown|invalid|(?:can ?not|could not|couldn't|can't|unable to) find(?: the| a| any)?|no)"
    rf"[ _]{_THING}(?![a-z])|(?:不存在|未找到|找不到)(?:该|此|这个)?{_THING}",
    re.IGNORECASE,
)
_WRONG_PATH = re.compile(
    r"no handler found|no static resource|no (matching )?(route|endpoint|mapping)|invalid url"
    r"|cannot get /|page not found",
    re.IGNORECASE,
)
# In this order; then any other key that speaks of a reason.
_REASON_KEYS = (
    *("error", "fail_reason", "failure_reason", "failed_reason", "error_message", "error_msg", "reason"),
    *("detail", "msg", "message"),
)
_REASON_KEY = re.compile(r"reason|error|fail|message|msg|detail|desc", re.IGNORECASE)
# A text under one of these says that something went wrong. `message` may also be about the progress.
_ERROR_KEY = re.compile(r"error|fail|reason", re.IGNORECASE)
_HARMLESS = re.compile(
    r"(?:ok(?:ay)?|success\w*|succeed\w*|none|null|no error|n/?a|complete\w*|finished|done|normal|true|false"
    r"|\d{1,5}|成功|无)\W*",
    re.IGNORECASE,
)
_HARMLESS_CODES = frozenset({"0", "200", "20000", "ok", "OK", "success", "SUCCESS"})
_MESSAGE_KEYS = ("msg", "message", "error", "detail", "error_msg", "error_message", "reason")
_PARTS = ("message", "msg", "detail", "reason", "error", "errors", "description", "code", "status")
_BREAK = re.compile(r"<\s*(?:br|/p|/div|/li)\s*/?\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>|<!--.*?-->", re.DOTALL)


def says_key_refused(message: str) -> bool:
    """Whether the words refuse the key, such as 登录验证失败 ("login check failed"), sent under HTTP 200."""
    return bool(_KEY_REFUSED.search(message))


def says_unknown_task(message: str) -> bool:
    """Whether the words say that this task or id does not exist. "Not found" alone says nothing of a task."""
    return bool(_UNKNOWN_TASK.search(message))


def says_wrong_path(message: str) -> bool:
    """Whether a web server says that it has no such route, which tells nothing about the task."""
    return bool(_WRONG_PATH.search(message))


def without_id(message: str, task_id: str) -> str:
    """Replace the polled id by a mark, wherever it stands as a separate word."""
    alone = rf"(?<![A-Za-z0-9_-]){re.escape(task_id)}(?![A-Za-z0-9_-])"
    return re.sub(alone, _THE_ID, message, flags=re.IGNORECASE)


def is_html(body: bytes, content_type: str | None = None) -> bool:
    """Whether the body is HTML. It decides before the header, because some services label JSON text/html."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"<") or (bool(text) and "html" in (content_type or "").lower())


def message_of(reply: Mapping[str, Any]) -> str:
    """Return every text in which such services explain a refusal; "" when there is none."""
    texts = (_text_of(reply.get(key)) for key in _MESSAGE_KEYS)
    return "; ".join(dict.fromkeys(text for text in texts if text))


def reason_of(task: Mapping[str, Any]) -> str:
    """Return why a task failed; "" without a text. `error` is documented, other services use other keys."""
    return next(_reasons(task), "")


def error_of(task: Mapping[str, Any]) -> str:
    """Return a text that says what went wrong, for a task whose status does not; "" without one."""
    for key, value in task.items():
        if not _ERROR_KEY.search(key) or (
            isinstance(value, Mapping) and str(value.get("code")) in _HARMLESS_CODES
        ):
            continue
        if (text := _text_of(value)) and not _HARMLESS.fullmatch(text):
            return text
    return ""


def _reasons(task: Mapping[str, Any]) -> Iterator[str]:
    others = (key for key in task if _REASON_KEY.search(key))
    for key in dict.fromkeys((*_REASON_KEYS, *others)):
        if text := _text_of(task.get(key)):
            yield text


def _text_of(value: object, depth: int = _MAX_DEPTH) -> str:
    """Return a text, the telling part of an object, or the first of a list of either.

    JSON in a text is read as well. "" without a text.
    """
    if depth == 0:
        return ""
    if isinstance(value, str) and value.strip().startswith(("{", "[")):
        return _text_of(_json_in(value), depth - 1) or value.strip()
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return next((text for item in value if (text := _text_of(item, depth - 1))), "")
    if isinstance(value, Mapping):
        return next((text for part in _PARTS if (text := _text_of(value.get(part), depth - 1))), "")
    return ""


def _json_in(text: str) -> object:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def readable(text: str, limit: int) -> str:
    """Clean a text for people: no tags, entities, credentials and control characters, at most `limit` long.

    NUL is removed because PostgreSQL refuses it, and lone surrogates because UTF-8 does.
    """
    text = text[: 4 * limit]
    for _ in range(2):  # some services escape what was escaped before
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    kept = (c for c in mask_credentials(text) if c.isprintable() or c in "\n\t")
    return "".join(kept).strip()[:limit]


def printable(text: str, limit: int) -> str:
    """Return one line of at most `limit` characters, without credentials."""
    text = mask_credentials(text[: 4 * limit])
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit]


def excerpt(text: str | bytes) -> str:
    """Return enough of a reply to recognise it in a log, never all of it, and no credential."""
    if isinstance(text, bytes):
        text = text[: 4 * _MAX_EXCERPT].decode("utf-8", "replace")
    line = printable(text, _MAX_EXCERPT + 1)
    return line if len(line) <= _MAX_EXCERPT else f"{line[: _MAX_EXCERPT - 1]}…"
