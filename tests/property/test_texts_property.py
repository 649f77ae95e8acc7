"""Text from outside never leaves its code span and never makes a message too long."""

import re
from pathlib import Path
from typing import Any

import discord
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.layouts import card_layout, layout
from bot.chat.messenger import attachment_name
from bot.chat.texts import cards, results
from bot.chat.texts.escape import code, code_block, one_line, shorten, shorten_middle
from bot.chat.texts.language import translator
from bot.core.generation_time import UsualTime
from bot.core.language import Language
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
    Obstacle,
    TaskState,
    TrackedTask,
    Trouble,
)
from bot.core.tracking import Overview
from sandbox.discord.component_limits import component_problems
from sandbox.discord.components import displayed_text
from tests.factories import NOW, make_delivery, make_task

LARGEST = 2**63 - 1

# Discord's markdown, read from left to right: an escape or a code span may begin anywhere.
_ESCAPE = re.compile(r"\\[^0-9A-Za-z\s]")
_BLOCK = re.compile(r"```(?:[a-z0-9_+\-.#]+?\n)?\n*[^\n].*?\n*```", re.DOTALL | re.IGNORECASE)
_SPAN = re.compile(r"(`+)(.*?[^`])\1(?!`)", re.DOTALL)

TRICKY = st.text(alphabet="`\\\n\r\t \u200b\u200d\u202e\u2028\x00\ud800\ue000*_~|<>@#-1a😀é\u0301…")
TEXTS = st.one_of(st.text(), TRICKY, TRICKY.map(lambda text: text * 50))
IDS = st.text(alphabet="abcXYZ019._:-", min_size=1, max_size=128)


def outside_code(text: str) -> str:
    """The parts of a text in which markdown and mentions work."""
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
def test_code_span_encloses_any_text(text: str, most: int):
    """One span in one line, at most two characters longer than the limit."""
    span = code(text, most)

    assert outside_code(f"a {span} b") == "a  b"
    assert "\n" not in span
    assert units(span) <= most + 2


@given(TEXTS, st.integers(10, 300))
def test_code_block_encloses_any_text(text: str, most: int):
    """One block, within the limit."""
    block = code_block(text, most)

    assert outside_code(f"a\n{block}\nb") == "a\n\nb"
    assert units(block) <= most


@given(TEXTS, st.integers(1, 300))
def test_one_line_with_any_text_is_short_and_encodable(text: str, most: int):
    """One line that UTF-8 can encode, within the limit, and unchanged when shortened again."""
    line = one_line(text, most)

    assert line.encode().decode() == line
    assert len(line.splitlines()) <= 1
    assert units(line) <= most
    assert one_line(line, most) == line.strip()


@given(st.text(), st.integers(1, 300))
def test_shorten_with_any_text_keeps_its_beginning(text: str, most: int):
    """The whole text, or its beginning and an ellipsis."""
    short = shorten(text, most)

    assert units(short) <= most
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(IDS, st.integers(2, 128))
def test_shorten_middle_with_any_id_keeps_both_ends(task_id: str, most: int):
    """Within the limit."""
    short = shorten_middle(task_id, most)

    assert len(short) <= most
    if short != task_id:
        head, _, tail = short.rpartition("…")
        assert task_id.startswith(head)
        assert task_id.endswith(tail)


@given(IDS)
def test_attachment_name_of_any_id_is_a_plain_file_name(task_id: str):
    """Only characters that a file name and a multipart header may hold."""
    assert re.fullmatch(r"veo_[A-Za-z0-9._-]{1,128}\.mp4", attachment_name(task_id))


NUMBERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["deadline", "silence", "status", "limit", "size"], st.integers(0, LARGEST))
)
DATA = st.builds(lambda numbers, status: {**numbers, "api_status": status}, NUMBERS, TEXTS) | NUMBERS
PROBLEMS = st.builds(Problem, st.sampled_from(ProblemCode), DATA)
# Stored reasons: a problem, or a sentence of version 0.1.0.
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
    model=st.none() | TEXTS,
    took=st.none() | st.integers(1, 86_400_000),
    judged_at=st.none() | st.just(NOW),
    silent_time=st.sampled_from([0, 3_600_000]),
)
LANGUAGES = st.sampled_from(Language)
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
    obstacle=st.none() | st.sampled_from(Obstacle),
    deleted_at=st.none() | st.just(NOW),
    attempt=st.sampled_from([0, 7]),
)
ROWS = st.builds(ExistingDelivery, DELIVERIES, TASKS, st.none() | st.just(LARGEST))
WATCHERS = st.lists(PEOPLE, max_size=50, unique=True).map(tuple)


