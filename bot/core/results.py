"""A result message before it has words: what the deliverer hands to the chat, and its nonce."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from bot.core.clock import DAY
from bot.core.tasks import DueDelivery, TaskState, TrackedTask

# X-query of the API's documentation: a video_url is valid for 24 hours.
LINK_LIFETIME = DAY
# Discord takes at most 25 characters and compares nonces by author, not by channel (reference: Create
# Message, `enforce_nonce`), so a nonce must be unique per delivery over all channels and installations.
_NONCE_BYTES = 15


@dataclass(frozen=True, slots=True)
class ResultMessage:
    """The end of one delivery: the MP4 on our disk, or the reason why there is none.

    `problem` is a sentence for people about a completed task whose video cannot be attached.
    `original_size`, in bytes, is set when `video` was made smaller to fit. `bare` leaves out every word
    that is not ours. `parent_id` is the channel above a thread that is closed. `begun_at` is when posting
    first began, perhaps in another process (UTC milliseconds).
    """

    due: DueDelivery
    video: Path | None = None
    problem: str | None = None
    original_size: int | None = None
    bare: bool = False
    parent_id: int | None = None
    begun_at: int | None = None

    @property
    def channel_id(self) -> int:
        """The channel that it is posted in."""
        return self.parent_id or self.due.delivery.channel_id


def link_ends_at(task: TrackedTask) -> int | None:
    """When the API's link ends, in UTC milliseconds; None when the task has no link."""
    if task.state is not TaskState.COMPLETED or task.finished_at is None or task.video_url is None:
        return None
    return task.finished_at + LINK_LIFETIME


def living_link(task: TrackedTask, now: int) -> str | None:
    """The API's own link, or None when it has ended."""
    ends_at = link_ends_at(task)
    return task.video_url if ends_at is not None and now < ends_at else None


def new_nonce() -> str:
    """A nonce that makes posting a delivery twice harmless: 21 characters, 120 random bits.

    It is stored with the delivery before the first send.
    """
    return "v" + secrets.token_urlsafe(_NONCE_BYTES)


def private_nonce(nonce: str) -> str:
    """The nonce of the direct message about the delivery with `nonce`: as fixed, but another one."""
    return "p" + nonce[1:]
