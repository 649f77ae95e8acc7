"""`python -m demo.page.gallery`: pictures of sample messages, and the page that shows them side by side."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo.page import gallery, samples
from demo.page.browser import MISSING, find

NOW = 1_800_000_000
CARD: Any = {
    "flags": 1 << 15,
    "components": [
        {
            "type": 17,
            "accent_color": 0xF0B232,
            "components": [{"type": 10, "content": f"### 1 video\n-# <@7> <t:{NOW - 60}:R>"}],
        }
    ],
}
VIDEO: Any = {
    "content": "ready",
    "attachments": [{"filename": "veo.mp4", "size": 9_000_000, "width": 720, "height": 1280}],
}


def message(title: str, language: str, payload: Any, **more: Any) -> dict[str, Any]:
    return {"title": title, "language": language, "author": "bot", "payload": payload, "now": NOW, **more}


SECTIONS = [
    {
        "title": "Cards",
        "messages": [
            message("One video", "en-US", CARD),
            message("One video", "zh-CN", CARD),
            message("Portrait", "en-US", VIDEO, private=True),
            message("Portrait", "en-US", VIDEO),
        ],
    }
]


@pytest.mark.skipif(find() is None, reason=MISSING)
async def test_gallery_has_a_picture_of_each_message(tmp_path: Path) -> None:
    source = tmp_path / "samples.json"
    source.write_text(json.dumps(SECTIONS), encoding="utf-8")
    folder = tmp_path / "gallery"
    folder.mkdir()

    await gallery.draw(samples.load(source), folder)

    page = (folder / gallery.INDEX).read_text(encoding="utf-8")
    pictures = sorted(path.name for path in folder.glob("*.webp"))
    assert pictures == [
        "cards-one-video-en-us-desktop.webp",
        "cards-one-video-en-us-phone.webp",
        "cards-one-video-zh-cn-phone.webp",
        "cards-portrait-2-en-us-phone.webp",
        "cards-portrait-en-us-phone.webp",
    ]
    assert all(name in page for name in pictures)
    assert "| English ([wide](cards-one-video-en-us-desktop.webp)) | 简体中文 |" in page
    assert page.count("Only the person who asked sees it.") == 1
    for path in folder.glob("*.webp"):
        assert path.read_bytes()[8:12] == b"WEBP"
    # The film makes its picture larger than a few words do.
    sizes = {path.name: path.stat().st_size for path in folder.glob("*-phone.webp")}
    assert sizes["cards-portrait-en-us-phone.webp"] > 2 * sizes["cards-one-video-en-us-phone.webp"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([{"title": "x"}], "a section has title and messages"),
        ([{"title": "x", "messages": [{"title": "y", "language": "en-US"}]}], "payload"),
        ([{"title": "x", "messages": [message("y", "xx", {})]}], "the language of “y” must be one of"),
    ],
)
def test_wrong_samples_are_told(tmp_path: Path, content: Any, problem: str) -> None:
    source = tmp_path / "samples.json"
    source.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(ValueError, match=problem):
        samples.load(source)
