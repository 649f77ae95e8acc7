"""Private answers to commands and buttons."""

from collections.abc import Mapping

from bot.chat.texts.escape import code
from bot.chat.texts.formatting import fitting, jump_link, link_to, person
from bot.chat.texts.language import Translator, marked
from bot.core.ids import MAX_IDS
from bot.core.masking import mask_credentials
from bot.core.tasks import LIVE, DeliveryState, ExistingDelivery
from bot.core.tracking import (
    MAX_WATCHERS,
    ErasureResult,
    LimitScope,
    QuotaReached,
    RedeliverResult,
    StopRefusal,
    StopResult,
    StoredData,
    UntrackResult,
    WatchResult,
)

# -- labels of buttons -----------------------------------------------------------------------------

STOP_LABEL = marked("Stop")
STOP_YES_LABEL = marked("Yes, stop")
DELETE_LABEL = marked("Delete")
DELETE_YES_LABEL = marked("Yes, delete")
ORIGINAL_LABEL = marked("Original")
POST_AGAIN_LABEL = marked("Post again")
FORGET_LABEL = marked("Forget me")


def notify_label(t: Translator, watchers: int) -> str:
    """With how many people are to be mentioned besides the one who asked."""
    return t("Notify me ({count})", count=watchers) if watchers else t("Notify me")


# -- whole sentences -------------------------------------------------------------------------------

BOT_NOT_HERE = marked(
    "I can answer commands here, but I am not a member of this server, so I could not post your video "
    "later. Ask somebody who manages the server to add me with the **bot** scope. Nothing was tracked."
)
ONLY_IN_SERVERS = marked("Please use this in a channel of a server: that is where I post the video.")
NOT_A_LIST_OF_IDS = marked(
    "I found no task id in that, and part of it looks like a command, a header or a key. I have stored and "
    "sent nothing of it, and only you can see this. Paste the id alone, such as `vgen_abc123def456`."
)
NO_IDS = marked("There is no task id in that. Paste an id such as `vgen_abc123def456`. Nothing was tracked.")
NO_IDS_IN_MESSAGE = marked(
    "I found no task id in that message. Ids look like `vgen_abc123def456`; any other id works with "
    "`/veo track`."
)
NOTHING_HERE = marked("No video is tracked in this channel. `/veo track` starts it.")
DATABASE_DOWN = marked(
    "My database does not answer right now. Nothing was changed; please try again in a minute."
)
OUTDATED_COMMAND = marked("This command has changed. Please reload Discord (Ctrl+R) and try again.")
NOT_IN_THREAD = marked(
    "I am not a member of this private thread, so I could not post your video here later. Mention me in it "
    "to add me, then try again. Nothing was tracked."
)
NO_HISTORY = marked(
    "It works here, with one weakness: I may not read this channel's history (**Read Message History**). "
    "If I am interrupted while I post a result, I cannot see whether it is here, and may post it twice."
)
NOT_YOUR_RESULT = marked(
    "Only the person who asked for it, or somebody with **Manage Messages**, can delete this."
)
RESULT_IS_GONE = marked(
    "I no longer know whose message this is. Somebody with **Manage Messages** can delete it."
)
DELETE_QUESTION = marked("Delete this message for everybody?")
DELETE_VIDEO_QUESTION = marked(
    "Delete this video for everybody? I cannot get it back once the API's link has ended."
)
DELETE_DIRECT_QUESTION = marked(
    "Delete this message? I cannot get a video back once the API's link has ended."
)
DELETED = marked("Deleted.")
MAY_NOT_DELETE = marked(
    "Discord does not let me delete this message. Somebody with **Manage Messages** can delete it."
)
DISCORD_BUSY = marked("Discord did not take that just now. Please press it again in a minute.")
NOTHING_STORED = marked("Nothing is stored about you.")
STOP_REFUSALS: Mapping[StopRefusal, str] = {
    StopRefusal.UNKNOWN_CARD: marked("I no longer know this card, so I cannot change anything about it."),
    StopRefusal.ENDED: marked("Everything on this card has ended; there is nothing left to stop."),
    StopRefusal.NOT_YOURS: marked(
        "Only the person who asked for these videos, or somebody with **Manage Messages**, can stop them."
    ),
}


def internal_error(t: Translator, incident: str) -> str:
    """With the word by which the person who runs the bot finds it in the log."""
    return t(
        "Something went wrong on my side. Please try again. If it happens again, tell the person who runs "
        "this bot the code {incident}: it is in the log.",
        incident=code(incident),
    )


# -- tracking --------------------------------------------------------------------------------------


