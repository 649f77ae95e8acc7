"""Every form of reply in video-api.md, sections 2, 5 and 6, and how read_reply classifies it."""

import json
from typing import Any

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.veo.reply import read_reply
from tests.factories import TASK

URL = "https://cdn.example/v/1.mp4?sig=a%2Fb"
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
OTHER = "vgen_other999"

EXAMPLE = {
    "id": TASK,
    "object": "video",
    "created": 1761635478,
    "model": "veo_3_1_fast",
    "status": "processing",
    "video_url": None,
    "error": None,
}
DONE = EXAMPLE | {"status": "completed", "video_url": URL}
LOST = EXAMPLE | {"status": "failed"}


def read(document: Any, status: int = 200, *, task_id: str = TASK, **headers: str) -> Answer:
    return read_reply(status, headers, json.dumps(document).encode(), task_id)


def kind_of(status: int, body: bytes, *, task_id: str = TASK) -> AnswerKind:
    return read_reply(status, {}, body, task_id).kind


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


# -- the task's own document -----------------------------------------------------------------------


def test_documented_reply_is_read_with_all_its_fields():
    """Link, model, creation time and length."""
    assert read(DONE | {"actualDuration": 8}) == Answer(
        AnswerKind.COMPLETED,
        "completed",
        video_url=URL,
        model="veo_3_1_fast",
        created=1761635478_000,
        seconds=8.0,
    )


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("queued", "queued"),
        ("processing", "processing"),
        ("pending", "pending"),
        ("in_progress", "in_progress"),
        ("RUNNING", "running"),
        (" Queued \n", "queued"),
        ("NOT_START", "not_start"),
        ("ready", "ready"),
        ("mixing\x00audio\n now", "mixing audio now"),
        ("w" * 300, "w" * 40),
        ("\x00", "unknown"),
    ],
)
def test_any_other_status_means_waiting(status: str, shown: str):
    """A status without a link and a text; it is shown, printable and short."""
    answer = read(EXAMPLE | {"status": status})

    assert (answer.kind, answer.api_status) == (AnswerKind.WAITING, shown)


@pytest.mark.parametrize("status", ["completed", "succeeded", "success", "SUCCESS", " Completed "])
def test_finished_statuses_complete_the_task(status: str):
    """Three statuses, in upper or lower case."""
    answer = read(DONE | {"status": status})

    assert (answer.kind, answer.video_url) == (AnswerKind.COMPLETED, URL)


@pytest.mark.parametrize(
    "status",
    ["failed", "fail", "FAILURE", "error", "cancelled", "canceled", "CANCEL", "expired", "timeout"],
)
def test_failing_statuses_fail_the_task(status: str):
    """Every documented or observed status for an end without a video."""
    answer = read(LOST | {"status": status, "error": "no"})

    assert (answer.kind, answer.words) == (AnswerKind.FAILED, "no")


@pytest.mark.parametrize("status", ["succeed", "done", "finished", "complete", "DELIVERED", "成功", "ok"])
def test_unlisted_status_with_a_link_is_probably_completed(status: str):
    """A second answer must confirm it; without this the task would wait until its deadline."""
    answer = read(DONE | {"status": status})

    assert (answer.kind, answer.video_url) == (AnswerKind.PROBABLY_COMPLETED, URL)


@pytest.mark.parametrize("status", ["rejected", "blocked", "aborted", "terminated", "违规"])
@pytest.mark.parametrize("key", ["error", "fail_reason", "reason", "error_message"])
def test_unlisted_status_with_an_error_text_is_probably_failed(status: str, key: str):
    """A second answer must confirm it."""
    answer = read(without(EXAMPLE, "error") | {"status": status, key: "unsafe"})

    assert (answer.kind, answer.words) == (AnswerKind.PROBABLY_FAILED, "unsafe")


@pytest.mark.parametrize("error", [None, "", "ok", "success", {"code": 0, "message": "ok"}, 0, "none", []])
def test_unlisted_status_with_a_harmless_error_means_waiting(error: object):
    """Some services send an error object although there is no error."""
    assert read(EXAMPLE | {"status": "denoising", "error": error}).kind is AnswerKind.WAITING


def test_unlisted_status_with_a_message_means_waiting():
    """A message may also describe the progress."""
    reply = EXAMPLE | {"status": "denoising", "message": "step 3 of 8"}

    assert read(reply).kind is AnswerKind.WAITING


