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


def one_line(text: str, max_length: int) -> str:
    """On one line, spaces folded, at most `max_length` characters."""
    return shorten(" ".join(printable(text).split()), max_length)


def shorten(text: str, max_length: int) -> str:
    """At most `max_length` characters, the last one an ellipsis when something was cut."""
    return text if length(text) <= max_length else _cut(text, max_length - 1) + _MORE


def sentence_line(text: str, max_length: int) -> str:
    """A sentence of ours on one line. One that is cut is cut before a code span, never in it."""
    line = one_line(text, max_length)
    if line.count("`") % 2 == 0:
        return line
    return line[: line.rindex("`")].rstrip() + _MORE


def shorten_middle(text: str, max_length: int) -> str:
    """At most `max_length` characters, both ends kept: an id is recognised by either."""
    if len(text) <= max_length:
        return text
    tail = max(1, (max_length - 1) // 3)
    return text[: max_length - 1 - tail] + _MORE + text[-tail:]


def code(text: str, max_length: int = 140) -> str:
    """As an inline code span, on one line; backticks cannot be shown in there and become quotes."""
    return f"`{one_line(text, max_length).replace('`', chr(0x2CB)) or ' '}`"


def code_block(text: str, max_length: int) -> str:
    """As a code block of at most `max_length` characters, fences included."""
    chars_left = max_length - len("```\n\n```")
    body = _FENCE.sub(f"``{_BREAK}", printable(text).strip())
    return f"```\n{shorten(body, chars_left) or ' '}\n```"


def length(text: str) -> int:
    """In UTF-16 code units: an emoji counts as two or more."""
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, max_length: int) -> str:
    units = text.encode("utf-16-le")[: max(0, max_length) * 2]
    return units.decode("utf-16-le", errors="ignore")
