"""Reactions to an answer of Discord: one small enum, on which the loops switch.

`chat/discord_answers.py` turns statuses and codes into these; nothing else reads them.
"""

from enum import StrEnum


class Reaction(StrEnum):
    """What to do about a call to Discord that failed."""

    # Try later.
    PASSING = "passing"  # the same again, with back-off
    ODD = "odd"  # the same again, a few times; then as FORM_REFUSED
    EDGE_BLOCK = "edge_block"  # no call at all for a while
    CHECK_TOKEN = "check_token"  # noqa: S105 - check the token with another call
    # Give up, or try something else.
    TOO_LARGE = "too_large"  # a smaller file
    WORDS_REFUSED = "words_refused"  # without words from outside
    FORM_REFUSED = "form_refused"  # without the file, then without words from outside
    MISSING_PERMISSION = "missing_permission"  # perhaps only for files
    NO_ACCESS = "no_access"  # the channel is hidden, or the bot is no member
    THREAD_CLOSED = "thread_closed"  # archived and locked: perhaps in the channel above
    CHANNEL_GONE = "channel_gone"  # deleted, or of a kind that takes no messages
    MESSAGE_GONE = "message_gone"  # deleted; on a send: posted before, and deleted since
    PERSON_UNREACHABLE = "person_unreachable"  # takes no direct messages