def test_failure_text_about_something_missing_does_not_make_the_id_unknown():
    """The text of a rejected task is about its prompt, not about its id."""
    answer = read(EXAMPLE | {"status": "rejected", "error": "The reference video was not found."})

    assert (answer.kind, answer.words) == (AnswerKind.PROBABLY_FAILED, "The reference video was not found.")


def test_status_decides_and_not_the_presence_of_an_error():
    """Some services send an error object although there is no error."""
    harmless = {"error": {"code": 0, "message": "ok"}}
    assert read(EXAMPLE | harmless).kind is AnswerKind.WAITING
    assert read(DONE | harmless).kind is AnswerKind.COMPLETED


def test_completed_without_a_link_but_with_a_refusal_is_probably_failed():
    """The text is the reason."""
    text = "Veo could not generate videos based on the prompt provided. You will not be charged."

    answer = read(DONE | {"video_url": None, "error": text})

    assert (answer.kind, answer.words) == (AnswerKind.PROBABLY_FAILED, text)


@pytest.mark.parametrize("error", [None, "", "ok", {"code": 0, "message": "ok"}])
def test_completed_without_a_link_and_a_text_is_doubtful(error: object):
    """Never a success, and a failure only after it has lasted."""
    assert read(DONE | {"video_url": None, "error": error}).kind is AnswerKind.NO_VIDEO


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("8", 8.0),
        ('"4.000000"', 4.0),
        ("4.5", 4.5),
        ("0", None),
        ("-8", None),
        ("NaN", None),
        ("Infinity", None),
        ('"nan"', None),
        ("1e999", None),
        ("1" + "0" * 400, None),
        ('"long"', None),
        ("true", None),
        ("null", None),
        ("[8]", None),
    ],
)
def test_length_of_the_clip_is_a_positive_number_or_unknown(value: str, seconds: float | None):
    """actualDuration is a number or a numeric text; other values are ignored."""
    body = json.dumps(DONE)[:-1] + f', "actualDuration": {value}}}'
    answer = read_reply(200, {}, body.encode(), TASK)

    assert (answer.kind, answer.seconds) == (AnswerKind.COMPLETED, seconds)


@pytest.mark.parametrize(
    ("value", "created"),
    [
        (1761635478, 1761635478_000),
        ("1761635478", 1761635478_000),
        (1761635478123, 1761635478_123),
        (0, None),
        (-1, None),
        (10**15, None),
        ("today", None),
        (True, None),
        (None, None),
    ],
)
def test_time_of_creation_is_in_milliseconds_or_unknown(value: object, created: int | None):
    """The documentation says Unix seconds; implausible values are ignored."""
    assert read(EXAMPLE | {"created": value}).created == created


@pytest.mark.parametrize(
    ("value", "model"),
    [("veo_3_1_pro", "veo_3_1_pro"), ("m" * 900, "m" * 60), (" a\x00b ", "a b"), ("", None), (7, None)],
)
def test_model_is_a_short_line_or_unknown(value: object, model: str | None):
    """Model names are data."""
    assert read(EXAMPLE | {"model": value}).model == model