def malformed_ids(t: Translator, malformed: tuple[str, ...]) -> str:
    """Which parts of what was typed are no ids."""
    shown = ", ".join(code(mask_credentials(piece), 60) for piece in malformed[:5])
    if len(malformed) > 5:
        shown = t("{ids} and {count} more", ids=shown, count=len(malformed) - 5)
    return t.plural(
        "{pieces} is not a task id. Paste the id that the video API gave you, such as `vgen_abc123def456`. "
        "Nothing was tracked.",
        "{pieces} are not task ids. Paste the ids that the video API gave you, such as `vgen_abc123def456`. "
        "Nothing was tracked.",
        len(malformed),
        pieces=shown,
    )


def too_many_ids(t: Translator, count: int) -> str:
    """How many ids one command takes."""
    return t(
        "That is {count} ids; I take up to {limit} at once. Nothing was tracked.", count=count, limit=MAX_IDS
    )


def missing_permissions(t: Translator, names: list[str]) -> str:
    """Why nothing can be tracked in this channel; `names` are those of Discord's settings, in English."""
    return t(
        "I could not post your video here: I am missing {permissions} in this channel. "
        "Ask somebody who manages this server to allow it, then try again. Nothing was tracked.",
        permissions=_permissions(t, names),
    )


def still_missing_permissions(t: Translator, names: list[str]) -> str:
    """Why a result cannot be posted again in this channel now."""
    return t(
        "I may not post a video here now: I am missing {permissions} in this channel. Ask somebody who "
        "manages this server to allow it, then try again.",
        permissions=_permissions(t, names),
    )


def _permissions(t: Translator, names: list[str]) -> str:
    return t.listed([f"**{t(PERMISSIONS[name])}**" for name in names])


# As Discord's own settings name them, in each language.
PERMISSIONS = {
    "view_channel": marked("View Channel"),
    "send_messages": marked("Send Messages"),
    "send_messages_in_threads": marked("Send Messages in Threads"),
    "attach_files": marked("Attach Files"),
    "connect": marked("Connect"),
}


def quota_reached(t: Translator, error: QuotaReached) -> str:
    """Which limit was reached, and what to do."""
    sentence = {
        LimitScope.USER: marked("You have {used} of {limit} open tasks, and this would add {wanted}."),
        LimitScope.CHANNEL: marked(
            "This channel has {used} of {limit} open tasks, and this would add {wanted}."
        ),
        LimitScope.GUILD: marked(
            "This server has {used} of {limit} open tasks, and this would add {wanted}."
        ),
    }[error.scope]
    first = t(sentence, used=error.used, limit=error.limit, wanted=error.wanted)
    return t.sentences(
        first, t("Wait until some are posted, or stop one with `/veo untrack`. Nothing was changed.")
    )


def already_tracked(t: Translator, existing: tuple[ExistingDelivery, ...]) -> str:
    """What became of ids that were tracked in this channel before."""
    return fitting(t, [_already(t, e) for e in existing])


def _already(t: Translator, existing: ExistingDelivery) -> str:
    delivery = existing.delivery
    name = code(delivery.task_id)
    if delivery.state in LIVE:
        who = person(delivery.requester_id)
        said = t("{id} is already tracked here by {person}.", id=name, person=who)
        return said + _link(t, existing, existing.card_message_id, marked("See the card"))
    if delivery.state is DeliveryState.UNDELIVERABLE:
        return t("{id} could not be posted here before. `/veo redeliver` tries again.", id=name)
    said = t("{id} was already posted here. `/veo redeliver` posts it again.", id=name)
    message_id = None if delivery.deleted_at is not None else delivery.message_id
    return said + _link(t, existing, message_id, marked("See the message"))


def _link(t: Translator, existing: ExistingDelivery, message_id: int | None, text: str) -> str:
    if message_id is None:
        return ""
    delivery = existing.delivery
    return " " + link_to(t(text), jump_link(delivery.guild_id, delivery.channel_id, message_id))


def not_tracked(t: Translator, task_id: str) -> str:
    """The id is not one of this channel."""
    return t(
        "{id} is not tracked in this channel. `/veo track` starts it; `/veo list` shows all.",
        id=code(task_id),
    )


# -- stopping and posting again --------------------------------------------------------------------


