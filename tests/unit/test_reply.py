"""Every shape of video-api.md, sections 2, 5 and 6, and what read_reply makes of it."""

import json
from typing import Any

import pytest

from bot.core.errors import KeyRefused, TryLater, VideoApiThrottled, VideoApiUnavailable
from bot.core.verdicts import Completed, Doubt, Doubtful, Failed, Waiting
from bot.veo.reply import NO_REASON, read_reply

URL = "https://cdn.example/v/1.mp4?sig=a%2Fb"
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
UNKNOWN = Doubtful(Doubt.UNKNOWN_ID)
NO_VIDEO = Doubtful(Doubt.NO_VIDEO)

EXAMPLE = {
    "id": "vgen_abc123def456",
    "object": "video",
    "created": 1761635478,
    "model": "veo_3_1_fast",
    "status": "processing",
    "video_url": None,
    "error": None,
}
DONE = EXAMPLE | {"status": "completed", "video_url": URL}
LOST = EXAMPLE | {"status": "failed"}


def read(document: Any, status: int = 200, **headers: str):
    return read_reply(status, headers, json.dumps(document).encode())


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


# -- the task's own document -----------------------------------------------------------------------


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
    """A status that we do not know keeps the task waiting and is shown, printable and short."""
    assert read(EXAMPLE | {"status": status}) == Waiting(shown)


@pytest.mark.parametrize("status", ["completed", "succeeded", "success", "SUCCESS", " Completed "])
def test_finished_statuses_complete_the_task(status: str):
    """Three statuses mean finished, in any case."""
    assert read(DONE | {"status": status}) == Completed(URL)


@pytest.mark.parametrize(
    "status",
    ["failed", "fail", "FAILURE", "error", "cancelled", "canceled", "CANCEL", "expired", "timeout"],
)
def test_failing_statuses_fail_the_task(status: str):
    """Every documented or reported status for the end without a video."""
    assert read(LOST | {"status": status, "error": "no"}) == Failed("no")


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
        ({}, NO_REASON),
        ([], NO_REASON),
        ("", NO_REASON),
        ("\x00", NO_REASON),
        (None, NO_REASON),
        (13, NO_REASON),
        ("a\x00b\ud800c", "abc"),
        ("x" * 9000, "x" * 4000),
    ],
)
def test_reason_of_a_failure_is_readable_whatever_its_shape(error: Any, reason: str):
    """error is a string by the documentation; objects and nothing are survived."""
    assert read(LOST | {"error": error}) == Failed(reason)


def test_missing_error_key_means_the_same_as_null():
    """The documentation says "only present when", its examples show null."""
    assert read(without(LOST, "error", "video_url")) == Failed(NO_REASON)


def test_reason_is_found_under_other_keys_when_error_is_empty():
    """Comparable services explain a failure in fail_reason or message."""
    assert read(LOST | {"fail_reason": "audio"}) == Failed("audio")


def test_status_decides_not_the_presence_of_an_error():
    """Some services send an error object although all is well."""
    harmless = {"error": {"code": 0, "message": "ok"}}
    assert read(EXAMPLE | harmless) == Waiting("processing")
    assert read(DONE | harmless) == Completed(URL)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"video_url": URL}, Completed(URL)),
        ({"video_url": f"  {URL} "}, Completed(URL)),
        ({"video_url": [URL]}, Completed(URL)),
        ({"video_url": "HTTP://h/x"}, Completed("HTTP://h/x")),
        ({"video_url": None, "result_url": URL}, Completed(URL)),
        ({"video_url": "", "result_url": URL}, Completed(URL)),
        ({"video_url": None}, NO_VIDEO),
        ({"video_url": ""}, NO_VIDEO),
        ({"video_url": []}, NO_VIDEO),
        ({"video_url": [None]}, NO_VIDEO),
        ({"video_url": {"url": URL}}, NO_VIDEO),
        ({"video_url": "ftp://h/x"}, NO_VIDEO),
        ({"video_url": "asset://h/x"}, NO_VIDEO),
        ({"video_url": "https://"}, NO_VIDEO),
        ({"video_url": "https://[broken/x"}, NO_VIDEO),
        ({"video_url": "https://h:99999/x"}, NO_VIDEO),
        ({"video_url": "https://h:0/x"}, NO_VIDEO),
        ({"video_url": "https://h/\nx"}, NO_VIDEO),
        ({"video_url": "https://h/\ud800"}, NO_VIDEO),
        ({"video_url": "https://h/" + "x" * 9000}, NO_VIDEO),
    ],
)
def test_completed_needs_a_usable_link(fields: dict[str, Any], answer: object):
    """Completed without an http(s) link is a doubt, never a success."""
    assert read(DONE | fields) == answer