@pytest.mark.parametrize(
    "wrapped",
    [
        {"data": DONE},
        {"code": 200, "msg": "success", "data": DONE},
        {"code": "0", "msg": None, "data": DONE},
        {"code": "20000", "msg": "ok", "data": DONE},
        {"status": 200, "data": DONE},
        {"status": "success", "data": DONE},
        {"status": None, "data": DONE},
        {"result": DONE},
        {"data": {"task": DONE}},
        {"data": [DONE]},
        [DONE],
        {"code": 0, "data": {"projectId": TASK, "status": "success", "video_url": URL}},
        {"code": 0, "data": {"task_id": TASK, "task_status": "succeeded", "video_url": URL}},
        {"id": TASK, "data": {"status": "completed", "video_url": URL}},
        {"id": TASK, "status": "success", "data": {"video_url": URL}},
        DONE | {"data": {"status": "failed"}},
        DONE | {"data": None, "amount": 3, "totalTokens": "17"},
    ],
)
def test_task_is_found_inside_a_wrapper(wrapped: Any):
    """Wrappers are searched unless the top level is a task; unknown keys are ignored."""
    answer = read(wrapped)

    assert (answer.kind, answer.video_url) == (AnswerKind.COMPLETED, URL)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"data":', "}"), ('{"x":', "}")])
def test_reply_with_deep_nesting_is_read(opening: str, closing: str):
    """As deep as the parser can read; the task is at the top level."""
    deep = opening * 900 + "1" + closing * 900
    body = json.dumps(DONE)[:-1] + f', "more": {deep}}}'

    assert kind_of(200, body.encode()) is AnswerKind.COMPLETED


@pytest.mark.parametrize(
    "wrapped",
    [
        {"status": "success", "data": EXAMPLE},
        {"status": "success", "data": {"id": TASK, "task_status": "processing"}},
        {"status": "success", "data": {"id": TASK, "status": "success", "task_status": "processing"}},
        {"id": TASK, "status": "success", "data": {"task_status": "processing"}},
        {"id": TASK, "status": "ok", "result": {"state": "processing"}},
    ],
)
def test_wrapper_saying_success_does_not_finish_a_running_task(wrapped: Any):
    """The wrapper's success is about the poll, the inner status about the task."""
    answer = read(wrapped)

    assert (answer.kind, answer.api_status) == (AnswerKind.WAITING, "processing")


@pytest.mark.parametrize("http", [202, 302, 400, 401, 403, 404, 422, 500, 503])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [(EXAMPLE, AnswerKind.WAITING), (DONE, AnswerKind.COMPLETED), (LOST, AnswerKind.FAILED)],
)
def test_status_of_the_polled_id_is_read_under_any_http_status(
    http: int, reply: dict[str, Any], kind: AnswerKind
):
    """A failure under 422 or 500 is still the failure of this task."""
    assert read(reply | {"error": "no"} if reply is LOST else reply, http).kind is kind


@pytest.mark.parametrize("status", ["error", "timeout", "fail"])
def test_status_that_envelopes_use_must_be_confirmed_under_an_http_error(status: str):
    """A gateway that repeats the id may report its own error."""
    assert read(LOST | {"status": status, "error": "no"}, 500).kind is AnswerKind.PROBABLY_FAILED


def test_status_error_with_words_that_the_task_does_not_exist_is_an_unknown_id():
    """A reply may repeat the id although the API does not know it."""
    reply = {"id": TASK, "status": "error", "message": "task does not exist"}

    assert read(reply).kind is AnswerKind.UNKNOWN_ID


# -- replies about something else ------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        DONE | {"id": OTHER},
        LOST | {"id": OTHER},
        {"data": DONE | {"id": OTHER}},
        [DONE | {"id": OTHER}],
        {"status": "completed", "video_url": URL},
        {"status": "failed", "error": "no"},
        {"status": "error", "message": "Internal error"},
        {"data": {"status": "failed", "error": "no"}},
        DONE | {"id": OTHER, "request": {"id": TASK}},
        DONE | {"id": OTHER, "parent": {"id": TASK, "status": "processing"}},
        DONE | {"id": TASK.upper()},
        DONE | {"id": TASK + "x"},
        DONE | {"id": [TASK]},
        without(DONE, "id") | {"prompt": TASK},
        without(LOST, "id") | {"error": f"task {TASK} failed"},
    ],
)
def test_reply_without_a_status_of_the_polled_id_ends_nothing(reply: Any):
    """A reply with another id, or without any."""
    assert read(reply).kind in {AnswerKind.ERROR, AnswerKind.WAITING}


def test_polled_id_is_found_among_others():
    """A list may hold several tasks."""
    reply = {"data": [DONE | {"id": OTHER}, EXAMPLE, LOST | {"id": "x"}]}

    assert read(reply).kind is AnswerKind.WAITING


def test_numeric_id_is_compared_as_text():
    """An id that is a JSON number is polled as its digits."""
    assert read({"id": 12345, "status": "processing"}, task_id="12345").kind is AnswerKind.WAITING


