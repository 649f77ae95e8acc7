"""Ids, masking and back-off for any input."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat.texts.language import ENGLISH
from bot.chat.texts.replies import malformed_ids
from bot.core.backoff import MAX_PAUSE, poll_delay, retry_delay
from bot.core.ids import IdText, find_ids, is_task_id, read_ids
from bot.core.masking import looks_like_credential, mask_credentials
from tests.factories import TASK
from tests.property.strategies import KEYS, OPAQUE, hidden_in, named, pasted

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
        "Bearer ",
        "-H ",
        "key=",
        "sk-live-abcdefgh12345678",
        "\u200b",
        " ",
        "```",
    ]
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES | st.text(max_size=4), max_size=10).map("".join))


@given(TEXTS)
@example("http://h/result/%00")
@example('["\\ud800"]')
@example('{"id": 1' + "0" * 5000 + "}")
def test_read_ids_of_any_text_gives_valid_ids_once(text: str):
    """It raises nothing."""
    found = read_ids(text)

    assert all(map(is_task_id, found.ids))
    assert len(set(found.ids)) == len(found.ids)


@given(TEXTS)
def test_read_ids_of_its_own_ids_gives_them_again(text: str):
    """Unless an id looks like the end of a sentence or a file name."""
    for found in read_ids(text).ids:
        is_plain = found[:1].isalnum() and found[-1:].isalnum() and not found.endswith(".mp4")
        if is_plain and find_ids(found) in ((), (found,)):
            assert read_ids(found).ids == (found,)


@given(TEXTS)
def test_find_ids_of_any_text_gives_valid_ids_once(text: str):
    """It raises nothing."""
    found = find_ids(text)

    assert all(map(is_task_id, found))
    assert len(set(found)) == len(found)


def shows(found: IdText, secret: str) -> bool:
    """Whether the secret, or most of it, would be stored, polled or shown."""
    return any(secret[4:] in word for word in (*found.ids, *found.malformed))


@given(TEXTS)
def test_read_ids_of_any_text_gives_nothing_that_looks_like_a_credential(text: str):
    found = read_ids(text)

    assert not [i for i in (*found.ids, *found.malformed) if looks_like_credential(i)]
    assert not found.refused or not (found.ids or found.malformed)


@given(st.data(), KEYS)
def test_key_in_any_text_is_never_an_id(data: st.DataObject, key: str):
    """In headers, URLs, JSON and prose."""
    text = data.draw(hidden_in(key, ways=("plain", "json", "invisible")))

    found = read_ids(text)

    assert not shows(found, key)
    assert not [i for i in find_ids(text) if key[4:] in i]
    assert key not in malformed_ids(ENGLISH, found.malformed)


@given(st.data(), OPAQUE)
def test_named_secret_is_never_an_id(data: st.DataObject, secret: str):
    """Also if it has no known shape."""
    text = data.draw(named(secret))

    assert not shows(read_ids(text), secret)
    assert not [i for i in find_ids(text) if secret in i]


@given(st.data(), KEYS | OPAQUE)
def test_pasted_command_gives_its_id_and_never_its_secret(data: st.DataObject, secret: str):
    text = data.draw(pasted(TASK, secret))
    found = read_ids(text)

    assert (found.ids, found.malformed, found.refused) == ((TASK,), (), False)
    assert find_ids(text) == (TASK,)


@given(st.data(), KEYS)
def test_masked_text_shows_no_key(data: st.DataObject, key: str):
    """Known shapes, in any text without escapes."""
    text = data.draw(hidden_in(key))

    if key in text:
        assert key not in mask_credentials(text)


@given(st.data(), OPAQUE)
def test_masked_text_shows_no_named_secret(data: st.DataObject, secret: str):
    """Any shape, after its name."""
    assert secret not in mask_credentials(data.draw(named(secret)))


@given(TEXTS)
def test_masking_twice_is_masking_once(text: str):
    """Texts are masked in more than one place."""
    once = mask_credentials(text)

    assert mask_credentials(once) == once


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
    """From `base` to `cap` plus a quarter; a longer Retry-After counts up to an hour."""
    cap = base + more
    delay = retry_delay(attempt, base=base, cap=cap, retry_after=retry_after, rng=random.Random(seed))
    wish = min(int((retry_after or 0) * 1000), MAX_PAUSE)

    assert max(base, wish) <= delay <= max(cap * 1.25, wish)


@given(attempt=st.integers(1, 30), seed=st.integers())
def test_retry_delay_grows_with_the_attempts(attempt: int, seed: int):
    """The random quarter never exceeds a doubling."""
    earlier = retry_delay(attempt, rng=random.Random(seed))
    later = retry_delay(attempt + 2, rng=random.Random(seed))

    assert later >= earlier


@given(age=st.integers(0, 10**10), older=st.integers(0, 10**9), interval=st.integers(1, 10**7))
def test_poll_delay_never_shrinks_with_the_age(age: int, older: int, interval: int):
    """And it is never below the interval."""
    assert interval <= poll_delay(age, interval) <= poll_delay(age + older, interval)
