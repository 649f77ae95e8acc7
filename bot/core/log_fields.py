"""Which task and delivery a log line is about, as fields that are the same wherever a line is written."""

from collections.abc import Mapping
from contextvars import ContextVar

from bot.core.tasks import CardView, Delivery, DueDelivery, TrackedTask

Fields = Mapping[str, object]

_current: ContextVar[Fields] = ContextVar("log_fields")


def log_about(action: str, work: TrackedTask | DueDelivery | CardView) -> None:
    """Add the ids of `work` to every later log line of this job, also to those of libraries.

    Needs no reset, because asyncio gives each job its own context, which ends with it.
    """
    attempt = work.delivery.attempt if isinstance(work, DueDelivery) else work.attempt
    _current.set({"action": action, **_ids(work), "attempt": attempt + 1})


def current_fields() -> Fields:
    """What the lines of this job are about; empty in one that is about no single piece of work."""
    return _current.get({})


def delivery_fields(delivery: Delivery) -> dict[str, object]:
    """For the `extra` of a line in a job that has other things to do."""
    return {
        "task_id": delivery.task_id,
        "delivery_id": delivery.id,
        "guild_id": delivery.guild_id,
        "channel_id": delivery.channel_id,
    }


def _ids(work: TrackedTask | DueDelivery | CardView) -> dict[str, object]:
    match work:
        case TrackedTask():
            return {"task_id": work.id}
        case DueDelivery():
            return delivery_fields(work.delivery)
        case CardView():
            return {"guild_id": work.card.guild_id, "channel_id": work.card.channel_id}
