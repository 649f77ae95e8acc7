"""The pieces that all texts share: mentions, times, links, sizes."""

from collections.abc import Callable
from urllib.parse import quote

from bot.chat.texts.escape import length
from bot.chat.texts.language import Translator
from bot.core.clock import HOUR, MINUTE, SECOND

MAX_CONTENT = 2000  # Discord's limit for a bot's message, in characters
MAX_BUTTON_URL = 512  # Discord's limit for a link button
_PLAIN_IN_LINKS = "%:/?#[]@!$&'()*+,;=~"


def person(user_id: int) -> str:
    """A mention; whether it pings is decided by allowed_mentions."""
    return f"<@{user_id}>"


def ago(milliseconds: int) -> str:
    """A relative time that Discord updates: “2 minutes ago”, in the reader's language."""
    return f"<t:{milliseconds // 1000}:R>"


def date_time(milliseconds: int) -> str:
    """A date with the time of day, in the reader's zone and language."""
    return f"<t:{milliseconds // 1000}:f>"


def heading(text: str) -> str:
    """A line that is larger than the others."""
    return f"### {text}"


def small(text: str) -> str:
    """A line in small grey print."""
    return f"-# {text}"


def jump_link(guild_id: int, channel_id: int, message_id: int) -> str:
    """The address of a message."""
    return f"https://discord.com/channels/{guild_id}/{channel_id}/{message_id}"


def link_to(text: str, address: str) -> str:
    """A link with a text of ours; the address must be plain."""
    return f"[{text}]({address})"


def megabytes(size: int) -> str:
    """A size in bytes, as people compare files: 9.0 MB."""
    return f"{size / 1_000_000:.1f} MB"


def duration(t: Translator, milliseconds: int) -> str:
    """A time taken: 48 s, 3 min 12 s, 2 h 5 min."""
    if milliseconds < MINUTE:
        return t("{seconds} s", seconds=max(milliseconds // SECOND, 1))
    if milliseconds < HOUR:
        minutes, seconds = divmod(milliseconds // SECOND, 60)
        if seconds == 0:
            return t("{minutes} min", minutes=minutes)
        return t("{minutes} min {seconds} s", minutes=minutes, seconds=seconds)
    hours, minutes = divmod(milliseconds // MINUTE, 60)
    return t("{hours} h {minutes} min", hours=hours, minutes=minutes)


def plain_link(link: str) -> str:
    """Percent-encoded where it could become something else in a message, as a browser does it."""
    return quote(link, safe=_PLAIN_IN_LINKS, errors="ignore")


def fitting(
    t: Translator, lines: list[str], max_size: int = MAX_CONTENT, size: Callable[[str], int] = length
) -> str:
    """As many whole lines as fit; when some do not, a last one says how many."""
    if sum(size(line) + 1 for line in lines) <= max_size:
        return "\n".join(lines)
    kept: list[str] = []
    chars_left = max_size - size(_more(t, len(lines)))
    for line in lines:
        chars_left -= size(line) + 1
        if chars_left < 0:
            break
        kept.append(line)
    return "\n".join([*kept, _more(t, len(lines) - len(kept))])


def _more(t: Translator, count: int) -> str:
    return t("… and {count} more", count=count)