def untracked(t: Translator, result: UntrackResult, task_id: str) -> str:
    """The answer to `/veo untrack`."""
    sentence = {
        UntrackResult.CANCELLED: marked(
            "Stopped: nothing more will be posted here about {id}. The video itself goes on at the API."
        ),
        UntrackResult.NOT_TRACKED: marked(
            "{id} is not tracked in this channel. `/veo track` starts it; `/veo list` shows all."
        ),
        UntrackResult.NOT_YOURS: marked(
            "Only the person who asked for {id}, or somebody with **Manage Messages**, can stop it."
        ),
        UntrackResult.BEING_POSTED: marked("Too late to stop {id}: its result is being posted right now."),
        UntrackResult.ENDED: marked("{id} has already ended here; there is nothing left to stop."),
    }[result]
    return t(sentence, id=code(task_id))


def stop_question(t: Translator, count: int) -> str:
    """Above the button that stops what is still open on a card."""
    return t.plural(
        "Stop this video? Nothing more will be posted here about it. It goes on at the API.",
        "Stop these {count} videos? Nothing more will be posted here about them. They go on at the API.",
        count,
    )


def stopped(t: Translator, result: StopResult) -> str:
    """What became of the open videos of a card."""
    if result.refusal is not None:
        return t(STOP_REFUSALS[result.refusal])
    if not result.cancelled:
        return t("Too late to stop: the result is being posted right now.")
    first = t.plural(
        "Stopped: nothing more will be posted here about it. The video goes on at the API.",
        "Stopped: nothing more will be posted here about these {count} videos. They go on at the API.",
        result.cancelled,
    )
    if not result.being_posted:
        return first
    late = t("For {count} it is too late: it is being posted right now.", count=result.being_posted)
    return t.sentences(first, late)


def redelivered(
    t: Translator, result: RedeliverResult, task_id: str, existing: ExistingDelivery | None
) -> str:
    """The answer to `/veo redeliver` and to *Post again*."""
    name = code(task_id)
    if result is RedeliverResult.LINK_DEAD:
        said = t("I can no longer fetch {id}: the API keeps a video for 24 hours.", id=name)
        is_there = existing is not None and existing.delivery.deleted_at is None
        message_id = existing.delivery.message_id if existing is not None and is_there else None
        return said + (_link(t, existing, message_id, marked("It is here")) if existing is not None else "")
    sentence = {
        RedeliverResult.PLANNED: marked("I post {id} here again in a moment."),
        RedeliverResult.NOT_TRACKED: marked(
            "{id} is not tracked in this channel. `/veo track` starts it; `/veo list` shows all."
        ),
        RedeliverResult.STILL_OPEN: marked("{id} has no result yet; it will be posted here when it has."),
        RedeliverResult.BEING_POSTED: marked("{id} is being posted here already."),
    }[result]
    return t(sentence, id=name)


# -- mentions and what is stored -------------------------------------------------------------------


def watching(t: Translator, result: WatchResult) -> str:
    """The answer to *Notify me*."""
    sentence = {
        WatchResult.ADDED: marked(
            "I mention you too when the results on this card are posted. Press again to stop."
        ),
        WatchResult.REMOVED: marked("I will not mention you. Press again if you change your mind."),
        WatchResult.OWN: marked("You asked for these yourself, so I mention you anyway."),
        WatchResult.ENDED: marked("Everything on this card has ended; there is nothing to wait for."),
        WatchResult.UNKNOWN_CARD: marked("I no longer know this card, so I cannot mention you for it."),
        WatchResult.FULL: marked("I mention {limit} people at most, and so many are on this card already."),
    }[result]
    return t(sentence, limit=MAX_WATCHERS)


def before_erasing(t: Translator, stored: StoredData) -> str:
    """What is stored about a person, and what the button under it does."""
    requests = t.plural("{count} request", "{count} requests", stored.live + stored.ended)
    lines = [
        t("I store about you, in all servers:"),
        f"- {requests} " + t("({count} open)", count=stored.live),
        "- "
        + t.plural(
            "{count} mention that you asked for", "{count} mentions that you asked for", stored.watched
        ),
        "- "
        + t.plural(
            "{count} stop of another person's video", "{count} stops of other people's videos", stored.stopped
        ),
        t(
            "**Forget me** deletes this and stops what is open. Videos that I posted stay in their channels: "
            "delete those that you do not want there first."
        ),
    ]
    return "\n".join(lines)


def erased(t: Translator, result: ErasureResult) -> str:
    """The answer to *Forget me*."""
    if result.being_posted:
        return t.plural(
            "Done, but for one video that is being posted right now. Use `/veo forget-me` again in a minute.",
            "Done, but for {count} videos that are being posted right now. Use `/veo forget-me` again in a "
            "minute.",
            result.being_posted,
        )
    return t("Done: nothing is stored about you.")
