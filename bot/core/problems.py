"""What went wrong, as a code with its data. The chat has the sentences (chat/texts/problems.py).

A code is stored in the database as a small JSON object. Version 0.1.0 stored sentences instead.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ProblemCode(StrEnum):
    """Why a task has no video, or why a result was not posted as it should be."""

    # A task.
    NO_VIDEO = "no_video"
    UNKNOWN_ID = "unknown_id"
    FORGOTTEN_ID = "forgotten_id"
    REFUSED_ID = "refused_id"
    PAST_DEADLINE = "past_deadline"  # deadline (ms), api_status
    NO_ANSWER = "no_answer"  # silence (ms)
    # A video.
    LINK_UNUSABLE = "link_unusable"
    LINK_FORBIDDEN = "link_forbidden"
    LINK_REDIRECTED = "link_redirected"
    LINK_REFUSED = "link_refused"  # status
    LINK_DEAD = "link_dead"
    LINK_ENDED = "link_ended"
    VIDEO_TOO_LARGE = "video_too_large"  # limit, size (bytes, where known)
    NOT_AN_MP4 = "not_an_mp4"
    DOWNLOAD_INTERRUPTED = "download_interrupted"
    DOWNLOAD_FAILED = "download_failed"
    # A message.
    TOO_LARGE_HERE = "too_large_here"
    MAY_NOT_ATTACH = "may_not_attach"
    MAY_NOT_POST = "may_not_post"
    CHANNEL_GONE = "channel_gone"
    NO_ACCESS = "no_access"
    NO_DIRECT_MESSAGES = "no_direct_messages"
    WRONG_CHANNEL_KIND = "wrong_channel_kind"
    THREAD_LOCKED = "thread_locked"
    THREAD_LIMIT = "thread_limit"
    BLOCKED_BY_AUTOMOD = "blocked_by_automod"
    LINK_BLOCKED = "link_blocked"
    FORM_REFUSED = "form_refused"
    NOT_ACCEPTED = "not_accepted"  # status, discord_code
    FILE_REFUSED = "file_refused"
    NOT_TAKEN = "not_taken"  # temporary failures for a day
    MESSAGE_DELETED = "message_deleted"
    # A temporary failure.
    DISCORD_UNAVAILABLE = "discord_unavailable"  # status, if Discord answered; blocked, if its edge did
    STORAGE_UNAVAILABLE = "storage_unavailable"
    OUR_BUG = "our_bug"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Problem:
    """A code and the numbers or words that its sentence needs."""

    code: ProblemCode
    data: Mapping[str, str | int] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the text to store. The same problem gives the same text, because rows are grouped by it."""
        return json.dumps({"code": self.code, **self.data}, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> "Problem | None":
        """Read what `to_text` wrote; None for a sentence of version 0.1.0."""
        if not text.startswith("{"):
            return None
        try:
            data = dict(json.loads(text))
            return cls(ProblemCode(data.pop("code")), data)
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self) -> str:
        """Return the code and the data for the log."""
        return " ".join([self.code, *(f"{name}={value}" for name, value in self.data.items())])
