"""The ids that each log line of a job has as fields, and the texts that no line may show.

Those texts are the link, which gives access to the video, and what people wrote.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

from bot.core.masking import STARS, mask_links
from bot.core.tasks import CardView, Delivery, DueDelivery, TrackedTask

Fields = Mapping[str, object]
Work = TrackedTask | DueDelivery | CardView

_current: ContextVar[Fields] = ContextVar("log_fields")
_private: ContextVar[tuple[str, ...]] = ContextVar("private_texts")
# A shorter text is hidden only where it stands alone, because it may be part of any word.
_MIN_PART = 4


def log_about(action: str, work: Work) -> None:
    """Add the ids of `work` to every later log line of this job, also to those of libraries.

    Needs no reset, because asyncio gives each job its own context, which ends with it.
    """
    attempt = work.delivery.attempt if isinstance(work, DueDelivery) else work.attempt
    _current.set({"action": action, **_ids(work), "attempt": attempt + 1})
    _private.set(tuple(sorted(set(_texts(work)), key=len, reverse=True)))


def log_by(action: str, *, guild_id: int | None, channel_id: int | None, person_id: int) -> None:
    """Add the action, the place and the person to every later log line of this job."""
    _current.set({"action": action, "guild_id": guild_id, "channel_id": channel_id, "person_id": person_id})


def current_fields() -> Fields:
    """Return the fields of this job's log lines; empty when the job handles no single piece of work."""
    return _current.get({})


def without_private_texts(text: str) -> str:
    """Return a traceback or an exception's text without links, and without the texts of this job's work."""
    for private in _private.get(()):
        for form in {private, repr(private)[1:-1], json.dumps(private)[1:-1]}:
            text = _hide(form, text)
    return mask_links(text)


def _hide(private: str, text: str) -> str:
    if len(private) >= _MIN_PART:
        return text.replace(private, STARS)
    return re.sub(rf"(?<!\w){re.escape(private)}(?!\w)", STARS, text)


def describe_work(work: object) -> str:
    """Return the kind of `work` and its ids, without any other text from outside."""
    if not isinstance(work, TrackedTask | DueDelivery | CardView):
        return type(work).__name__
    return " ".join([type(work).__name__, *(f"{name}={value}" for name, value in _ids(work).items())])


def delivery_fields(delivery: Delivery) -> dict[str, object]:
    """Return a delivery's ids for the `extra` of one log line, for a job that did not call `log_about`."""
    return {
        "task_id": delivery.task_id,
        "delivery_id": delivery.id,
        "guild_id": delivery.guild_id,
        "channel_id": delivery.channel_id,
        "person_id": delivery.requester_id,
    }


def _ids(work: Work) -> dict[str, object]:
    match work:
        case TrackedTask():
            return {"task_id": work.id}
        case DueDelivery():
            return delivery_fields(work.delivery)
        case CardView():
            return {"guild_id": work.card.guild_id, "channel_id": work.card.channel_id}


def _texts(work: Work) -> Iterator[str]:
    """Yield the texts that came from people and from the video API."""
    match work:
        case TrackedTask():
            yield from filter(None, (work.video_url, work.reason, work.words))
        case DueDelivery():
            yield from filter(None, (work.delivery.note, *_texts(work.task)))
        case CardView():
            for row in work.rows:
                yield from filter(None, (row.delivery.note, *_texts(row.task)))
