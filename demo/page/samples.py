"""Sample messages for the gallery: read from JSON, and put beside their translations."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
# Discord's locale -> the heading of its column.
# The flag of a message that consists of components; plain text looks alike on every screen.
_COMPONENTS = 1 << 15
LANGUAGES = {"en-US": "English", "zh-CN": "简体中文"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One message in one language; `body` is the JSON that the page draws."""

    title: str
    language: str
    is_private: bool
    now: float | None
    """The second at which it is shown, since 1970; None for the present."""
    body: Json

    @property
    def is_drawn_wide(self) -> bool:
        """Whether it also gets a picture on a wide screen: one language is enough to see its layout."""
        return self.language == "en-US" and bool(self.body["payload"].get("flags", 0) & _COMPONENTS)


@dataclass(frozen=True, slots=True)
class Section:
    """Samples under one heading, in their order."""

    title: str
    samples: tuple[Sample, ...]

    def by_title(self) -> dict[str, dict[str, Sample]]:
        """The samples by title, and for each title by language."""
        found: dict[str, dict[str, Sample]] = {}
        for sample in self.samples:
            found.setdefault(sample.title, {})[sample.language] = sample
        return found


def load(path: Path) -> list[Section]:
    """The sections in a JSON file. Raises ValueError with what is wrong in it."""
    try:
        return [_section(each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (KeyError, TypeError) as problem:
        raise ValueError(
            f"{path}: a section has title and messages, and a message title, language and payload"
            f" ({problem!r})"
        ) from None


def _section(body: Json) -> Section:
    """A title that comes a second time in one language gets a number."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for each in map(_sample, body["messages"]):
        counts[each.title, each.language] += 1
        number = counts[each.title, each.language]
        found.append(each if number == 1 else replace(each, title=f"{each.title} ({number})"))
    return Section(str(body["title"]), tuple(found))


def _sample(body: Json) -> Sample:
    if body["language"] not in LANGUAGES:
        raise ValueError(f"the language of “{body['title']}” must be one of {', '.join(LANGUAGES)}")
    whole = {"author": "bot", "private": False, **body, "payload": body["payload"]}
    return Sample(str(body["title"]), body["language"], bool(whole["private"]), body.get("now"), whole)


def slug(*words: str) -> str:
    """Words as a file name: lower case, with hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
