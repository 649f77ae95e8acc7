"""The texts of a reply: reasons, words about the key or the id, odd bytes, and which part is kept."""

import json
from typing import Any

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.veo.reply import read_reply
from tests.factories import TASK

KEY = "sk-live-abcdefgh12345678"


def read(document: Any, status: int = 200, *, task_id: str = TASK) -> Answer:
    return read_reply(status, {}, json.dumps(document).encode(), task_id)


def reason_of(**fields: Any) -> str | None:
    """The reason of a failed task with these fields."""
    answer = read({"id": TASK, "status": "failed", **fields})
    assert answer.kind is AnswerKind.FAILED
    return answer.words


# -- reasons ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("The prompt was rejected.", "The prompt was rejected."),
        ("  两行\n文字 ", "两行\n文字"),
        ({"message": "content rejected"}, "content rejected"),
        ({"code": 3, "message": "unsafe"}, "unsafe"),
        ({"code": "UNSAFE_CONTENT"}, "UNSAFE_CONTENT"),
        ([{"msg": "first"}, {"msg": "second"}], "first"),
        (["only"], "only"),
        ({"errors": [{"message": "deep"}]}, "deep"),
        (json.dumps({"error": {"message": "in a text"}}), "in a text"),
        ("{not JSON", "{not JSON"),
        ({}, None),
        ([], None),
        ("", None),
        ("\x00", None),
        (None, None),
        (13, None),
        ("a\x00b\ud800c", "abc"),
        ("x" * 9000, "x" * 4000),
    ],
)
def test_reason_of_a_failure_is_read_from_any_form(error: Any, reason: str | None):
    """The documentation says a string; objects, JSON in a text and null occur as well."""
    assert reason_of(error=error) == reason