def test_completed_without_any_link_key_is_a_doubt():
    """Null and missing mean the same."""
    assert read(without(DONE, "video_url")) == NO_VIDEO


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
    """actualDuration comes as a number or a numeric text; nonsense is not passed on."""
    body = json.dumps(DONE)[:-1] + f', "actualDuration": {value}}}'
    assert read_reply(200, {}, body.encode()) == Completed(URL, seconds)


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
        {"code": 0, "data": {"projectId": "proj_1", "status": "success", "video_url": URL}},
        {"status": "success", "data": {"task_id": "x", "video_url": URL}},
        DONE | {"data": {"status": "failed"}},
        DONE | {"data": None, "amount": 3, "totalTokens": "17"},
    ],
)
def test_task_is_found_inside_a_data_wrapper(wrapped: dict[str, Any]):
    """`data` is unwrapped unless the top level is a task itself; unknown keys are ignored."""
    assert read(wrapped) == Completed(URL)


def test_wrapper_saying_success_does_not_finish_a_running_task():
    """The envelope's success is about the poll, the inner status about the task."""
    assert read({"status": "success", "data": EXAMPLE}) == Waiting("processing")


def test_failure_text_about_a_key_is_only_a_reason_when_a_task_is_named():
    """The words of somebody's prompt must not stop the bot."""
    text = "API key not found in the picture"
    assert read(LOST | {"error": text}) == Failed(text)


def test_task_without_an_id_is_still_a_task():
    """The id that matters is the one that was polled."""
    assert read({"status": "processing"}) == Waiting("processing")
    assert read({"status": "failed", "error": "no"}) == Failed("no")


# -- the key ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (401, b'{"error":{"message":"Invalid API key"}}'),
        (401, b"Unauthorized"),
        (401, HTML),
        (403, b""),
        (403, b"{}"),
        (403, b"[]"),
        (403, b"Forbidden"),
        (200, '{"code":"204","msg":"登录验证失败"}'.encode()),
        (200, b'{"code":204,"msg":null}'),
        (200, b'{"code":401,"msg":"x","data":null}'),
        (200, b'{"code":"403"}'),
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
    """By HTTP status, by the envelope's code, or by its wording under HTTP 200."""
    with pytest.raises(KeyRefused):
        read_reply(status, {}, body)


