"""A task of the stand-in: what it says now, and what it will say at the next questions."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.video_api.clips import CLIP, Clip


@dataclass(frozen=True, slots=True)
class Say:
    """Any status word; `video_url` and `error` stay null, as in the documented example."""

    word: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Finished, with a link to `clip` on this server, or to `url` when given ("" is a link, too)."""

    clip: Clip = CLIP
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Failed; the documentation promises a text, comparable services send an object or null."""

    error: str | dict[str, Any] | None = "The prompt was rejected."


Step = Say | Complete | Fail


class StandInTask:
    """One generation task; tests move it by hand, or hand it a script."""

    def __init__(self, task_id: str, *, model: str, created: int, video_url: str) -> None:
        self.id = task_id
        self.clip = CLIP
        self._model = model
        self._created = created
        self._own_url = video_url
        self._script: deque[Step] = deque()
        self._now: Step = Say("queued")
        self._body: bytes | None = None

    @property
    def status(self) -> str:
        """The word that the next question gets, unless a script says otherwise."""
        match self._now:
            case Say(word):
                return word
            case Complete():
                return "completed"
            case Fail():
                return "failed"

    def say(self, word: str) -> None:
        self._move(Say(word))

    def proceed(self) -> None:
        self.say("processing")

    def complete(self, clip: Clip = CLIP, *, url: str | None = None) -> None:
        self._move(Complete(clip, url))

    def fail(self, error: str | dict[str, Any] | None = Fail().error) -> None:
        self._move(Fail(error))

    def script(self, steps: Iterable[Step | str]) -> None:
        """One step per question, the first at the next one; the last step stays."""
        self._script = deque(Say(step) if isinstance(step, str) else step for step in steps)

    def asked(self) -> bytes:
        """The JSON that answers this question."""
        if self._script:
            self._move(self._script.popleft())
        if self._body is None:  # kept between questions: a benchmark asks 20,000 tasks in a row
            self._body = json.dumps(self.document()).encode()
        return self._body

    def document(self) -> dict[str, Any]:
        """Keys and order of the documented examples (video-api.md, section 2)."""
        document: dict[str, Any] = {
            "id": self.id,
            "object": "video",
            "created": self._created,
            "model": self._model,
            "status": self.status,
            "video_url": None,
            "error": None,
        }
        match self._now:
            case Complete(clip, url):
                document["video_url"] = self._own_url if url is None else url
                document["actualDuration"] = clip.seconds
            case Fail(error):
                document["error"] = error
            case Say():
                pass
        return document

    def _move(self, step: Step) -> None:
        self._now = step
        self._body = None
        if isinstance(step, Complete):
            self.clip = step.clip