def test_missing_error_key_means_the_same_as_null():
    """The documentation says "only present when", but its examples show null."""
    assert reason_of() is reason_of(error=None) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"fail_reason": "audio"},
        {"failure_reason": "audio"},
        {"failed_reason": "audio"},
        {"error_message": "audio"},
        {"error_msg": "audio"},
        {"reason": "audio"},
        {"detail": "audio"},
        {"detail": [{"loc": ["body"], "msg": "audio"}]},
        {"message": "audio"},
        {"msg": "audio"},
        {"error": {"errors": [{"message": "audio"}]}},
        {"error": "", "failReason": "audio"},
        {"error": {"message": None, "detail": "audio"}},
        {"raiMediaFilteredReasons": ["audio"]},
        {"status_message": "audio"},
        {"data": {"fail_reason": "audio"}},
        {"result": {"error": {"message": "audio"}}},
    ],
)
def test_reason_is_found_under_the_keys_of_similar_services(fields: dict[str, Any]):
    """If `error` is empty."""
    assert reason_of(**fields) == "audio"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("it&#39;s &quot;bad&quot; &amp; ugly", 'it\'s "bad" & ugly'),
        ("one<br/>two<br>three<BR />four", "one\ntwo\nthree\nfour"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ('<div class="x"><b>bold</b> <a href="https://h/">link</a></div>', "bold link"),
        ("it&amp;#39;s", "it's"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("<!-- secret --> shown", "shown"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_reason_is_cleaned_of_tags_and_entities(text: str, reason: str):
    """Some services send HTML."""
    assert reason_of(error=text) == reason


# -- credentials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {KEY}", KEY),
        ("Authorization: Bearer abcdef.opaque-123", "abcdef.opaque-123"),
        ('{"Authorization": "Bearer abcdef.opaque-123"', "abcdef.opaque-123"),
        ("GET https://h/v1?key=AIzaSyA1234567890abcdef failed", "AIzaSyA1234567890abcdef"),
        ("GET https://h/v1?a=1&api_key=opaque123 failed", "opaque123"),
        ("proxy https://user:hunter2@proxy.example/ is down", "hunter2"),
        (f"Incorrect API key provided: {KEY}.", KEY),
        (f"your key <b>{KEY}</b> is bad", KEY),
        (f"your key {KEY[:8]}<wbr>{KEY[8:]} is bad", KEY),
        (f"your key s&#107;{KEY[2:]} is bad", KEY),
        (f"your key {KEY[:8]}\u200b{KEY[8:]} is bad", KEY),
        (f"your key {KEY[:3]}\x00{KEY[3:]} is bad", KEY),
        (f"your key {KEY[:3]}\u00ad{KEY[3:]} is bad", KEY),
    ],
)
@pytest.mark.parametrize("place", ["error", "message", "envelope"])
def test_credential_in_a_text_is_masked(text: str, secret: str, place: str):
    """In what users read and in the log, also if it is encoded."""
    reply = {"msg": text} if place == "envelope" else {"id": TASK, "status": "failed", place: text}
    answer = read(reply)

    shown = f"{answer.words} {answer.where}".replace(" ", "")
    assert secret not in shown
    assert "****" in shown


def test_credential_at_the_cut_of_a_long_text_is_masked():
    """Texts are masked before they are cut."""
    reason = reason_of(error="x " * 1990 + KEY + " tail") or ""

    assert "sk-" not in reason


@pytest.mark.parametrize("field", ["status", "model"])
def test_credential_in_another_field_is_masked(field: str):
    """The status is on cards, the model is in results."""
    answer = read({"id": TASK, "status": "processing", field: f"bearer {KEY}"})

    assert KEY not in f"{answer.api_status} {answer.model}"


# -- words about the id and the key ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"error":{"message":"task not found"}}'),
        (400, b'{"error":{"message":"task_id does not exist"}}'),
        (200, b'{"code":1001,"msg":"Task not found"}'),
        (200, b'{"code":"500","msg":"task doesn\'t exist","data":null}'),
        (200, '{"code":"500","msg":"任务不存在"}'.encode()),
        (200, b'{"success":false,"error":"TASK_NOT_FOUND","message":"m"}'),
        (200, b'{"status":"error","message":"no such task"}'),
        (404, f'{{"message":"{TASK} not found"}}'.encode()),
        (404, f'{{"error":"No task with id {TASK} was found: unknown id"}}'.encode()),
        (404, f'{{"id":"{TASK}","status":"not_found"}}'.encode()),
    ],
)
def test_words_that_the_task_does_not_exist_are_an_unknown_id(status: int, body: bytes):
    """The first such answer is not believed, because it is wrong too often."""
    assert read_reply(status, {}, body, TASK).kind is AnswerKind.UNKNOWN_ID


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (401, b'{"error":{"message":"Invalid API key"}}'),
        (401, b"Unauthorized"),
        (200, '{"code":"204","msg":"登录验证失败"}'.encode()),
        (200, b'{"code":204,"msg":null}'),
        (200, b'{"code":401,"msg":"x","data":null}'),
        (200, '{"code":-1,"msg":"登录验证失败","data":null}'.encode()),
        (200, '{"code":"500","msg":"令牌已过期"}'.encode()),
        (200, b'{"code":1001,"msg":"API key not found","data":null}'),
        (200, b'{"success":false,"error":"UNAUTHORIZED","message":"no"}'),
        (200, b'{"status":"error","message":"invalid token"}'),
        (200, b'{"status":401,"error":"Unauthorized"}'),
        (400, b'{"error":{"message":"Invalid API key provided"}}'),
        (404, b'{"msg":"api key not found"}'),
    ],
)
def test_refused_key_is_recognised(status: int, body: bytes):
    """By HTTP status, by the envelope's code, or by its words under HTTP 200."""
    assert read_reply(status, {}, body, TASK).kind is AnswerKind.KEY_REFUSED


def test_failure_text_about_a_key_is_only_a_reason_if_a_task_is_named():
    """The text may quote a prompt, which must not pause the polls."""
    text = "API key not found in the picture"

    assert reason_of(error=text) == text