VIDEOS = st.builds(
    Video,
    st.just(Path("video.mp4")),
    size=st.integers(1, LARGEST),
    width=st.just(640),
    height=st.just(360),
    plays_in_discord=st.booleans(),
)


@given(DELIVERIES, TASKS, WATCHERS, st.none() | PROBLEMS | VIDEOS, st.sampled_from(Form), LANGUAGES)
def test_result_of_any_delivery_fits_and_mentions_only_its_users(
    delivery: Delivery,
    task: TrackedTask,
    watchers: tuple[int, ...],
    end: Problem | Video | None,
    form: Form,
    language: Language,
):
    """At most 2,000 units. Outside of code only the requester and the watchers are mentioned."""
    video, problem = (end, None) if isinstance(end, Video) else (None, end)
    due = DueDelivery(delivery, task, watchers)
    text = results.result(translator(language), ResultMessage(due, video, problem, form=form), NOW)

    outside = re.sub(r"<https://[^\s<>]*>", "", outside_code(text))
    assert units(text) <= 2000
    assert f"`{task.id}`" in text
    assert {int(found) for found in re.findall(r"<@(\d+)>", outside)} == {delivery.requester_id, *watchers}
    assert outside.count("@") == len({delivery.requester_id, *watchers})


@given(DELIVERIES, TASKS, WATCHERS, st.none() | VIDEOS, PROBLEMS, LANGUAGES)
def test_direct_message_about_any_delivery_fits_and_pings_nobody(
    delivery: Delivery,
    task: TrackedTask,
    watchers: tuple[int, ...],
    video: Video | None,
    why: Problem,
    language: Language,
):
    """At most 2,000 units, with the task's id, and nothing from outside but in code."""
    message = ResultMessage(DueDelivery(delivery, task, watchers), video)
    text = results.undeliverable(translator(language), message, why, NOW)

    outside = re.sub(r"<https://[^\s<>]*>", "", outside_code(text))
    assert units(text) <= 2000
    assert f"`{task.id}`" in text
    assert "@" not in outside


def shown_problems(view: discord.ui.LayoutView) -> list[object]:
    """What Discord, as the stand-in knows it, has against a message of these components."""
    components: list[dict[str, Any]] = view.to_components()  # type: ignore[no-untyped-call]
    texts = displayed_text(components)
    too_many_bytes = sum(len(text.encode()) + 12 for text in texts) > 10_170
    return [*component_problems(components, v2=True, file_names=()), *(["bytes"] if too_many_bytes else [])]


USUAL = st.none() | st.builds(UsualTime, *[st.integers(1, 86_400_000)] * 2, st.integers(10, 50))


@given(st.lists(ROWS, min_size=1, max_size=20).map(tuple), USUAL, st.integers(0, 1000), LANGUAGES)
def test_card_of_any_rows_fits_and_has_a_line_for_each(
    rows: tuple[ExistingDelivery, ...], usual: UsualTime | None, watchers: int, language: Language
):
    """Within Discord's limits, one line per task, for any ids, statuses and notes."""
    view = CardView(Card(LARGEST, 1, 1, None), rows, watchers=watchers, usual=usual)
    t = translator(language)
    panel = cards.card(t, view, NOW)

    assert shown_problems(card_layout(t, view, NOW)) == []
    assert len(panel.paragraphs[1].splitlines()) == len(rows)
    assert all("`" not in outside_code(paragraph) for paragraph in panel.paragraphs)


@given(st.lists(ROWS, max_size=80).map(tuple), st.lists(ROWS, max_size=10).map(tuple), LANGUAGES)
def test_list_of_any_rows_fits(
    live: tuple[ExistingDelivery, ...], ended: tuple[ExistingDelivery, ...], language: Language
):
    """Within Discord's limits, and nothing from outside but in code."""
    panel = cards.overview(translator(language), Overview(live, ended), NOW)
    if panel is None:
        assert not live
        assert not ended
        return
    assert shown_problems(layout(panel)) == []


@given(ROWS, LANGUAGES)
def test_status_and_suggestion_of_any_row_fit(row: ExistingDelivery, language: Language):
    """Within Discord's limits."""
    t = translator(language)

    assert shown_problems(layout(cards.status(t, row, None, NOW))) == []
    assert 1 <= units(cards.choice_name(t, row)) <= 100
