"""What is counted while the bot works. Whoever does the work names what happened; `bot/ops` counts it.

What tells one series from another is an enum here: an id would make a new series each time.
"""

from enum import StrEnum
from typing import Final, Protocol


class PollAnswer(StrEnum):
    """What came of one question to the video API."""

    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN_ID = "unknown_id"
    NO_VIDEO = "no_video"
    NO_ANSWER = "no_answer"
    THROTTLED = "throttled"
    KEY_REFUSED = "key_refused"


class AttemptOutcome(StrEnum):
    """What came of one attempt to deliver."""

    POSTED = "posted"
    UNDELIVERABLE = "undeliverable"
    RETRIED = "retried"
    SET_ASIDE = "set_aside"


class Limiter(StrEnum):
    """Who makes us wait."""

    OUTBOUND = "outbound"  # our own budget of calls to Discord
    DISCORD = "discord"  # a 429
    EDGE = "edge"  # a block in front of Discord
    VIDEO_API = "video_api"  # its throttling


class Meter(Protocol):
    """Told by work and chat. Sizes in bytes, times in seconds."""

    def polled(self, answer: PollAnswer) -> None: ...
    def attempted(self, outcome: AttemptOutcome) -> None: ...

    def delivered(self, seconds: float) -> None:
        """A video was posted so long after it was completed, or after it was asked for if that was later."""
        ...

    def uploaded(self, size: int, seconds: float) -> None: ...

    def too_large(self) -> None:
        """Discord refused a file for its size."""
        ...

    def downloaded(self, size: int, seconds: float) -> None: ...
    def waited(self, limiter: Limiter, seconds: float) -> None: ...


class _Unmetered:
    """For a bot whose numbers nobody reads."""

    def polled(self, answer: PollAnswer) -> None: ...
    def attempted(self, outcome: AttemptOutcome) -> None: ...
    def delivered(self, seconds: float) -> None: ...
    def uploaded(self, size: int, seconds: float) -> None: ...
    def too_large(self) -> None: ...
    def downloaded(self, size: int, seconds: float) -> None: ...
    def waited(self, limiter: Limiter, seconds: float) -> None: ...


UNMETERED: Final[Meter] = _Unmetered()