@pytest.mark.parametrize("status", [200, 400, 404])
@pytest.mark.parametrize(
    ("task_id", "text"),
    [
        ("api-key", "task api-key does not exist"),
        ("api-key", "api-key not found"),
        ("api-key", "Task 'api-key' not found"),
        ("api-key", "No such task: api-key"),
        ("api-key", "Task API-KEY does not exist"),
        ("api-key", "任务api-key不存在"),
        ("unauthorized", "the task unauthorized was not found"),
        ("token", "task token not found"),
        ("invalid-token", "unknown task invalid-token"),
        ("authentication.1", "task authentication.1 does not exist"),
        ("登录", "任务 登录 不存在"),
    ],
)
def test_polled_id_is_removed_before_words_are_read(status: int, task_id: str, text: str):
    """An id may contain the words of a refusal."""
    assert read({"message": text}, status, task_id=task_id).kind is AnswerKind.UNKNOWN_ID


@pytest.mark.parametrize(
    "text",
    ["invalid api key", "The api-key was refused: unauthorized", "token expired"],
)
def test_words_about_the_key_are_read_although_an_id_is_named(text: str):
    """Only the polled id is removed."""
    assert read({"message": f"{text} ({TASK})"}, 400).kind is AnswerKind.KEY_REFUSED


# -- bytes -----------------------------------------------------------------------------------------


def body(reason: bytes) -> bytes:
    return b'{"id":"' + TASK.encode() + b'","status":"failed","error":"' + reason + b'"}'


@pytest.mark.parametrize(
    ("reason", "content_type", "words"),
    [
        (b"two\nlines\tand a tab", "application/json", "two\nlines\tand a tab"),
        ("内容违规".encode(), "application/json; charset=GBK", "内容违规"),
        ("内容违规".encode("gbk"), "application/json", "内容违规"),
        ("内容违规".encode("gbk"), "application/json; charset=gbk", "内容违规"),
        ("内容违规".encode("gb18030"), 'application/json; charset="GB18030"', "内容违规"),
        ("café".encode("latin-1"), "application/json; charset=ISO-8859-1", "café"),
        ("café".encode("latin-1"), "text/html; charset=latin1", "café"),
        ("café".encode("latin-1"), "application/json", "caf�"),
        ("内容".encode()[:-1], "application/json", "内�"),
        (b"odd \xff byte", "application/json; charset=no-such", "odd � byte"),
        (b"odd \xff byte", "application/json; charset=rot13", "odd � byte"),
    ],
)
def test_odd_bytes_in_a_reply_are_read(reason: bytes, content_type: str, words: str):
    """Raw control characters, GBK, Latin-1, and UTF-8 that ends within a character."""
    answer = read_reply(200, {"content-type": content_type}, body(reason), TASK)

    assert (answer.kind, answer.words) == (AnswerKind.FAILED, words)


def test_byte_order_mark_and_spaces_before_a_reply_are_ignored():
    """Some servers send them."""
    answer = read_reply(200, {}, b"\xef\xbb\xbf\r\n " + body(b"no"), TASK)

    assert answer.kind is AnswerKind.FAILED


# -- for the log -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (200, b"\x1b[31m" + b"x" * 50_000),
        (200, json.dumps({"code": "c" * 9000, "msg": "\x1b[31m" + "m" * 9000}).encode()),
        (401, json.dumps({"message": "k\n" * 9000}).encode()),
        (404, json.dumps({"message": "No handler found for GET /" + "p" * 9000}).encode()),
        (400, json.dumps({"message": "m" * 9000, "error": "e" * 9000}).encode()),
        (502, b"<html>" + b"x" * 9000),
    ],
)
def test_unusable_reply_is_described_in_a_short_printable_line(status: int, reply: bytes):
    """For the log: one line without control characters, and never a whole body."""
    where = read_reply(status, {}, reply, TASK).where

    assert where.isprintable()
    assert f"HTTP {status}" in where
    assert len(where) < 200
