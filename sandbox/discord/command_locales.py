"""The languages of commands: what a client shows of them, and what the list routes answer with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord.locales import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.discord.message_parts import Json

_FIELDS = ("name", "description")
_BELOW = ("options", "choices")


def shown_name(part: Json, locale: str) -> str:
    """The name of a command or option that a client in this language shows."""
    return translated(part["name"], part.get("name_localizations"), locale)


def shown(command: Json, locale: str) -> Json:
    """A command as a client in this language shows it.

    It has `name_localized` and `description_localized` at every level: the text as the person reads it.
    """

    def add(part: Json) -> Json:
        texts = {
            f"{field}_localized": translated(part[field], part.get(f"{field}_localizations"), locale)
            for field in _FIELDS
            if field in part
        }
        return part | texts

    return _everywhere(command, add)


def listed(command: Json, locale: str) -> Json:
    """A command as the list routes answer: with the translation for one language only, if there is one."""

    def replace(part: Json) -> Json:
        answer = {name: value for name, value in part.items() if not name.endswith("_localizations")}
        for field in _FIELDS:
            translations = part.get(f"{field}_localizations") or {}
            if locale in translations:
                answer[f"{field}_localized"] = translations[locale]
        return answer

    return _everywhere(command, replace)


def whole(command: Json) -> Json:
    """A command with all its translations; null where there are none."""

    def fill(part: Json) -> Json:
        names = [f"{field}_localizations" for field in _FIELDS if field in part]
        return part | {name: part.get(name) or None for name in names}

    return _everywhere(command, fill)


def _everywhere(part: Json, change: Callable[[Json], Json]) -> Json:
    """The part and all below it, changed."""
    below = {name: [_everywhere(each, change) for each in part[name]] for name in _BELOW if part.get(name)}
    return change(part | below)
