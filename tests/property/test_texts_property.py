"""Text from outside, of every kind, never leaves the code that it is put in, nor a message's length."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bot.chat.messenger import attachment_name
from bot.chat.texts import cards, results
from bot.chat.texts.escape import code, code_block, one_line, shorten, shorten_middle
from bot.core.problems import Problem, ProblemCode
from bot.core.results import LINK_SHOWN_AFTER, ResultMessage, Video
from bot.core.tasks import (
    Card,
    CardView,
    Delivery,
    DeliveryState,
    Doubt,
    DueDelivery,
    ExistingDelivery,
    Form,
    TaskState,
    TrackedTask,
    Trouble,
)
from tests.factories import NOW, make_delivery, make_task

LARGEST = 2**63 - 1

# Discord's own rules, as its client reads a message: left to right, an escape or code wherever it begins.
_ESCAPE = re.compile(r"\\[^0-9A-Za-z\s]")
_BLOCK = re.compile(r"```(?:[a-z0-9_+\-.#]+?\n)?\n*[^\n].*?\n*```", re.DOTALL | re.IGNORECASE)
_SPAN = re.compile(r"(`+)(.*?[^`])\1(?!`)", re.DOTALL)

TRICKY = st.text(alphabet="`\\\n\r\t \u200b\u200d\u202e\u2028\x00\ud800\ue000*_~|<>@#-1a😀é\u0301…")
TEXTS = st.one_of(st.text(), TRICKY, TRICKY.map(lambda text: text * 50))
IDS = st.text(alphabet="abcXYZ019._:-", min_size=1, max_size=128)


def outside_code(text: str) -> str:
    """What is left to markdown and mentions."""
    left: list[str] = []
    at = 0
    while at < len(text):
        escape = _ESCAPE.match(text, at)
        in_code = _BLOCK.match(text, at) or _SPAN.match(text, at)
        found = escape or in_code
        if in_code is None:
            left.append(found.group() if found else text[at])
        at = found.end() if found else at + 1
    return "".join(left)


def units(text: str) -> int:
    return sum(1 + (ord(character) > 0xFFFF) for character in text)


@given(TEXTS, st.integers(1, 300))
def test_code_with_any_text_cannot_be_left(text: str, most: int):
    """One span, of one line, at most two longer than asked for."""
    span = code(text, most)

    assert outside_code(f"a {span} b") == "a  b"
    assert "\n" not in span
    assert units(span) <= most + 2


@given(TEXTS, st.integers(10, 300))
def test_code_block_with_any_text_cannot_be_left(text: str, most: int):
    """One block, no longer than asked for."""
    block = code_block(text, most)

    assert outside_code(f"a\n{block}\nb") == "a\n\nb"
    assert units(block) <= most


@given(TEXTS, st.integers(1, 300))
def test_one_line_with_any_text_is_short_and_encodable(text: str, most: int):
    """One line that UTF-8 can carry, within its bounds, and tidy when tidied again."""
    line = one_line(text, most)

    assert line.encode().decode() == line
    assert len(line.splitlines()) <= 1
    assert units(line) <= most
    assert one_line(line, most) == line.strip()


@given(st.text(), st.integers(1, 300))
def test_shorten_with_any_text_keeps_its_beginning(text: str, most: int):
    """Whole, or its beginning and an ellipsis."""
    short = shorten(text, most)

    assert units(short) <= most
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(IDS, st.integers(2, 128))
def test_shorten_middle_with_any_id_keeps_both_ends(task_id: str, most: int):
    """Never longer than asked for, and made of the id's two ends."""
    short = shorten_middle(task_id, most)

    assert len(short) <= most
    if short != task_id:
        head, _, tail = short.rpartition("…")
        assert task_id.startswith(head)
        assert task_id.endswith(tail)


@given(IDS)
def test_attachment_name_of_any_id_is_a_plain_file_name(task_id: str):
    """Nothing that a file name or a multipart header cannot bear."""
    assert re.fullmatch(r"veo_[A-Za-z0-9._-]{1,128}\.mp4", attachment_name(task_id))


NUMBERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["deadline", "silence", "status", "limit", "size"], st.integers(0, LARGEST))
)
DATA = st.builds(lambda numbers, status: {**numbers, "api_status": status}, NUMBERS, TEXTS) | NUMBERS
PROBLEMS = st.builds(Problem, st.sampled_from(ProblemCode), DATA)
# As they are stored: a problem, or a sentence of version 0.1.0.
OLD = st.sampled_from(["the thread is locked", "Discord answered 503", "No result within 6 hours."])
STORED = st.none() | OLD | PROBLEMS.map(Problem.to_text)
TASKS = st.builds(
    make_task,
    id=IDS,
    state=st.sampled_from(TaskState),
    api_status=st.none() | TEXTS,
    api_status_since=st.none() | st.just(NOW),
    doubt=st.none() | st.sampled_from(Doubt),
    trouble=st.none() | st.sampled_from(Trouble),
    words=st.none() | TEXTS,
    cause=STORED,
    reason=st.none() | TEXTS,
    link_ends_at=st.none() | st.sampled_from([NOW, NOW + 1]),
    video_url=st.none() | st.text(max_size=2000).map("https://cdn.example/".__add__),
    polled_at=st.none() | st.just(NOW),
    finished_at=st.none() | st.sampled_from([NOW, NOW - 3_600_000, NOW - 90_000_000]),
    due_at=st.none() | st.just(NOW),
    attempt=st.sampled_from([0, 3]),
)
PEOPLE = st.integers(LARGEST - 100, LARGEST)
DELIVERIES = st.builds(
    make_delivery,
    id=st.just(LARGEST),
    guild_id=st.just(LARGEST),
    channel_id=st.just(LARGEST),
    requester_id=PEOPLE,
    note=st.none() | TEXTS,
    state=st.sampled_from(DeliveryState),
    message_id=st.none() | st.just(LARGEST),
    last_error=STORED,
    cancelled_by=st.none() | PEOPLE,
    download_since=st.none() | st.sampled_from([NOW, NOW - LINK_SHOWN_AFTER]),
)
WATCHERS = st.lists(PEOPLE, max_size=50, unique=True).map(tuple)


VIDEOS = st.builds(
    Video,
    st.just(Path("video.mp4")),
    size=st.integers(1, LARGEST),
    width=st.just(640),
    height=st.just(360),
    plays_in_discord=st.booleans(),
)


@given(DELIVERIES, TASKS, WATCHERS, st.none() | PROBLEMS | VIDEOS, st.sampled_from(Form))
def test_result_of_any_delivery_fits_and_mentions_only_its_people(
    delivery: Delivery, task: TrackedTask, watchers: tuple[int, ...], end: Problem | Video | None, form: Form
):
    """2,000 units, and outside of code no mention but of whoever asked and whoever pressed the button."""
    video, problem = (end, None) if isinstance(end, Video) else (None, end)
    due = DueDelivery(delivery, task, watchers)
    text = results.result(ResultMessage(due, video, problem, form=form), NOW)

    outside = re.sub(r"<https://[^\s<>]*>", "", outside_code(text))
    assert units(text) <= 2000
    assert f"`{task.id}`" in text
    assert {int(found) for found in re.findall(r"<@(\d+)>", outside)} == {delivery.requester_id, *watchers}
    assert outside.count("@") == len({delivery.requester_id, *watchers})


@given(
    st.lists(st.builds(ExistingDelivery, delivery=DELIVERIES, task=TASKS), min_size=1, max_size=20).map(tuple)
)
def test_card_of_any_rows_fits_and_has_a_line_for_each(rows: tuple[ExistingDelivery, ...]):
    """However long ids, statuses and notes are: 2,000 units, one line per task."""
    text = cards.card(CardView(Card(1, 1, 1, None), rows), NOW)

    lines = [line for line in text.splitlines()[1:] if not line.startswith("-# ")]
    assert units(text) <= 2000
    assert len(lines) == len(rows)
    assert outside_code(text).count("`") == 0
