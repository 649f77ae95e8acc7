"""How far a waiting task is, by the API's status."""

from enum import StrEnum


class Phase(StrEnum):
    """What people are told about a task that is not finished."""

    QUEUED = "queued"
    GENERATING = "generating"
    OTHER = "other"  # a status that is in no list: it is shown as it is


# The statuses of services that sell Veo, as their documentation names them.
_QUEUED = frozenset(
    {
        *("queued", "queuing", "queueing", "in_queue", "pending", "waiting", "submitted", "not_start"),
        *("ready", "assigned", "created", "scheduled", "accepted"),
    }
)
_GENERATING = frozenset(
    {
        *("starting", "started", "processing", "in_progress", "running", "generating", "preparing"),
        *("rendering", "uploading", "retrying", "progress"),
    }
)


def phase_of(api_status: str) -> Phase:
    """The phase that the API's status means."""
    status = api_status.strip().lower().replace(" ", "_").replace("-", "_")
    if status in _QUEUED:
        return Phase.QUEUED
    return Phase.GENERATING if status in _GENERATING else Phase.OTHER
