"""What people can ask for, and the results: requests, limits, outcomes."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.errors import CourierError
from bot.core.results import nonce_part
from bot.core.tasks import CardView, Delivery, ExistingDelivery


@dataclass(frozen=True, slots=True)
class Limits:
    """How many deliveries may be live at once."""

    per_user: int
    per_channel: int
    per_guild: int


@dataclass(frozen=True, slots=True)
class TrackRequest:
    """A person wants these tasks posted in this channel. Ids are valid and unique."""

    guild_id: int
    channel_id: int
    requester_id: int
    ids: tuple[str, ...]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What was committed. `card` is None when every id was tracked before; those are in `existing`."""

    card: CardView | None
    existing: tuple[ExistingDelivery, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """A channel's live deliveries, and the latest that ended, newest first."""

    live: tuple[ExistingDelivery, ...]
    ended: tuple[ExistingDelivery, ...]


class LimitScope(StrEnum):
    """Which limit was reached."""

    USER = "user"
    CHANNEL = "channel"
    GUILD = "guild"


class QuotaReached(CourierError):
    """Registering would exceed a limit; nothing was registered."""

    def __init__(self, scope: LimitScope, *, used: int, limit: int, wanted: int) -> None:
        super().__init__(f"{scope} limit: {used} of {limit} in use, {wanted} wanted")
        self.scope = scope
        self.used = used
        self.limit = limit
        self.wanted = wanted


class UntrackResult(StrEnum):
    """The result of `/veo untrack`."""

    CANCELLED = "cancelled"
    NOT_TRACKED = "not tracked"
    NOT_YOURS = "not yours"
    BEING_POSTED = "being posted"
    ENDED = "ended"


class RedeliverResult(StrEnum):
    """The result of `/veo redeliver`."""

    PLANNED = "planned"
    NOT_TRACKED = "not tracked"
    STILL_OPEN = "still open"
    LINK_DEAD = "link dead"


# All of them, and the reason of a failure, must fit one message of 2,000 characters.
MAX_WATCHERS = 50


@dataclass(frozen=True, slots=True)
class StoredData:
    """What is stored about a person, in all servers."""

    live: int  # what they asked for and still wait for
    ended: int
    watched: int  # of others, with a mention for them
    stopped: int  # of others, untracked by them

    def __bool__(self) -> bool:
        return bool(self.live or self.ended or self.watched or self.stopped)


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """The result of erasing what is stored about a person."""

    deliveries: int
    being_posted: int  # could not be removed at this moment


@dataclass(frozen=True, slots=True)
class PressedButton:
    """A button that somebody pressed: the message that it is on, and the part of a nonce that it carries."""

    message_id: int
    part: str  # "": the button is of version 0.1.0

    def is_on_result(self, delivery: Delivery) -> bool:
        """Whether it is this delivery's result message, and not one that another database numbered alike."""
        return self.is_on(delivery.message_id, delivery.nonce)

    def is_on(self, message_id: int | None, nonce: str) -> bool:
        """Whether it is on the message with that id; where none is stored, whether it carries the nonce."""
        if message_id is None:
            return self.part == nonce_part(nonce)
        return message_id == self.message_id


class WatchResult(StrEnum):
    """The result of pressing "notify me too"."""

    ADDED = "added"
    REMOVED = "removed"
    OWN = "own"  # they are mentioned anyway
    ENDED = "ended"  # nothing on this card is still to come
    FULL = "full"  # MAX_WATCHERS are on it already
    UNKNOWN_CARD = "unknown card"  # this database did not write that card
