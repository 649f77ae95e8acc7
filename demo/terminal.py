"""Draws a channel of the stand-in Discord in a terminal, similar to Discord."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from sandbox.discord import Channel, Message

_BLURPLE = "#5865f2"
_PILL = "#c9cdfb on #3c4270"
_CODE = "#e6e6e6 on #2b2d31"
_DIM = "#949ba4"
_INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*|<@(?P<person>\d+)>|<t:(?P<time>\d+):(?P<style>[A-Za-z])>"
    r"|\[(?P<text>[^\]]+)\]\(<?https?://[^\s)]+\)|<?(?P<link>https?://[^\s>]+)>?"
)
_LINE_START = re.compile(r"(-#|#{1,3}) +")
_LINE_STYLES = {"-#": _DIM, "#": "bold", "##": "bold", "###": "bold"}
_UNITS = ((3600, "hour"), (60, "minute"), (1, "second"))
_JUMP = re.compile(r"https://discord\.com/channels/\d+/\d+/(\d+)")


class ChannelView:
    """Draws channels. `names`: by user id. `saved`: a line to show below an attachment, by its id."""

    def __init__(self, names: Mapping[int, str], bot_id: int) -> None:
        self._names = names
        self._bot_id = bot_id
        self.saved: dict[int, str] = {}

    def draw(self, channel: Channel, messages: Iterable[Message]) -> RenderableType:
        title = f"[bold]# {channel.name}[/] · {channel.guild.name if channel.guild else ''}"
        return Panel(
            Group(*(self.message(m) for m in messages)), title=title, title_align="left", border_style=_DIM
        )

    def message(self, message: Message) -> RenderableType:
        parts: list[RenderableType] = [self._head(message), *self._text(message)]
        parts += [self._attachment(a.filename, a.size, self.saved.get(a.id)) for a in message.attachments]
        if message.buttons:
            parts.append(Text("  ").join(self._button(b.label, b.url) for b in message.buttons))
        if message.ephemeral:
            parts.append(Text("Only you can see this", style=f"italic {_DIM}"))
        return Padding(Group(*parts), (0, 0, 1, 0))

    def _head(self, message: Message) -> Text:
        is_bot = message.author_id == self._bot_id
        head = Text(self._names.get(message.author_id, "?"), style=f"bold {_BLURPLE}" if is_bot else "bold")
        if is_bot:
            head.append(" ").append(" APP ", style=f"white on {_BLURPLE}")
        head.append(f"  {message.created_at:%H:%M:%S}", style=_DIM)
        if message.edited_at:
            head.append("  (edited)", style=_DIM)
        if message.mentions:
            pinged = ", ".join(self._names.get(i, "?") for i in message.mentions)
            head.append(f"  🔔 pings {pinged}", style="#f0b232")
        return head

    def _text(self, message: Message) -> list[RenderableType]:
        """The text; that of a container has a frame in its colour."""
        lines = self._content(message.text)
        if not message.is_v2:
            return lines
        colour = _DIM if message.accent_color is None else f"#{message.accent_color:06x}"
        return [Panel(Group(*lines), border_style=colour, expand=False)]

    def _content(self, content: str) -> list[RenderableType]:
        """The text in code blocks and lines."""
        drawn: list[RenderableType] = []
        for index, piece in enumerate(content.split("```")):
            if index % 2:
                drawn.append(Panel(Text(piece.strip("\n")), border_style=_DIM, expand=False))
            else:
                drawn += [self._line(line) for line in piece.strip("\n").split("\n") if line]
        return drawn

    def _line(self, line: str) -> Text:
        mark = _LINE_START.match(line)
        text = Text(style=_LINE_STYLES[mark[1]] if mark else "")
        line = line[mark.end() :] if mark else line
        end = 0
        for match in _INLINE.finditer(line):
            text.append(line[end : match.start()])
            text.append_text(self._inline(match))
            end = match.end()
        return text.append(line[end:])

    def _inline(self, match: re.Match[str]) -> Text:
        if match["code"]:
            return Text(match["code"], style=_CODE)
        if match["bold"]:
            return Text(match["bold"], style="bold")
        if match["person"]:
            return Text(f"@{self._names.get(int(match['person']), 'unknown')}", style=_PILL)
        if match["time"]:
            return Text(_timestamp(int(match["time"]), match["style"]), style="underline dotted")
        if match["text"]:
            return Text(match["text"], style="#00a8fc underline")
        if jump := _JUMP.fullmatch(match["link"]):
            return Text(f"message …{jump[1][-4:]}", style=_PILL)
        return Text(match["link"], style="#00a8fc underline")

    def _attachment(self, name: str, size: int, saved: str | None) -> RenderableType:
        box = Text.assemble(("▶ ", "bold"), (name, "bold #00a8fc"), (f"  {size:,} bytes", _DIM))
        if saved:
            box.append(f"\n  {saved}", style="#23a55a")
        return Panel(box, border_style=_DIM, expand=False)

    def _button(self, label: str | None, url: str | None) -> Text:
        return Text(f" {label}{' ↗' if url else ''} ", style="white on #4e5058")


def without_web_fonts(svg: str) -> str:
    """Remove the font that rich's SVG loads from a server; the reader's monospace font is used."""
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def _timestamp(seconds: int, style: str) -> str:
    """A <t:…> as text: relative, or a time in UTC (Discord uses the reader's zone)."""
    at = datetime.fromtimestamp(seconds, tz=UTC)
    if style != "R":
        return f"{at:%d %B %Y %H:%M}" if style in "fF" else f"{at:%H:%M:%S}"
    ahead = round((at - datetime.now(tz=UTC)).total_seconds())
    length, unit = next((n, u) for n, u in _UNITS if abs(ahead) >= n or n == 1)
    amount = abs(ahead) // length
    counted = f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"
    return f"in {counted}" if ahead > 0 else f"{counted} ago"
