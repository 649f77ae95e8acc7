"""read_reply over everything: any status, any headers, any bytes, any JSON."""

import json
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import KeyRefused, VideoApiThrottled, VideoApiUnavailable
from bot.core.verdicts import Answer, Completed, Failed, Waiting
from bot.veo.reply import read_reply

STATUSES = st.sampled_from([200, 202, 204, 302, 400, 401, 403, 404, 410, 429, 500, 503])
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["completed", "failed", "queued", "not found", "登录验证失败", "http://h/x"]),
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Content-Type", "x"]), st.text(max_size=30), max_size=3
)
KEYS = st.sampled_from(
    ["id", "status", "data", "code", "msg", "message", "error", "video_url", "actualDuration"]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=6),
    max_leaves=12,
)


def outcome(status: int, headers: dict[str, str], body: bytes) -> Answer | Exception:
    """The answer or one of the three errors; anything else escapes and fails the test."""
    try:
        return read_reply(status, headers, body)
    except (VideoApiThrottled, KeyRefused, VideoApiUnavailable) as error:
        return error


def assert_sound(result: Answer | Exception) -> None:
    match result:
        case Waiting(api_status):
            assert 0 < len(api_status) <= 40
            assert api_status.isprintable()
        case Failed(reason):
            assert 0 < len(reason) <= 4000
            assert "\x00" not in reason
            assert reason.encode()
        case Completed(video_url, seconds):
            assert video_url.lower().startswith(("http://", "https://"))
            assert seconds is None or seconds > 0
        case Exception():
            assert str(result).isprintable()
            assert len(str(result)) < 300
        case _:
            assert isinstance(result, get_args(Answer))


@given(status=st.integers(100, 599), headers=HEADERS, body=st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_one_of_three_errors(status: int, headers: dict[str, str], body: bytes):
    """No reply of a broken server may raise anything that the poller does not know."""
    assert_sound(outcome(status, headers, body))


@given(status=STATUSES, headers=HEADERS, document=JSON)
def test_any_json_is_an_answer_or_one_of_three_errors(status: int, headers: dict[str, str], document: Any):
    """Every key may hold every type."""
    assert_sound(outcome(status, headers, json.dumps(document).encode()))


@given(document=st.dictionaries(KEYS, JSON, max_size=9), status=TEXTS)
def test_wrapping_in_data_never_changes_a_tasks_answer(document: dict[str, Any], status: str):
    """A task with its id reads the same at the top level and inside `data`."""
    task = document | {"id": "vgen_1", "status": status, "data": None}
    inside = {"code": 0, "msg": "ok", "data": task}
    plain = outcome(200, {}, json.dumps(task).encode())
    wrapped = outcome(200, {}, json.dumps(inside).encode())
    if status.strip():
        assert plain == wrapped
    assert_sound(plain)
    assert_sound(wrapped)
