"""A task of the stand-in: its current reply, and its replies to the next polls."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.video_api.clips import CLIP, Clip


@dataclass(frozen=True, slots=True)
class Status:
    """Any status; `video_url` and `error` stay null, as in the documented example."""

    name: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Completed, with a link to `clip` on this server, or to `url` if given (also if it is "")."""

    clip: Clip = CLIP
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Failed. The documentation promises a text; similar services send an object or null."""

    error: str | dict[str, Any] | None = "The prompt was rejected."


Step = Status | Complete | Fail


class StandInTask:
    """One generation task. Tests set its state, or give it a script of states."""

    def __init__(self, task_id: str, *, model: str, created: int, video_url: str, clip: Clip = CLIP) -> None:
        self.id = task_id
        self.clip = clip
        self._model = model
        self._created = created
        self._own_url = video_url
        self._script: deque[Step] = deque()
        self._now: Step = Status("queued")
        self._body: bytes | None = None

    @property
    def status(self) -> str:
        """The status in the next reply, unless a script changes it."""
        match self._now:
            case Status(name):
                return name
            case Complete():
                return "completed"
            case Fail():
                return "failed"

    def set_status(self, status: str) -> None:
        self._move(Status(status))

    def proceed(self) -> None:
        self.set_status("processing")

    def complete(self, clip: Clip | None = None, *, url: str | None = None) -> None:
        """Complete it with this clip, or with the one that it was created for."""
        self._move(Complete(clip or self.clip, url))

    def fail(self, error: str | dict[str, Any] | None = Fail().error) -> None:
        self._move(Fail(error))

    def script(self, steps: Iterable[Step | str]) -> None:
        """Take one step at each poll, beginning with the next one; the last step stays."""
        self._script = deque(Status(step) if isinstance(step, str) else step for step in steps)

    def next_reply(self) -> bytes:
        """Take the script's next step, if any, and return the JSON that answers this poll."""
        if self._script:
            self._move(self._script.popleft())
        if self._body is None:  # kept between polls, because a benchmark polls 20,000 tasks in a row
            self._body = json.dumps(self.document()).encode()
        return self._body

    def document(self) -> dict[str, Any]:
        """The reply, with the keys and the order of the documented examples (video-api.md, section 2)."""
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
            case Status():
                pass
        return document

    def _move(self, step: Step) -> None:
        self._now = step
        self._body = None
        if isinstance(step, Complete):
            self.clip = step.clip
