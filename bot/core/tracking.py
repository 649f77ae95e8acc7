"""What users can request: requests, limits, results."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.errors import CourierError
from bot.core.language import Language
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
    """A request to post these tasks in this channel. Ids are valid and unique."""

    guild_id: int
    channel_id: int
    requester_id: int
    ids: tuple[str, ...]
    note: str | None = None
    language: Language = Language.ENGLISH  # of the result messages and the card


@dataclass(frozen=True, slots=True)
class Registration:
    """The result of `/veo track`: `card` shows the new ids, `existing` those that were tracked before.

    `card` is None when every id was tracked before.
    """

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
    BEING_POSTED = "being posted"  # its result is owed already
    LINK_DEAD = "link dead"


class StopRefusal(StrEnum):
    """Why the button that stops all of a card stopped nothing."""

    UNKNOWN_CARD = "unknown card"  # this database did not write that card
    ENDED = "ended"  # nothing on this card is still to come
    NOT_YOURS = "not yours"


@dataclass(frozen=True, slots=True)
class CardToStop:
    """What a person would stop by the button: how many deliveries, or why none."""

    refusal: StopRefusal | None
    live: int = 0


@dataclass(frozen=True, slots=True)
class StopResult:
    """The result of stopping all of a card: how many deliveries were cancelled, or why none was looked at.

    Without a refusal, `cancelled` may be 0: then all of them are being posted.
    """

    refusal: StopRefusal | None
    cancelled: int = 0
    being_posted: int = 0  # they could not be held back at this moment


# Their mentions and the reason of a failure must fit one message of 2,000 characters.
MAX_WATCHERS = 50


@dataclass(frozen=True, slots=True)
class StoredData:
    """What is stored about a person, in all servers."""

    live: int  # their own deliveries that are open or due
    ended: int  # their own deliveries that have ended
    watched: int  # deliveries of others that mention them
    stopped: int  # deliveries of others that they untracked

    def __bool__(self) -> bool:
        return bool(self.live or self.ended or self.watched or self.stopped)


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """The result of erasing what is stored about a person."""

    deliveries: int
    being_posted: int  # could not be removed at this moment


@dataclass(frozen=True, slots=True)
class PressedButton:
    """A pressed button: the id of its message, and the part of a nonce that it carries."""

    message_id: int
    part: str  # "": the button is of version 0.1.0

    def is_on_result(self, delivery: Delivery) -> bool:
        """Whether it is on this delivery's result message.

        The nonce tells it from a delivery with the same id in another database.
        """
        return self.is_on(delivery.message_id, delivery.nonce)

    def is_on(self, message_id: int | None, nonce: str) -> bool:
        """Whether it is on the message `message_id`; without that id its part of the nonce decides."""
        if message_id is None:
            return self.part == nonce_part(nonce)
        return message_id == self.message_id


class WatchResult(StrEnum):
    """The result of pressing "notify me"."""

    ADDED = "added"
    REMOVED = "removed"
    OWN = "own"  # they are mentioned anyway
    ENDED = "ended"  # no delivery on this card is open or due
    FULL = "full"  # MAX_WATCHERS are on it already
    UNKNOWN_CARD = "unknown card"  # the card is of another database
