"""Answers of the video API: what one reply says about the polled id. veo/reply.py reads them."""

from dataclasses import dataclass
from enum import StrEnum


class AnswerKind(StrEnum):
    """What one reply of the video API says about the id that was polled."""

    WAITING = "waiting"
    COMPLETED = "completed"  # the API's own word, with a link
    FAILED = "failed"  # the API's own word
    NO_VIDEO = "no_video"  # completed, without a link and without a text
    PROBABLY_COMPLETED = "probably_completed"  # an unknown word with a link
    PROBABLY_FAILED = "probably_failed"  # an unknown word, or completed without a link, with an error text
    UNKNOWN_ID = "unknown_id"  # words that this task or id does not exist
    NOT_FOUND = "not_found"  # a bare 404 or 410
    KEY_REFUSED = "key_refused"  # 401, or words about the key
    ERROR = "error"  # any other answer that is no status of this task
    THROTTLED = "throttled"  # 429
    SILENCE = "no_answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, parsed. Its texts are from outside: masked and printable, not yet escaped for a chat.

    `words` is the API's text about a failure or a refusal. `created` is in UTC milliseconds, `seconds` the
    length of the clip, `retry_after` in seconds. `where` describes an unusable reply for the log.
    """

    kind: AnswerKind
    api_status: str | None = None
    video_url: str | None = None
    words: str | None = None
    model: str | None = None
    created: int | None = None
    seconds: float | None = None
    retry_after: float | None = None
    where: str = ""


# The API accepted the key and gave a status of the task, so a pause is over.
USABLE = frozenset(
    {
        AnswerKind.WAITING,
        AnswerKind.COMPLETED,
        AnswerKind.FAILED,
        AnswerKind.NO_VIDEO,
        AnswerKind.PROBABLY_COMPLETED,
        AnswerKind.PROBABLY_FAILED,
    }
)