# -- no usable answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"code":"204","msg":"x"}'),
        (502, HTML),
        (503, b""),
        (504, b"upstream timed out"),
        (100, b"{}"),
        (204, b""),
        (200, b""),
        (200, b" \r\n"),
        (200, HTML),
        (200, b"\xef\xbb\xbf <!doctype html>"),
        (200, b"ok"),
        (200, b"\xff\xfe\x00"),
        (200, b"[1]"),
        (200, b"null"),
        (200, b'"completed"'),
        (200, b"[" * 100_000),
        (200, b"9" * 10_000),
        (200, b"{}"),
        (200, b'{"status":""}'),
        (200, b'{"status":7}'),
        (200, b'{"status":["completed"]}'),
        (200, b'{"code":0,"msg":"ok","data":null}'),
        (200, b'{"code":"0","msg":null,"data":{"projectId":"proj_1"}}'),
        (200, '{"code":1001,"msg":"余额不足","data":null}'.encode()),
        (200, '{"code":-1,"msg":"系统繁忙","data":null}'.encode()),
        (200, b'{"code":-1,"msg":"Internal server error","data":null}'),
        (200, b'{"code":-1,"data":null}'),
        (200, b'{"code":"-1","msg":"x"}'),
        (200, b'{"code":-1,"msg":"x","data":{}}'),
        (200, b'{"code":true}'),
        (200, b'{"status":"processing"}'),
        (301, b""),
        (302, b'{"status":"completed"}'),
        (304, b""),
        (400, b'{"error":{"message":"bad"}}'),
        (400, b"bad"),
        (402, b'{"detail":[{"loc":[],"msg":"pay","type":"x"}]}'),
        (403, b""),
        (403, b"{}"),
        (403, b"[]"),
        (403, b"Forbidden"),
        (403, HTML),
        (403, b'{"error":{"message":"You do not have access to this task"}}'),
        (200, b'{"code":"403"}'),
        (408, b""),
        (451, b"{}"),
        (500, b'{"error":{"message":"task not found"}}'),
        (503, b'{"message":"invalid api key cache"}'),
    ],
)
def test_reply_that_says_nothing_about_the_task_is_an_error(status: int, body: bytes):
    assert kind_of(status, body) is AnswerKind.ERROR


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (410, b""),
        (404, b"{}"),
        (404, b"[]"),
        (404, HTML),
        (404, b"404 page not found"),
        (404, b'{"detail":"Not Found"}'),
        (404, b'{"code":-1,"msg":"x","data":null}'),
        (410, b'{"message":"expired"}'),
        (200, b'{"code":404,"msg":"gone","data":null}'),
        (404, b'{"message":"No handler found for GET /kyyReactApiServer/v1/x"}'),
        (404, b'{"error":"Not Found","message":"No handler found for GET /v1/x","path":"/v1/x"}'),
        (404, b'{"timestamp":1,"status":404,"error":"Not Found","path":"/v1/x"}'),
        (404, b'{"error":"Not Found","message":"No static resource v1/x.","path":"/v1/x"}'),
        (404, b'{"error":{"message":"Invalid URL (GET /v1/x)","type":"invalid_request_error"}}'),
        (404, b'{"message":"no Route matched with those values"}'),
        (200, b'{"code":404,"msg":"No handler found for GET /v1/x","data":null}'),
    ],
)
def test_404_without_words_about_the_task_is_bare(status: int, body: bytes):
    """The address may be wrong."""
    assert kind_of(status, body) is AnswerKind.NOT_FOUND


# -- rate limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "99999999"}, 3600),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2999 07:28:30 -0000"}, 3600),
        ({"Retry-After": "Wed, 99 Oct 2999 07:28:30 GMT"}, None),
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(429, AnswerKind.THROTTLED), (503, AnswerKind.ERROR)])
def test_retry_after_is_honoured_and_bounded(
    status: int, kind: AnswerKind, headers: dict[str, str], seconds: float | None
):
    """Seconds or an HTTP date (relative to the reply's Date), from 0 to 3600."""
    answer = read_reply(status, headers, b"", TASK)

    assert (answer.kind, answer.retry_after) == (kind, seconds)


def test_throttling_inside_an_envelope_is_throttling():
    """Code 429 under HTTP 200 means the same as HTTP 429."""
    assert read({"code": 429, "msg": "slow down", "data": None}).kind is AnswerKind.THROTTLED


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(EXAMPLE, AnswerKind.THROTTLED), (DONE, AnswerKind.COMPLETED), (LOST, AnswerKind.FAILED)],
)
def test_429_with_a_final_status_is_final(reply: dict[str, Any], kind: AnswerKind):
    """With any other status it is throttling."""
    assert read(reply, 429).kind is kind
