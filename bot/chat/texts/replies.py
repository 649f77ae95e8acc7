"""Private answers to commands and buttons, and the pieces that all texts share."""

from urllib.parse import quote

from bot.chat.texts.escape import code, length
from bot.core.api_pause import PauseReason, PauseState
from bot.core.ids import MAX_IDS
from bot.core.masking import mask_credentials
from bot.core.tasks import LIVE, DeliveryState, ExistingDelivery
from bot.core.tracking import (
    MAX_WATCHERS,
    ErasureResult,
    LimitScope,
    QuotaReached,
    RedeliverResult,
    StoredData,
    UntrackResult,
    WatchResult,
)

MAX_CONTENT = 2000  # Discord's limit for a bot's message, in characters
MAX_BUTTON_URL = 512  # Discord's limit for a link button
_PLAIN_IN_LINKS = "%:/?#[]@!$&'()*+,;=~"

NOTIFY_LABEL = "Notify me too"
DELETE_LABEL = "Delete"
ORIGINAL_LABEL = "Original"

BOT_NOT_HERE = (
    "I can answer commands here, but I am not a member of this server, so I could not post your video "
    "later. Ask somebody who manages the server to add me with the **bot** scope. Nothing was tracked."
)
ONLY_IN_SERVERS = "Please use this in a channel of a server: that is where I post the video."
NOT_A_LIST_OF_IDS = (
    "I found no task id in that, and part of it looks like a command, a header or a key. I have stored and "
    "sent nothing of it, and only you can see this. Paste the id alone, such as `vgen_abc123def456`."
)
NO_IDS_IN_MESSAGE = (
    "I found no task id in that message. Ids look like `vgen_abc123def456`; any other id works with "
    "`/veo track`."
)
DATABASE_DOWN = "My database does not answer right now. Nothing was changed; please try again in a minute."
OUTDATED_COMMAND = "This command has changed. Please reload Discord (Ctrl+R) and try again."
INTERNAL_ERROR = "Something went wrong on my side. It is in the log; please try again, or tell my operator."
NOT_YOUR_RESULT = "Only whoever asked for it, or somebody with **Manage Messages**, can delete this."
RESULT_IS_GONE = (
    "I know nothing about this message any more; somebody with **Manage Messages** can still delete it."
)
NOT_IN_THREAD = (
    "I am not a member of this private thread, so I could not post your video here later. Mention me in it "
    "to add me, then try again. Nothing was tracked."
)
NO_HISTORY = (
    "It works here, with one weakness: I may not read this channel's history (**Read Message History**). "
    "If I am interrupted while I post a result, I cannot see whether it is here, and may post it twice."
)
MAY_NOT_DELETE = (
    "Discord does not let me delete this message any more; somebody with **Manage Messages** can."
)
DISCORD_BUSY = "Discord did not take that just now. Please press it again in a minute."
FORGET_LABEL = "Forget me"
NOTHING_STORED = "Nothing is stored about you."


def person(user_id: int) -> str:
    """A mention pill; whether it pings is decided by allowed_mentions."""
    return f"<@{user_id}>"


def ago(milliseconds: int) -> str:
    """A relative time that Discord updates: “2 minutes ago”, in the reader's language."""
    return f"<t:{milliseconds // 1000}:R>"


def clock_time(milliseconds: int) -> str:
    """A time of day in the reader's zone."""
    return f"<t:{milliseconds // 1000}:T>"


def jump_link(guild_id: int, channel_id: int, message_id: int) -> str:
    return f"https://discord.com/channels/{guild_id}/{channel_id}/{message_id}"


def megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def plain_link(link: str) -> str:
    """Percent-encoded where it could become something else in a message, as a browser does it."""
    return quote(link, safe=_PLAIN_IN_LINKS, errors="ignore")


def fitting(lines: list[str]) -> str:
    """As many whole lines as fit a message; when some do not, a last one says how many."""
    if sum(length(line) + 1 for line in lines) <= MAX_CONTENT:
        return "\n".join(lines)
    kept: list[str] = []
    chars_left = MAX_CONTENT - length(f"… and {len(lines)} more")
    for line in lines:
        chars_left -= length(line) + 1
        if chars_left < 0:
            break
        kept.append(line)
    return "\n".join([*kept, f"… and {len(lines) - len(kept)} more"])


def malformed_ids(malformed: tuple[str, ...]) -> str:
    shown = ", ".join(code(mask_credentials(piece), 60) for piece in malformed[:5])
    more = f" and {len(malformed) - 5} more" if len(malformed) > 5 else ""
    return (
        f"I cannot read this as a task id: {shown}{more}. An id has 1 to 128 letters, digits or `. _ : -`, "
        "such as `vgen_abc123def456`; the API's JSON reply or a result URL works too. Nothing was tracked."
    )


def no_ids() -> str:
    return "There is no task id in that. Paste an id such as `vgen_abc123def456`. Nothing was tracked."


