"""What a person can ask of the registry, and what it can answer."""

from dataclasses import dataclass
from enum import StrEnum

from bot.core.errors import CourierError
from bot.core.tasks import CardView, Delivery, TrackedTask


@dataclass(frozen=True, slots=True)
class Limits:
    """How many deliveries may be live at once."""

    per_user: int
    per_channel: int
    per_guild: int


@dataclass(frozen=True, slots=True)
class TrackRequest:
    """Somebody wants these tasks posted in this channel. Ids are valid and each there once."""

    guild_id: int
    channel_id: int
    requester_id: int
    ids: tuple[str, ...]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """This channel has a delivery of the task already."""

    delivery: Delivery
    task: TrackedTask
    card_message_id: int | None


@dataclass(frozen=True, slots=True)
class Registered:
    """What is committed. `card` is None when every id was there before."""

    card: CardView | None
    earlier: tuple[Earlier, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """A channel's live deliveries, and the latest that ended, newest first."""

    live: tuple[Earlier, ...]
    ended: tuple[Earlier, ...]


class Whose(StrEnum):
    """Who has reached a limit."""

    USER = "user"
    CHANNEL = "channel"
    GUILD = "guild"


class QuotaReached(CourierError):
    """Registering would exceed a limit; nothing was registered."""

    def __init__(self, whose: Whose, *, used: int, limit: int, wanted: int) -> None:
        super().__init__(f"{whose} limit: {used} of {limit} in use, {wanted} wanted")
        self.whose = whose
        self.used = used
        self.limit = limit
        self.wanted = wanted


class Untracked(StrEnum):
    """What untracking came to."""

    CANCELLED = "cancelled"
    NOT_TRACKED = "not tracked"
    NOT_YOURS = "not yours"
    BEING_POSTED = "being posted"
    ENDED = "ended"


class Redelivered(StrEnum):
    """What asking for a second delivery came to."""

    PLANNED = "planned"
    NOT_TRACKED = "not tracked"
    STILL_OPEN = "still open"
    LINK_DEAD = "link dead"


# All of them, and the reason of a failure, must fit one message of 2,000 characters.
MOST_WATCHERS = 50


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored about a person, in all servers."""

    live: int  # what they asked for and still wait for
    ended: int
    watched: int  # of others, with a mention for them
    stopped: int  # of others, untracked by them

    def __bool__(self) -> bool:
        return bool(self.live or self.ended or self.watched or self.stopped)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What forgetting a person came to."""

    deliveries: int
    being_posted: int  # could not be removed at this moment


class Watching(StrEnum):
    """What pressing "notify me too" came to."""

    ADDED = "added"
    REMOVED = "removed"
    OWN = "own"  # they are mentioned anyway
    ENDED = "ended"  # nothing on this card is still to come
    FULL = "full"  # MOST_WATCHERS are on it already
