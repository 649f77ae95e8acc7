"""When the API's link expires, and the nonces of result messages."""

from datetime import UTC, datetime

import pytest

from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.results import link_end, living_link, new_nonce, private_nonce
from bot.core.tasks import TaskState
from tests.factories import NOW, URL, make_task

AT = datetime.fromtimestamp(NOW / 1000, UTC)
SIGNED = AT.strftime("%Y%m%dT%H%M%SZ")
SECONDS = NOW // 1000


def test_link_without_other_times_ends_a_day_after_it_was_first_seen():
    """The API's video_url is valid for 24 hours."""
    assert link_end(URL, None, NOW - HOUR, NOW) == NOW + DAY


@pytest.mark.parametrize(
    ("created", "end"),
    [
        (NOW - 20 * HOUR, NOW + 4 * HOUR),
        (NOW - HOUR, NOW + 23 * HOUR),
        (NOW - HOUR - DAY, NOW - HOUR),
        (NOW - HOUR - DAY - 1, NOW + DAY),
        (NOW - 30 * DAY, NOW + DAY),
        (NOW, NOW + DAY),
        (NOW + 1, NOW + DAY),
        (NOW + 30 * DAY, NOW + DAY),
    ],
)
def test_link_ends_a_day_after_the_creation_where_that_is_plausible(created: int, end: int):
    """A plausible time is at most a day before the registration, which is an hour ago in this test."""
    assert link_end(URL, created, NOW - HOUR, NOW) == end


@pytest.mark.parametrize(
    ("query", "end"),
    [
        (f"Expires={SECONDS + 3600}", NOW + HOUR),
        (f"expires={SECONDS + 3600}&Signature=x", NOW + HOUR),
        (f"a=1&Expires={NOW + HOUR}", NOW + HOUR),
        (f"Expires={SECONDS + 200_000}", NOW + DAY),
        (f"Expires={SECONDS - 60}", NOW - MINUTE),
        (f"X-Amz-Date={SIGNED}&X-Amz-Expires=3600", NOW + HOUR),
        (f"x-amz-expires=3600&x-amz-date={SIGNED}", NOW + HOUR),
        (f"X-Goog-Date={SIGNED}&X-Goog-Expires=3600", NOW + HOUR),
        (f"X-Tos-Date={SIGNED}&X-Tos-Expires=86400000", NOW + DAY),
        (f"X-Amz-Date={SIGNED}&X-Amz-Expires=7200&Expires={SECONDS + 3600}", NOW + HOUR),
        (f"X-Amz-Date={SIGNED}", NOW + DAY),
        ("X-Amz-Expires=3600", NOW + DAY),
        (f"X-Amz-Date={SIGNED}&X-Goog-Expires=3600", NOW + DAY),
        (f"X-Amz-Date={SIGNED}&X-Amz-Expires=-1", NOW + DAY),
        (f"X-Amz-Date={SIGNED}&X-Amz-Expires={'9' * 30}", NOW + DAY),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600", NOW + DAY),
        ("X-Amz-Date=20261399T990000Z&X-Amz-Expires=3600", NOW + DAY),
        ("Expires=3600", NOW + DAY),
        ("Expires=never", NOW + DAY),
        (f"Expires={'9' * 400}", NOW + DAY),
        ("Expires=", NOW + DAY),
        ("&".join(f"a{i}=1" for i in range(500)), NOW + DAY),
    ],
)
def test_signed_link_ends_at_the_time_in_its_query(query: str, end: int):
    """The earliest known time counts; an invalid time is ignored."""
    assert link_end(f"https://cdn.example/v.mp4?{query}", None, NOW, NOW) == end


@pytest.mark.parametrize("url", ["", "http://[", "https://h/\x00?Expires=1", "?"])
def test_link_that_cannot_be_parsed_ends_a_day_after_it_was_first_seen(url: str):
    """It raises nothing."""
    assert link_end(url, None, NOW, NOW) == NOW + DAY


def test_earliest_of_all_estimates_counts():
    """The creation, the signature and the time of first sight."""
    url = f"https://cdn.example/v.mp4?X-Amz-Date={SIGNED}&X-Amz-Expires=36000&Expires={SECONDS + 7200}"

    assert link_end(url, NOW - 23 * HOUR, NOW - MINUTE, NOW) == NOW + HOUR
    assert link_end(url, NOW - HOUR, NOW - MINUTE, NOW) == NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("now", "lives"), [(NOW, True), (NOW + HOUR - 1, True), (NOW + HOUR, False), (NOW + 2 * DAY, False)]
)
def test_link_lives_until_its_end(now: int, lives: bool):
    """The end is stored with the task."""
    task = make_task(state=TaskState.COMPLETED, video_url=URL, finished_at=NOW, link_ends_at=NOW + HOUR)

    assert living_link(task, now) == (URL if lives else None)


@pytest.mark.parametrize(
    "task",
    [
        make_task(),
        make_task(state=TaskState.FAILED, finished_at=NOW),
        make_task(state=TaskState.COMPLETED, finished_at=NOW, video_url=URL),
        make_task(state=TaskState.COMPLETED, finished_at=NOW, link_ends_at=NOW + SECOND),
    ],
)
def test_task_without_a_link_or_its_end_has_no_living_link(task):
    assert living_link(task, NOW) is None


def test_nonces_are_unique_and_short_enough_for_discord():
    """At most 25 characters, unique over all channels and installations."""
    nonces = {new_nonce() for _ in range(10_000)}

    assert len(nonces) == 10_000
    assert max(map(len, nonces)) <= 25


def test_nonce_of_the_direct_message_is_fixed_and_differs_from_the_results():
    """Both messages may be sent for one delivery."""
    nonce = new_nonce()

    assert private_nonce(nonce) == private_nonce(nonce) != nonce
    assert len(private_nonce(nonce)) == len(nonce)
