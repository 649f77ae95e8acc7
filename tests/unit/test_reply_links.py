"""Where read_reply finds the link of a finished video, and which links it rejects."""

import json
from typing import Any

import pytest

from bot.core.answers import AnswerKind
from bot.veo.links import video_link
from bot.veo.reply import read_reply
from tests.factories import TASK

URL = "https://cdn.example/v/1?sig=a%2Fb"
MP4 = "https://cdn.example/v/1.mp4"
PICTURE = "https://cdn.example/v/1.png"
NO_VIDEO = (AnswerKind.NO_VIDEO, None)


def read(fields: dict[str, Any]) -> tuple[AnswerKind, str | None]:
    """The kind and the link of a completed task with these fields."""
    document = {"id": TASK, "object": "video", "status": "completed", **fields}
    answer = read_reply(200, {}, json.dumps(document).encode(), TASK)
    return answer.kind, answer.video_url


@pytest.mark.parametrize(
    ("fields", "link"),
    [
        ({"video_url": URL}, URL),
        ({"video_url": f"  {URL} "}, URL),
        ({"video_url": [URL]}, URL),
        ({"video_url": {"url": URL}}, URL),
        ({"video_url": "HTTP://h/x"}, "HTTP://h/x"),
        ({"video_url": None, "result_url": URL}, URL),
        ({"video_url": "", "result_url": URL}, URL),
        ({"videoUrl": URL}, URL),
        ({"video_url": URL, "result_url": MP4, "url": "https://h/other.mp4"}, URL),
    ],
)
def test_link_is_taken_from_the_documented_place_first(fields: dict[str, Any], link: str):
    """Other links are ignored then."""
    assert read(fields) == (AnswerKind.COMPLETED, link)


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"url": URL}},
        {"video": {"url": URL}},
        {"video": URL},
        {"output": {"video_url": URL}},
        {"output": URL},
        {"output": [URL]},
        {"url": URL},
        {"download_url": URL},
        {"file": {"uri": URL}},
        {"videos": [{"url": URL}]},
        {"data": {"videos": [{"url": URL, "seed": 3}]}},
        {"generations": [{"assets": {"main": URL}}]},
        {"result": json.dumps({"video_url": URL})},
        {"resultJson": json.dumps({"resultUrls": [URL]})},
        {"url": URL, "same": {"again": URL}},
        {"url": URL, "cover": PICTURE},
        {"url": URL, "cover_url": "https://cdn.example/cover"},
        {"video": {"url": URL, "thumbnail_url": "https://cdn.example/t", "last_frame_url": PICTURE}},
        {"url": URL, "input_reference": ["https://mine.example/first"]},
        {"url": URL, "image_urls": ["https://mine.example/first"], "prompt": "https://h/p"},
        {"url": URL, "callback_url": "https://mine.example/hook", "status_url": "https://h/s"},
        {"url": MP4, "page": "https://h/page", "subtitles": "https://h/1.srt"},
    ],
)
def test_only_video_link_is_found_in_any_place(fields: dict[str, Any]):
    """Similar services use other keys, JSON in a text, or list pictures beside the video."""
    kind, link = read({"video_url": None, **fields})

    assert kind is AnswerKind.COMPLETED
    assert link in {URL, MP4}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"video_url": None},
        {"video_url": ""},
        {"video_url": []},
        {"video_url": [None]},
        {"video_url": "ftp://h/x"},
        {"video_url": "asset://h/x"},
        {"video_url": "https://"},
        {"video_url": "https://[broken/x"},
        {"video_url": "https://h:99999/x"},
        {"video_url": "https://h:0/x"},
        {"video_url": "https://h/\nx"},
        {"video_url": "https://h/\ud800"},
        {"video_url": "https://h/" + "x" * 9000},
        {"video_url": PICTURE},
        {"url": PICTURE},
        {"url": PICTURE + "?video=1.mp4"},
        {"image_url": "https://cdn.example/1"},
        {"cover": {"url": "https://cdn.example/1"}},
        {"thumbnail": MP4},
        {"last_frame_url": "https://cdn.example/1"},
        {"input": {"video_url": "https://mine.example/1.mp4"}},
        {"request": {"input_reference": ["https://mine.example/1.mp4"]}},
        {"prompt": "https://mine.example/1.mp4"},
        {"a": "https://h/1", "b": "https://h/2"},
        {"a": "https://h/1.mp4", "b": "https://h/2.mp4"},
        {"text": f"see {URL}"},
        {"help_url": "https://h/help"},
    ],
)
def test_link_that_is_no_video_or_not_the_only_one_is_not_taken(fields: dict[str, Any]):
    """Completed without a usable link is doubtful, never a success."""
    assert read(fields) == NO_VIDEO


@pytest.mark.parametrize(
    "fields",
    [
        {"related": [{"id": "vgen_other999", "status": "completed", "video_url": MP4}]},
        {"data": {"id": "vgen_other999", "video_url": MP4}},
        {"parent": {"task_id": "vgen_other999", "output": {"url": MP4}}},
        {"data": {"id": "vgen_other999", "status": "completed", "video_url": MP4}},
    ],
)
def test_link_of_another_id_is_not_taken(fields: dict[str, Any]):
    """A reply about the polled id may also hold other tasks."""
    assert read({"video_url": None, **fields}) == NO_VIDEO


def test_own_link_beside_that_of_another_id_is_taken():
    fields = {"video": {"url": MP4}, "parent": {"id": "vgen_other999", "url": "https://h/2.mp4"}}

    assert read(fields) == (AnswerKind.COMPLETED, MP4)


@pytest.mark.parametrize(
    ("task", "link"),
    [
        ({"files": [{"href": "https://h.example/a.mp4"}]}, "https://h.example/a.mp4"),
        ({"href": "https://h.example/tasks/1"}, None),
        ({"input": {"href": "https://h.example/a.mp4"}}, None),
        ({"href": "https://[h.example/a.mp4"}, None),
        ({"href": 7}, None),
    ],
    ids=["a video's file", "a page", "what was sent", "no address", "no text"],
)
def test_href_is_taken_only_for_a_video_file(task: dict[str, object], link: str | None):
    """Other references lead back to the API."""
    assert video_link(task) == link
