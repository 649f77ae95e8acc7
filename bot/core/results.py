"""What the deliverer hands to the chat: a result message before it has words."""

from dataclasses import dataclass
from pathlib import Path

from bot.core.clock import DAY
from bot.core.tasks import DueDelivery, TaskState, TrackedTask

# X-query of the API's documentation: a video_url is valid for 24 hours.
LINK_LIFETIME = DAY


@dataclass(frozen=True, slots=True)
class ResultMessage:
    """The end of one delivery: the MP4 on our disk, or the reason why there is none.

    `problem` is a sentence for people about a completed task whose video cannot be attached.
    `original_size`, in bytes, is there when `video` was made smaller to fit. `bare` leaves out every word
    that is not ours. `parent_id` is the channel above a thread that takes no messages any more. `begun_at` is
    when posting it first began, maybe by another process.
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
        """Where it is posted."""
        return self.parent_id or self.due.delivery.channel_id


def link_ends_at(task: TrackedTask) -> int | None:
    """When the API's link dies, in UTC milliseconds; None when the task has no link."""
    if task.state is not TaskState.COMPLETED or task.finished_at is None or task.video_url is None:
        return None
    return task.finished_at + LINK_LIFETIME


def living_link(task: TrackedTask, now: int) -> str | None:
    """The API's own link, as long as it lives."""
    ends_at = link_ends_at(task)
    return task.video_url if ends_at is not None and now < ends_at else None
