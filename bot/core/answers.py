"""What the video API can say about a task, once its reply has been understood."""

from dataclasses import dataclass
from enum import StrEnum


class Doubt(StrEnum):
    """Answers that would end a task but are too often wrong to believe the first time."""

    UNKNOWN_ID = "unknown id"
    NO_VIDEO = "completed without a video"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not finished. `word` is the API's own status, lower case, at most 40 characters."""

    word: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Finished with an http(s) link. `seconds` is the clip's length, when the API told it."""

    video_url: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Finished without a video. `reason` is the API's text, not yet made safe for a chat."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An answer to be confirmed by asking again."""

    doubt: Doubt


Answer = Waiting | Completed | Failed | Doubtful
