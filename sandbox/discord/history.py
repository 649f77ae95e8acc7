"""Pages of a channel's messages, and how long a new message is missing from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import errors

if TYPE_CHECKING:
    from sandbox.discord.world import Channel, Message

MAX_PER_PAGE = 100
_DEFAULT_PER_PAGE = 50


class History:
    """Lists a channel's messages. With a `lag` a new message is missing at first, as in a slow replica."""

    def __init__(self) -> None:
        self.lag = 0.0
        """The number of requests for a channel's history that miss a message posted from now on."""
        self._missing: dict[int, float] = {}

    def posted(self, message: Message) -> None:
        """Take note of a new message."""
        if self.lag:
            self._missing[message.id] = self.lag

    def release(self) -> None:
        """Show every message from now on."""
        self._missing.clear()

    def page(self, channel: Channel, query: dict[str, str]) -> list[Message]:
        """One page, newest first. Raises Refusal for a limit that Discord refuses."""
        limit = _limit(query)
        missing = [each for each in channel.messages if each.id in self._missing]
        for message in missing:
            self._missing[message.id] -= 1
        page = _page([each for each in channel.messages if each not in missing], query, limit)
        self._missing = {each: left for each, left in self._missing.items() if left > 0}
        return page


def _limit(query: dict[str, str]) -> int:
    limit = int(query.get("limit", _DEFAULT_PER_PAGE))
    if limit > MAX_PER_PAGE:
        reason = f"int value should be less than or equal to {MAX_PER_PAGE}."
        raise errors.invalid_form({"limit": ("NUMBER_TYPE_MAX", reason)})
    if limit < 1:
        raise errors.invalid_form(
            {"limit": ("NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.")}
        )
    return limit


def _page(shown: list[Message], query: dict[str, str], limit: int) -> list[Message]:
    """One page of messages, newest first; `after` takes the oldest of the newer ones."""
    if "after" in query:
        page = [each for each in shown if each.id > int(query["after"])][:limit]
    elif "around" in query:
        middle = int(query["around"])
        older = [each for each in shown if each.id < middle][-(limit // 2) :]
        newer = [each for each in shown if each.id >= middle][: limit - limit // 2]
        page = older + newer
    else:
        bound = int(query["before"]) if "before" in query else None
        page = [each for each in shown if bound is None or each.id < bound][-limit:]
    return page[::-1]
