"""Makes text from outside harmless in a Discord message: no markdown, no mention, no control character.

Code spans and code blocks show text as it is, so that is where such text goes. Pings are ruled out a second
time by `allowed_mentions`. Lengths count as Discord does, in UTF-16 code units at worst; we stay below.
"""

import re
import unicodedata

# Bidirectional controls can make a text read as something else; joiners belong to emoji, and stay.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = frozenset({"Cc", "Cs", "Co", "Cn"})
_BREAK = "\u200b"  # zero-width space: looks like nothing, and ends no fence
_FENCE = re.compile("``(?=`)")  # overlapping on purpose: five backticks hold more than one fence
_MORE = "…"


def printable(text: str) -> str:
    """Without control and bidirectional characters; line ends become plain newlines."""
    text = _BIDI.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in _INVISIBLE)


def one_line(text: str, most: int) -> str:
    """On one line, spaces folded, at most `most` characters."""
    return shorten(" ".join(printable(text).split()), most)


def shorten(text: str, most: int) -> str:
    """At most `most` characters, the last one an ellipsis when something was cut."""
    return text if length(text) <= most else _cut(text, most - 1) + _MORE


def shorten_middle(text: str, most: int) -> str:
    """At most `most` characters, both ends kept: an id is recognised by either."""
    if len(text) <= most:
        return text
    tail = max(1, (most - 1) // 3)
    return text[: most - 1 - tail] + _MORE + text[-tail:]


def code(text: str, most: int = 140) -> str:
    """As an inline code span, on one line; backticks cannot be shown in there and become quotes."""
    return f"`{one_line(text, most).replace('`', chr(0x2CB)) or ' '}`"


def code_block(text: str, most: int) -> str:
    """As a code block of at most `most` characters, fences included."""
    room = most - len("```\n\n```")
    body = _FENCE.sub(f"``{_BREAK}", printable(text).strip())
    return f"```\n{shorten(body, room) or ' '}\n```"


def length(text: str) -> int:
    """In UTF-16 code units: an emoji counts as two or more."""
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, most: int) -> str:
    units = text.encode("utf-16-le")[: max(0, most) * 2]
    return units.decode("utf-16-le", errors="ignore")