@pytest.mark.parametrize(
    ("body", "headers"), [(HTML, {}), (b"blocked", {"content-type": "text/html; charset=utf-8"})]
)
def test_web_page_with_403_is_a_proxys_block_not_a_refused_key(body: bytes, headers: dict[str, str]):
    """A firewall in front of the API knows nothing about our key."""
    with pytest.raises(VideoApiUnavailable):
        read_reply(403, headers, body)


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
        (200, b'{"code":-1,"msg":"x","data":{}}'),
        (200, b'{"code":true}'),
        (301, b""),
        (302, json.dumps(DONE).encode()),
        (304, b""),
        (400, b'{"error":{"message":"bad"}}'),
        (400, b"bad"),
        (402, b'{"detail":[{"loc":[],"msg":"pay","type":"x"}]}'),
        (408, b""),
        (451, b"{}"),
    ],
)
def test_reply_that_says_nothing_about_the_task_is_no_answer(status: int, body: bytes):
    """Whatever is not understood is VideoApiUnavailable: no misreading may end a task."""
    with pytest.raises(VideoApiUnavailable):
        read_reply(status, {}, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"message":"No handler found for GET /kyyReactApiServer/v1/x"}'),
        (404, b'{"error":"Not Found","message":"No handler found for GET /v1/x","path":"/v1/x"}'),
        (404, b'{"timestamp":1,"status":404,"error":"Not Found","path":"/v1/x"}'),
        (404, b'{"error":"Not Found","message":"No static resource v1/x.","path":"/v1/x"}'),
        (404, b'{"error":{"message":"Invalid URL (GET /v1/x)","type":"invalid_request_error"}}'),
        (404, b'{"message":"no Route matched with those values"}'),
        (404, HTML),
        (404, b"404 page not found"),
        (404, b"[]"),
        (200, b'{"code":404,"msg":"No handler found for GET /v1/x","data":null}'),
    ],
)
def test_wrong_path_blames_the_address_not_the_task(status: int, body: bytes):
    """A mistyped VEO_API_URL must not end everybody's tasks."""
    with pytest.raises(VideoApiUnavailable, match="VEO_API_URL may be wrong"):
        read_reply(status, {}, body)


# -- unknown ids -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, b"{}"),
        (404, b'{"error":{"message":"task not found"}}'),
        (404, b'{"detail":"Not Found"}'),
        (404, b'{"code":-1,"msg":"x","data":null}'),
        (410, b'{"message":"expired"}'),
        (400, b'{"error":{"message":"task_id does not exist"}}'),
        (200, b'{"code":-1,"data":null}'),
        (200, b'{"code":"-1","msg":"x"}'),
        (200, b'{"code":404,"msg":"gone","data":null}'),
        (200, b'{"code":1001,"msg":"Task not found"}'),
        (200, b'{"code":"500","msg":"task doesn\'t exist","data":null}'),
        (200, '{"code":"500","msg":"任务不存在"}'.encode()),
        (200, b'{"success":false,"error":"TASK_NOT_FOUND","message":"m"}'),
        (200, b'{"status":"error","message":"no such task"}'),
    ],
)
def test_unknown_id_is_a_doubt(status: int, body: bytes):
    """Too often wrong to believe the first time, so it is a doubt and not an end."""
    assert read_reply(status, {}, body) == UNKNOWN


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
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30,
        ),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2999 07:28:30 -0000"}, 3600),
        ({"Retry-After": "Wed, 99 Oct 2999 07:28:30 GMT"}, None),
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(429, VideoApiThrottled), (503, VideoApiUnavailable)])
def test_retry_after_is_honoured_and_bounded(
    status: int, kind: type[TryLater], headers: dict[str, str], seconds: float | None
):
    """Seconds or an HTTP date (counted from the reply's own Date), within [0, 3600]."""
    with pytest.raises(kind) as caught:
        read_reply(status, headers, b"")
    assert caught.value.retry_after == seconds


def test_throttling_inside_an_envelope_is_throttling():
    """Code 429 under HTTP 200 concerns every task, as HTTP 429 does."""
    with pytest.raises(VideoApiThrottled):
        read({"code": 429, "msg": "slow down", "data": None})


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"\x1b[31m" + b"x" * 50_000),
        (200, json.dumps({"code": "c" * 9000, "msg": "\x1b[31m" + "m" * 9000}).encode()),
        (401, json.dumps({"message": "k\n" * 9000}).encode()),
        (404, json.dumps({"message": "No handler found for GET /" + "p" * 9000}).encode()),
        (400, json.dumps({"message": "m" * 9000, "error": "e" * 9000}).encode()),
    ],
)
def test_messages_carry_a_short_printable_excerpt(status: int, body: bytes):
    """They go into logs: one line, no control characters, never a whole body."""
    with pytest.raises(TryLater) as caught:
        read_reply(status, {}, body)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 300