def too_many_ids(count: int) -> str:
    return f"That is {count} ids; I take up to {MAX_IDS} at once. Nothing was tracked."


def missing_permissions(names: list[str]) -> str:
    listed = " and ".join(f"**{name}**" for name in names)
    return (
        f"I could not post your video here: I am missing {listed} in this channel. "
        "Ask somebody who manages this server to allow it, then try again. Nothing was tracked."
    )


def quota_reached(error: QuotaReached) -> str:
    who = {
        LimitScope.USER: "You have",
        LimitScope.CHANNEL: "This channel has",
        LimitScope.GUILD: "This server has",
    }[error.scope]
    return (
        f"{who} {error.used} of {error.limit} open tasks, and this would add {error.wanted}. "
        "Wait until some are posted, or stop one with `/veo untrack`. Nothing was tracked."
    )


def already_tracked(existing: tuple[ExistingDelivery, ...]) -> str:
    return fitting([_already(e) for e in existing])


def _already(existing: ExistingDelivery) -> str:
    delivery = existing.delivery
    name = code(delivery.task_id)
    if delivery.state in LIVE:
        where = _link(existing, existing.card_message_id)
        return f"{name} is already tracked here by {person(delivery.requester_id)}{where}."
    if delivery.state is DeliveryState.UNDELIVERABLE:
        return f"{name} could not be posted here before. `/veo redeliver` tries again."
    where = _link(existing, delivery.message_id)
    return f"{name} was already posted here{where}. `/veo redeliver` posts it again."


def _link(existing: ExistingDelivery, message_id: int | None) -> str:
    if message_id is None:
        return ""
    return f": {jump_link(existing.delivery.guild_id, existing.delivery.channel_id, message_id)}"


def not_tracked(task_id: str) -> str:
    return f"{code(task_id)} is not tracked in this channel. `/veo track` starts it; `/veo list` shows all."


def untracked(result: UntrackResult, task_id: str) -> str:
    name = code(task_id)
    return {
        UntrackResult.CANCELLED: f"Stopped: nothing more will be posted here about {name}.",
        UntrackResult.NOT_TRACKED: not_tracked(task_id),
        UntrackResult.NOT_YOURS: (
            f"Only whoever asked for {name}, or somebody with **Manage Messages**, can stop it."
        ),
        UntrackResult.BEING_POSTED: f"Too late to stop {name}: its result is being posted right now.",
        UntrackResult.ENDED: f"{name} has already ended here; there is nothing left to stop.",
    }[result]


def redelivered(result: RedeliverResult, task_id: str, existing: ExistingDelivery | None) -> str:
    name = code(task_id)
    if result is RedeliverResult.LINK_DEAD and existing is not None:
        where = _link(existing, existing.delivery.message_id)
        posted = f" It was posted here{where}." if where else ""
        return f"The API's link to {name} has ended (it lives 24 hours), so I cannot fetch it again.{posted}"
    return {
        RedeliverResult.PLANNED: f"The result of {name} is on its way to this channel again.",
        RedeliverResult.NOT_TRACKED: not_tracked(task_id),
        RedeliverResult.STILL_OPEN: f"{name} has no result yet; it will be posted here when it has.",
        RedeliverResult.LINK_DEAD: f"The API's link to {name} has ended.",
    }[result]


def watching(result: WatchResult) -> str:
    return {
        WatchResult.ADDED: "You will be mentioned too, when the results on this card are posted.",
        WatchResult.REMOVED: "You will not be mentioned any more.",
        WatchResult.OWN: "You asked for these yourself, so you will be mentioned anyway.",
        WatchResult.ENDED: "Everything on this card has ended; there is nothing to wait for.",
        WatchResult.UNKNOWN_CARD: "I know nothing about this card any more, so I cannot mention you for it.",
        WatchResult.FULL: f"{MAX_WATCHERS} people are to be mentioned already; I cannot add more.",
    }[result]


def api_pause(pause: PauseState) -> str:
    if pause.reason is PauseReason.KEY_REFUSED:
        return (
            f"⚠️ The video API has refused my key since {ago(pause.since)}. My operator has been told; "
            f"no task is lost, and I try again {ago(pause.until)}."
        )
    return f"The video API asked everybody to slow down. I go on asking {ago(pause.until)}."


def before_erasing(stored: StoredData) -> str:
    """What the button under it would do."""
    return (
        f"Stored about you, in all servers: what you asked for ({stored.live} open and "
        f"{stored.ended} ended), what you asked to be mentioned for ({stored.watched}), and what of others "
        f"you stopped ({stored.stopped}). **Forget me** removes it all for good and stops what is open. "
        "Results that I posted stay in their channels: delete those you do not want there first, for "
        "afterwards only somebody with **Manage Messages** can."
    )


def erased(result: ErasureResult) -> str:
    if result.being_posted:
        return (
            f"Done, except for {result.being_posted} being posted at this moment: please press it again "
            "in a minute."
        )
    return "Done: nothing is stored about you any more."
