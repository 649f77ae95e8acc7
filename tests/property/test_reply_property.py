"""read_reply with any status, headers, bytes and JSON."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.texts import cards, results
from bot.chat.texts.language import ENGLISH
from bot.core.answers import Answer, AnswerKind
from bot.core.clock import HOUR, SECOND
from bot.core.results import ResultMessage
from bot.core.tasks import Card, CardView, DeliveryState, DueDelivery, ExistingDelivery, Form, TrackedTask
from bot.core.verdicts import Final, Others, PollRules, StillWaiting, judge
from bot.veo.reply import read_reply
from tests.factories import NOW, TASK, make_delivery, make_task
from tests.property.strategies import KEYS as SECRETS
from tests.property.strategies import hidden_in

K = AnswerKind
OTHER = "vgen_other999"
FINAL = {K.COMPLETED, K.FAILED}
LEADS_TO_AN_END = FINAL | {K.PROBABLY_COMPLETED, K.PROBABLY_FAILED, K.NO_VIDEO}
HTTP = st.sampled_from([200, 202, 204, 302, 400, 401, 403, 404, 410, 422, 429, 500, 503])
WORDS = [
    "completed",
    "failed",
    "error",
    "succeed",
    "rejected",
    "queued",
    "not found",
    "登录验证失败",
    "http://h/x",
]
TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(WORDS))
OTHER_IDS = st.sampled_from([OTHER, TASK.upper(), TASK + "x", TASK[:-1], f"task {TASK}", f"{TASK},{OTHER}"])
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Content-Type", "x"]), st.text(max_size=30), max_size=3
)
ID_KEYS = ["id", "task_id", "taskId", "projectId", "video_id", "request_id"]
STATUS_KEYS = ["status", "state", "task_status", "taskStatus"]
WRAPPERS = ["data", "result", "output", "task", "response"]
OTHER_KEYS = ["code", "msg", "message", "error", "fail_reason", "video_url", "url", "video", "actualDuration"]
KEYS = st.sampled_from([*ID_KEYS, *STATUS_KEYS, *WRAPPERS, *OTHER_KEYS])


def any_json(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Plausible and implausible replies."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | texts, inner, max_size=6),
        max_leaves=16,
    )


JSON = any_json(TEXTS | OTHER_IDS | st.just(TASK))
FOREIGN_JSON = any_json(TEXTS | OTHER_IDS)


def read(http: int, document: Any, headers: dict[str, str] | None = None) -> Answer:
    return read_reply(http, headers or {}, json.dumps(document).encode(), TASK)


def texts_of(answer: Answer) -> Iterator[str]:
    """All texts of the answer except the link, which users need unchanged."""
    for text in (answer.api_status, answer.words, answer.model, answer.where):
        if text is not None:
            yield text


def assert_sound(answer: Answer) -> None:
    assert answer.api_status is None or 0 < len(answer.api_status) <= 40
    assert answer.api_status is None or answer.api_status.isprintable()
    assert answer.words is None or 0 < len(answer.words) <= 4000
    assert answer.model is None or 0 < len(answer.model) <= 60
    assert answer.where.isprintable()
    assert len(answer.where) < 300
    for text in texts_of(answer):
        assert "\x00" not in text
        text.encode()
    has_link = answer.kind in {K.COMPLETED, K.PROBABLY_COMPLETED}
    assert (answer.video_url is not None) is has_link
    if answer.video_url is not None:
        assert answer.video_url.lower().startswith(("http://", "https://"))
        assert answer.video_url.isprintable()
    assert answer.seconds is None or answer.seconds > 0
    assert answer.retry_after is None or 0 <= answer.retry_after <= 3600


@given(http=st.integers(100, 599), headers=HEADERS, body=st.binary(max_size=200))
def test_any_bytes_are_an_answer(http: int, headers: dict[str, str], body: bytes):
    """It raises nothing."""
    assert_sound(read_reply(http, headers, body, TASK))


@given(http=HTTP, headers=HEADERS, document=JSON)
def test_any_json_is_an_answer(http: int, headers: dict[str, str], document: Any):
    """Every key may hold a value of every type."""
    assert_sound(read(http, document, headers))


@given(http=HTTP, document=FOREIGN_JSON)
@example(http=200, document={"id": OTHER, "status": "completed", "video_url": "https://h/1.mp4"})
@example(http=200, document={"status": "failed", "error": "no"})
@example(http=200, document={"status": "error", "message": "Internal error"})
@example(http=500, document={"data": [{"task_id": OTHER, "state": "failed", "error": f"task {TASK} failed"}]})
def test_reply_without_the_polled_id_never_leads_to_an_end(http: int, document: Any):
    """It is not even a doubtful end that a second such reply could confirm."""
    assert read(http, document).kind not in LEADS_TO_AN_END | {K.WAITING}


FINISHED = st.fixed_dictionaries(
    {"status": st.sampled_from(["completed", "failed", "succeed", "rejected"])},
    optional={
        "video_url": st.sampled_from(["https://other.example/2.mp4", None]),
        "url": st.just("https://other.example/2.mp4"),
        "error": st.sampled_from(["unsafe", None]),
    },
)


@st.composite
def replies_about_another(draw: st.DrawFn) -> Any:
    """The end of another task, with the running polled task beside, around or inside it."""
    own = {"id": TASK, "status": draw(st.sampled_from(["queued", "processing"]))}
    other = {draw(st.sampled_from(["id", "task_id"])): OTHER, **draw(FINISHED)}
    key = draw(st.sampled_from([*WRAPPERS, "related", "parent", "items"]))
    return draw(
        st.sampled_from(
            [
                [other, own],
                [own, other],
                {"data": [other, own]},
                {key: own, "other": other},
                other | {key: own},
                own | {key: other},
                own | {key: [other]},
                {"data": own | {key: {"data": other}}},
            ]
        )
    )


@given(http=HTTP, document=replies_about_another())
def test_end_of_another_task_in_the_reply_is_not_taken(http: int, document: Any):
    """However the two are nested."""
    assert read(http, document).kind in {K.WAITING, K.THROTTLED}


@given(http=HTTP, other=FINISHED, key=st.sampled_from([*WRAPPERS, "related", "parent", "video", "items"]))
def test_link_of_another_task_in_the_reply_is_not_taken(http: int, other: dict[str, Any], key: str):
    """Also if the polled task is completed without a link."""
    own = {"id": TASK, "status": "completed", "video_url": None}

    answer = read(http, own | {key: [{"id": OTHER, **other}]})

    assert answer.video_url is None


@given(document=st.dictionaries(KEYS, FOREIGN_JSON, max_size=9), status=TEXTS)
def test_wrapping_in_data_never_changes_a_tasks_answer(document: dict[str, Any], status: str):
    no_other_status = {key: value for key, value in document.items() if key not in STATUS_KEYS}
    task = no_other_status | {"id": TASK, "status": status, "data": None}
    plain, wrapped = read(200, task), read(200, {"code": 0, "msg": "ok", "data": task})

    if status.strip():
        assert plain == wrapped
    assert_sound(plain)
    assert_sound(wrapped)


PLACES = st.sampled_from(
    ["error", "message", "msg", "detail", "fail_reason", "code", "status", "model", "id", "state", "x"]
)


@given(http=HTTP, secret=SECRETS, place=PLACES, is_own=st.booleans(), data=st.data())
def test_no_answer_carries_a_credential(
    http: int, secret: str, place: str, is_own: bool, data: st.DataObject
):
    """In any place of the reply."""
    text = data.draw(hidden_in(secret))
    own = {"id": TASK, "status": data.draw(st.sampled_from(["failed", "completed", "queued", "rejected"]))}
    deep = data.draw(st.sampled_from([text, [text], {"message": text}, {"errors": [{"message": text}]}]))
    reply = (own if is_own else {}) | {place: text if place in {"status", "model", "code"} else deep}

    assert not [shown for shown in texts_of(read(http, reply)) if secret in shown]


@given(http=HTTP, secret=SECRETS, data=st.data())
def test_no_answer_to_a_text_that_is_no_json_carries_a_credential(
    http: int, secret: str, data: st.DataObject
):
    """Some proxies answer with the headers of the request."""
    body = data.draw(hidden_in(secret))

    answer = read_reply(http, {}, body.encode(), TASK)

    assert not [shown for shown in texts_of(answer) if secret in shown]


RULES = PollRules(30 * SECOND, HOUR)
OTHERS = [Others(), Others(answered_since_last_poll=True, answered_since_first_404=True)]


def shown_texts(task: TrackedTask) -> Iterator[str]:
    """All texts of the card, the status and the result of a task."""
    open_one = ExistingDelivery(make_delivery(), task)
    ended = ExistingDelivery(make_delivery(state=DeliveryState.POSTED), task)
    yield from cards.card(ENGLISH, CardView(Card(1, 1, 1, None), (open_one, ended)), NOW).paragraphs
    yield from cards.status(ENGLISH, open_one, None, NOW).paragraphs
    yield cards.choice_name(ENGLISH, open_one)
    for form in Form:
        yield results.result(ENGLISH, ResultMessage(DueDelivery(make_delivery(), task, ()), form=form), NOW)


@given(
    http=HTTP,
    secret=SECRETS,
    status=st.sampled_from(["failed", "completed", "rejected", "queued", None]),
    place=PLACES,
    others=st.sampled_from(OTHERS),
    data=st.data(),
)
def test_no_text_for_users_shows_a_credential_of_a_reply(
    http: int, secret: str, status: str | None, place: str, others: Others, data: st.DataObject
):
    """The same reply repeated, from the first card to the result."""
    text = data.draw(hidden_in(secret))
    own = {} if status is None else {"id": TASK, "status": status}
    answer = read(http, own | {place: text})
    task = make_task(due_at=NOW)
    for _ in range(100):
        now = task.due_at or NOW
        verdict = judge(replace(task, polled_at=now), answer, now, RULES, others)
        if isinstance(verdict, Final):
            cause = verdict.cause.to_text() if verdict.cause else None
            task = replace(task, state=verdict.state, reason=verdict.reason, cause=cause, due_at=None)
            break
        assert isinstance(verdict, StillWaiting)
        task = verdict.task

    assert not [shown for shown in shown_texts(task) if secret in shown]
