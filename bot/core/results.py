"""The content of a result message, from which the chat writes the text, and its nonce."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from bot.core.clock import DAY, MINUTE, SECOND
from bot.core.problems import Problem, ProblemCode
from bot.core.tasks import DueDelivery, Form, TaskState, TrackedTask

# A video_url is valid for 24 hours (docs.xingchaoyiqing.com/api-reference/video/veo-query).
LINK_LIFETIME = DAY
# The card shows the link of a video that could not be downloaded for so long.
LINK_SHOWN_AFTER = 10 * MINUTE
# Discord takes at most 25 characters and compares nonces by author, not by channel (reference: Create
# Message, `enforce_nonce`), so a nonce must be unique per delivery over all channels and installations.
_NONCE_BYTES = 15
_SIGNED_AT = re.compile(r"x-([a-z]{1,10})-date")


@dataclass(frozen=True, slots=True)
class Video:
    """A checked MP4 on our disk. `size` in bytes, sides in pixels as shown, `seconds` of length.

    `plays_in_discord`: false for a codec of which many of Discord's clients show only a still.
    """

    path: Path
    size: int
    width: int
    height: int
    seconds: float | None = None
    codec: str = ""
    plays_in_discord: bool = True


@dataclass(frozen=True, slots=True)
class ResultMessage:
    """What ends one delivery: the MP4 on our disk, or the reason why there is none.

    `problem` says why the video of a completed task cannot be attached.
    `original_size`, in bytes, is set when `video` was made smaller to fit. `parent_id` is the channel above
    a thread that is closed. `shared_ids` are further ids that the API never knew and that this message
    names as well.
    """

    due: DueDelivery
    video: Video | None = None
    problem: Problem | None = None
    original_size: int | None = None
    form: Form = Form.WHOLE
    parent_id: int | None = None
    shared_ids: tuple[str, ...] = ()

    @property
    def attachment(self) -> Video | None:
        """The video, unless this form leaves it out."""
        return None if self.form is Form.WITHOUT_FILE else self.video

    @property
    def is_bare(self) -> bool:
        """Whether this form leaves out all text from outside."""
        return self.form is Form.BARE

    @property
    def channel_id(self) -> int:
        """The channel that it is posted in."""
        return self.parent_id or self.due.delivery.channel_id


@dataclass(frozen=True, slots=True)
class ReadRange:
    """The messages of a channel that a look-up has read: their ids from `oldest` to `newest`, inclusive."""

    newest: int
    oldest: int


@dataclass(frozen=True, slots=True)
class LookUp:
    """The result of a look-up, which searches a channel's history for our own message.

    `message_id` is set when the message was found, `is_absent` when it is not there. Otherwise this is
    unknown, because the history cannot be read or is longer than one look-up reads; `read` is then the range
    that was read, if any.
    """

    message_id: int | None = None
    is_absent: bool = False
    read: ReadRange | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """What a message that is about to be sent adds: people to mention, further ids to name."""

    watchers: tuple[int, ...]
    shared_ids: tuple[str, ...] = ()


UNKNOWN_ID = Problem(ProblemCode.UNKNOWN_ID).to_text()


def is_never_known(task: TrackedTask) -> bool:
    """Whether the API never knew this id: such ids of one command share a message."""
    return task.state is TaskState.LOST and not task.known and task.cause == UNKNOWN_ID


# One message of 2,000 characters names the ids that the API never knew, and mentions people.
_ROOM_FOR_IDS = 1500
_MENTION = 23
_ID_LINE = 5


def ids_that_fit(ids: Sequence[str], mentions: int) -> int:
    """Return how many of these ids, from the first, fit one message with `mentions` mentions."""
    left = _ROOM_FOR_IDS - mentions * _MENTION
    for count, task_id in enumerate(ids):
        left -= len(task_id) + _ID_LINE
        if left < 0:
            return count
    return len(ids)


def link_end(url: str, created: int | None, registered_at: int, now: int) -> int:
    """Return when the API's link ends, in UTC milliseconds: the earliest of the known estimates.

    They are 24 hours after now, 24 hours after `created` where that lies within a day before the
    registration, and the end that a signed link states (`Expires`, or `X-…-Date` with `X-…-Expires`, as AWS
    and Google sign).
    """
    ends = [now + LINK_LIFETIME]
    if created is not None and registered_at - DAY <= created <= now:
        ends.append(created + LINK_LIFETIME)
    parameters = _lower_query(url)
    expires = _epoch(parameters.get("expires", ""))
    if expires is not None:
        ends.append(expires)
    for name, value in parameters.items():
        signed = _SIGNED_AT.fullmatch(name)
        lifetime = parameters.get(f"x-{signed[1]}-expires", "") if signed else ""
        signed_at = _signed_date(value)
        if signed_at is not None and lifetime.isdecimal() and len(lifetime) < 10:
            ends.append(signed_at + int(lifetime) * SECOND)
    return min(ends)


def _lower_query(url: str) -> dict[str, str]:
    try:
        return {key.lower(): value for key, value in parse_qsl(urlsplit(url).query, max_num_fields=100)}
    except ValueError:
        return {}


def _epoch(text: str) -> int | None:
    """Convert seconds or milliseconds since 1970 to milliseconds."""
    if not text.isdecimal() or not 9 <= len(text) <= 13:
        return None
    return int(text) if len(text) > 11 else int(text) * SECOND


def _signed_date(text: str) -> int | None:
    """Convert `20261126T090500Z` to milliseconds."""
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp() * 1000)


def living_link(task: TrackedTask, now: int) -> str | None:
    """Return the API's own link, or None when it has ended."""
    lives = task.state is TaskState.COMPLETED and task.link_ends_at is not None and now < task.link_ends_at
    return task.video_url if lives else None


def new_nonce() -> str:
    """Make a nonce that makes posting a delivery twice harmless: 21 characters, 120 random bits.

    It is stored with the delivery before the first send.
    """
    return "v" + secrets.token_urlsafe(_NONCE_BYTES)


def nonce_part(nonce: str) -> str:
    """Return eight characters of the nonce. Buttons carry them to tell the rows of two databases apart."""
    return nonce[1:9]


def private_nonce(nonce: str) -> str:
    """Return the nonce of the direct message about the delivery with `nonce`; it is fixed as well."""
    return "p" + nonce[1:]
