"""Checks a bulk overwrite of commands against Discord's rules for names, descriptions and translations."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from sandbox.discord.locales import LOCALES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.discord.component_limits import Problem
    from sandbox.discord.message_parts import Json

    Check = Callable[[str, object], Iterator[Problem]]

NAME = 32
DESCRIPTION = 100
CHOICE_NAME = 100
TOTAL = 8000

_CHAT_INPUT = 1
_LETTERS_AND_NUMBERS = ("L", "N")
_DEVANAGARI_AND_THAI = ("\u0900", "\u097f"), ("\u0e00", "\u0e7f")


def broken_rules(commands: list[Json]) -> dict[str, tuple[str, str]]:
    """Everything that Discord would refuse: field path -> (error code, sentence)."""
    problems = [*_duplicates(commands)]
    for index, command in enumerate(commands):
        problems += _command_problems(str(index), command)
    return dict(problems)


def _duplicates(commands: list[Json]) -> Iterator[Problem]:
    seen: set[tuple[str, int]] = set()
    for index, command in enumerate(commands):
        key = command["name"], command.get("type") or _CHAT_INPUT
        if key in seen:
            reason = "Application command names must be unique"
            yield str(index), ("APPLICATION_COMMANDS_DUPLICATE_NAME", reason)
        seen.add(key)


def _command_problems(path: str, command: Json) -> Iterator[Problem]:
    if (command.get("type") or _CHAT_INPUT) != _CHAT_INPUT:
        yield from _texts(path, command, "name", _length_of_name)
        if command.get("description") or command.get("description_localizations"):
            reason = "Context menu commands cannot have description"
            yield f"{path}.description", ("APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION", reason)
        return
    yield from _part_problems(path, command)
    if (size := _size(command)) > TOTAL:
        reason = f"Command exceeds maximum size ({TOTAL}), it has {size}"
        yield path, ("APPLICATION_COMMAND_TOO_LARGE", reason)


def _part_problems(path: str, part: Json) -> Iterator[Problem]:
    """The problems of a command or of an option, and of those below it."""
    yield from _texts(path, part, "name", _chat_name)
    yield from _texts(path, part, "description", _length(DESCRIPTION))
    for index, choice in enumerate(part.get("choices") or []):
        yield from _texts(f"{path}.choices.{index}", choice, "name", _length(CHOICE_NAME))
    options = part.get("options") or []
    for index, option in enumerate(options):
        yield from _part_problems(f"{path}.options.{index}", option)
    yield from _repeated_options(f"{path}.options", options)


def _texts(path: str, part: Json, field: str, check: Check) -> Iterator[Problem]:
    """The problems of a text and of its translations."""
    yield from check(f"{path}.{field}", part.get(field))
    for locale, translation in (part.get(f"{field}_localizations") or {}).items():
        where = f"{path}.{field}_localizations.{locale}"
        if locale not in LOCALES:
            yield where, ("BASE_TYPE_CHOICES", f"Value must be one of {sorted(LOCALES)}.")
        yield from check(where, translation)


def _length(most: int) -> Check:
    def check(path: str, value: object) -> Iterator[Problem]:
        if value is None:
            yield path, ("BASE_TYPE_REQUIRED", "This field is required")
        elif not isinstance(value, str) or not 1 <= len(value) <= most:
            yield path, ("BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {most} in length.")

    return check


_length_of_name = _length(NAME)


def _chat_name(path: str, value: object) -> Iterator[Problem]:
    """A slash command's name: letters, numbers, `-`, `_` and `'`, and no capital."""
    problems = [*_length_of_name(path, value)]
    yield from problems
    if not problems and isinstance(value, str) and not _is_chat_name(value):
        yield path, ("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _is_chat_name(name: str) -> bool:
    return name == name.lower() and all(
        letter in "-_'"
        or unicodedata.category(letter)[0] in _LETTERS_AND_NUMBERS
        or any(first <= letter <= last for first, last in _DEVANAGARI_AND_THAI)
        for letter in name
    )


def _repeated_options(path: str, options: list[Json]) -> Iterator[Problem]:
    """Names must be distinct, and a translated name from the other options' default names too."""
    defaults = Counter(option.get("name") for option in options)
    seen: set[tuple[str, str]] = set()
    for index, option in enumerate(options):
        if defaults[option.get("name")] > 1:
            yield f"{path}.{index}.name", _REPEATED
        for locale, name in (option.get("name_localizations") or {}).items():
            if (locale, name) in seen or (name != option.get("name") and name in defaults):
                yield f"{path}.{index}.name_localizations.{locale}", _REPEATED
            seen.add((locale, name))


_REPEATED = ("APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")


def _size(part: Json) -> int:
    """The characters that count: of each text its longest translation, and the values of choices."""
    own = sum(_longest(part, field) for field in ("name", "description"))
    value = part.get("value")
    below = [*(part.get("options") or []), *(part.get("choices") or [])]
    return own + (len(value) if isinstance(value, str) else 0) + sum(map(_size, below))


def _longest(part: Json, field: str) -> int:
    translations = (part.get(f"{field}_localizations") or {}).values()
    return max(len(text) for text in (part.get(field) or "", *translations))
