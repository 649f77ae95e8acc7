"""Ids and back-off over everything."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.backoff import poll_delay, retry_delay
from bot.core.ids import find_ids, is_task_id, read_ids

PIECES = st.sampled_from(
    [
        "vgen_abc",
        "sora_x.",
        "http://h/v1/result/",
        "http://[",
        "%2e",
        "/",
        "{",
        "}",
        "[",
        "]",
        '"id":',
        '"',
        ",",
        ".mp4",
    ]
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES | st.text(max_size=4), max_size=10).map("".join))


@given(TEXTS)
@example("http://h/result/%00")
@example('["\\ud800"]')
@example('{"id": 1' + "0" * 5000 + "}")
def test_read_ids_of_any_text_gives_valid_ids_once(text: str):
    """Never an exception; every id is one, each once."""
    found = read_ids(text)

    assert all(map(is_task_id, found.ids))
    assert len(set(found.ids)) == len(found.ids)


@given(TEXTS)
def test_read_ids_of_its_own_ids_gives_them_again(text: str):
    """What the bot shows can be pasted back."""
    found = read_ids(text).ids

    assert read_ids(" ".join(found)).ids == found


@given(TEXTS)
def test_find_ids_of_any_text_gives_valid_ids_once(text: str):
    """Never an exception; every id is one, each once."""
    found = find_ids(text)

    assert all(map(is_task_id, found))
    assert len(set(found)) == len(found)


@given(
    attempt=st.integers(-5, 10**6),
    base=st.integers(1, 10**6),
    more=st.integers(0, 10**7),
    retry_after=st.none() | st.floats(0, 10**6),
    seed=st.integers(),
)
def test_retry_delay_stays_within_its_bounds(
    attempt: int, base: int, more: int, retry_after: float | None, seed: int
):
    """Between `base` and `cap` and a quarter, unless the other side wants longer."""
    cap = base + more
    delay = retry_delay(attempt, base=base, cap=cap, retry_after=retry_after, rng=random.Random(seed))
    wish = int((retry_after or 0) * 1000)

    assert max(base, wish) <= delay <= max(cap * 1.25, wish)


@given(attempt=st.integers(1, 30), seed=st.integers())
def test_retry_delay_grows_with_the_attempts(attempt: int, seed: int):
    """A quarter of spread never outruns a doubling."""
    earlier = retry_delay(attempt, rng=random.Random(seed))
    later = retry_delay(attempt + 2, rng=random.Random(seed))

    assert later >= earlier


@given(age=st.integers(0, 10**10), older=st.integers(0, 10**9), interval=st.integers(1, 10**7))
def test_poll_delay_never_shrinks_with_the_age(age: int, older: int, interval: int):
    """An older task is never polled more often, and none below the interval."""
    assert interval <= poll_delay(age, interval) <= poll_delay(age + older, interval)
