"""Checks a message's components against Discord's rules; an error names the path of what breaks one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.discord.components import (
    ACTION_ROW,
    BUTTON,
    CONTAINER,
    FILE,
    MEDIA_GALLERY,
    SECTION,
    SELECTS,
    SEPARATOR,
    STRING_SELECT,
    TEXT_DISPLAY,
    THUMBNAIL,
    displayed_text,
    located,
    media,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from sandbox.discord.message_parts import Json

Problem = tuple[str, tuple[str, str]]
"""The path of a field, and Discord's code and sentence about it."""

ACTION_ROWS = 5
BUTTONS_IN_ROW = 5
COMPONENTS = 40
TEXT = 4000
SECTION_TEXTS = 3
GALLERY_ITEMS = 10
OPTIONS = 25
DESCRIPTION = 1024
CUSTOM_ID = 100
LABEL = 80
BUTTON_URL = 512
PLACEHOLDER = 150
MAX_COLOR = 0xFFFFFF
MAX_ID = 2**31 - 1

IN_ROW = (BUTTON, *SELECTS)
IN_CONTAINER = (ACTION_ROW, SECTION, TEXT_DISPLAY, MEDIA_GALLERY, FILE, SEPARATOR)
ACCESSORIES = (BUTTON, THUMBNAIL)
TOP, TOP_V2 = (ACTION_ROW,), (*IN_CONTAINER, CONTAINER)

_LINK, _PREMIUM = 5, 6
_STYLES = range(1, 7)
_SPACINGS = (1, 2)
_ATTACHMENT = "attachment://"
_SCHEMES = ("http", "https", "discord")


def component_problems(components: list[Json], *, v2: bool, file_names: Container[str]) -> Iterator[Problem]:
    """What Discord would refuse. `file_names` are the message's files, which components may refer to."""
    if not v2 and len(components) > ACTION_ROWS:
        yield "components", _max_length(ACTION_ROWS)
    yield from _children("components", components, TOP_V2 if v2 else TOP)
    yield from _totals(components)
    yield from _repeated(components, "custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "custom id")
    yield from _repeated(components, "id", "COMPONENT_ID_DUPLICATED", "id")
    for path, item in media(components):
        name = str(item.get("url") or "").removeprefix(_ATTACHMENT)
        if str(item.get("url")).startswith(_ATTACHMENT) and name not in file_names:
            reason = f"The referenced attachment '{name}' was not found"
            yield f"{path}.url", ("UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", reason)


def _totals(components: list[Json]) -> Iterator[Problem]:
    if sum(1 for _ in located(components)) > COMPONENTS:
        reason = f"The total number of components exceeds the maximum of {COMPONENTS}"
        yield "components", ("COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", reason)
    if sum(map(len, displayed_text(components))) > TEXT:
        reason = f"Components displayable text size exceeds maximum size of {TEXT}"
        yield "components", ("COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", reason)


def _repeated(components: list[Json], name: str, code: str, words: str) -> Iterator[Problem]:
    seen: set[object] = set()
    for path, part in located(components):
        value = part.get(name)
        if value and value in seen:
            yield f"{path}.{name}", (code, f"Component {words} cannot be duplicated")
        seen.add(value)


def _children(path: str, parts: list[Json], allowed: Sequence[int]) -> Iterator[Problem]:
    for index, part in enumerate(parts):
        yield from _part(f"{path}.{index}", part, allowed)


def _part(path: str, part: Json, allowed: Sequence[int]) -> Iterator[Problem]:
    kind = part.get("type")
    if not isinstance(kind, int) or kind not in allowed:
        choices = ", ".join(map(str, allowed)) + ("," if len(allowed) == 1 else "")
        yield path, ("UNION_TYPE_CHOICES", f'Value of field "type" must be one of ({choices}).')
        return
    yield from _number(f"{path}.id", part.get("id"), MAX_ID)
    yield from _CHECKS[kind](path, part)


def _row(path: str, part: Json) -> Iterator[Problem]:
    children = part.get("components") or []
    yield from _length(f"{path}.components", children, 1, BUTTONS_IN_ROW)
    yield from _children(f"{path}.components", children, IN_ROW)
    if len(children) > 1 and any(each.get("type") in SELECTS for each in children):
        reason = "The specified component exceeds the maximum width"
        yield f"{path}.components.1", ("COMPONENT_LAYOUT_WIDTH_EXCEEDED", reason)


def _button(path: str, part: Json) -> Iterator[Problem]:
    yield from _length(f"{path}.label", part.get("label"), 0, LABEL)
    yield from _length(f"{path}.custom_id", part.get("custom_id"), 1, CUSTOM_ID)
    yield from _length(f"{path}.url", part.get("url"), 0, BUTTON_URL)
    style = part.get("style")
    if style not in _STYLES:
        yield f"{path}.style", ("BASE_TYPE_CHOICES", f"Value must be one of {tuple(_STYLES)}.")
    elif style == _PREMIUM:
        yield from _premium_button(path, part)
    else:
        if not part.get("label") and not part.get("emoji"):
            yield f"{path}.label", ("BUTTON_COMPONENT_LABEL_REQUIRED", "A label or emoji is required")
        yield from _link_button(path, part) if style == _LINK else _plain_button(path, part)


def _premium_button(path: str, part: Json) -> Iterator[Problem]:
    if not part.get("sku_id"):
        yield f"{path}.sku_id", _REQUIRED
    for name in ("custom_id", "label", "url", "emoji"):
        if part.get(name):
            yield f"{path}.{name}", ("BUTTON_COMPONENT_INVALID", f"A premium button has no {name}")


def _link_button(path: str, part: Json) -> Iterator[Problem]:
    url = part.get("url")
    if not url:
        yield f"{path}.url", ("BUTTON_COMPONENT_URL_REQUIRED", "A url is required")
    elif (scheme := url.partition(":")[0]) not in _SCHEMES:
        reason = f'Scheme "{scheme}" is not supported. Scheme must be one of {_SCHEMES}.'
        yield f"{path}.url", ("URL_TYPE_INVALID_SCHEME", reason)
    if part.get("custom_id"):
        yield f"{path}.custom_id", _EXCLUSIVE


def _plain_button(path: str, part: Json) -> Iterator[Problem]:
    if part.get("custom_id") is None:
        yield f"{path}.custom_id", ("BUTTON_COMPONENT_CUSTOM_ID_REQUIRED", "A custom id is required")
    if part.get("url"):
        yield f"{path}.url", _EXCLUSIVE


def _select(path: str, part: Json) -> Iterator[Problem]:
    yield from _required(f"{path}.custom_id", part.get("custom_id"), CUSTOM_ID)
    yield from _length(f"{path}.placeholder", part.get("placeholder"), 0, PLACEHOLDER)
    if part["type"] == STRING_SELECT:
        yield from _required(f"{path}.options", part.get("options"), OPTIONS)


def _section(path: str, part: Json) -> Iterator[Problem]:
    yield from _required(f"{path}.components", part.get("components"), SECTION_TEXTS)
    yield from _children(f"{path}.components", part.get("components") or [], (TEXT_DISPLAY,))
    if part.get("accessory") is None:
        yield f"{path}.accessory", _REQUIRED
    else:
        yield from _part(f"{path}.accessory", part["accessory"], ACCESSORIES)


def _text_display(path: str, part: Json) -> Iterator[Problem]:
    yield from _required(f"{path}.content", part.get("content"), TEXT)


def _thumbnail(path: str, part: Json) -> Iterator[Problem]:
    yield from _length(f"{path}.description", part.get("description"), 1, DESCRIPTION)
    yield from _media_item(f"{path}.media", part.get("media"))


def _gallery(path: str, part: Json) -> Iterator[Problem]:
    yield from _required(f"{path}.items", part.get("items"), GALLERY_ITEMS)
    for index, item in enumerate(part.get("items") or []):
        yield from _length(f"{path}.items.{index}.description", item.get("description"), 1, DESCRIPTION)
        yield from _media_item(f"{path}.items.{index}.media", item.get("media"))


def _file(path: str, part: Json) -> Iterator[Problem]:
    yield from _media_item(f"{path}.file", part.get("file"))
    url = str((part.get("file") or {}).get("url") or _ATTACHMENT)
    if not url.startswith(_ATTACHMENT):
        reason = "A file component refers to an attachment of the message"
        yield f"{path}.file.url", ("UNFURLED_MEDIA_ITEM_ATTACHMENT_REQUIRED", reason)


def _media_item(path: str, item: Json | None) -> Iterator[Problem]:
    if not (item or {}).get("url"):
        yield f"{path}.url" if item else path, _REQUIRED


def _separator(path: str, part: Json) -> Iterator[Problem]:
    if part.get("spacing") is not None and part["spacing"] not in _SPACINGS:
        yield f"{path}.spacing", ("BASE_TYPE_CHOICES", f"Value must be one of {_SPACINGS}.")


def _container(path: str, part: Json) -> Iterator[Problem]:
    yield from _number(f"{path}.accent_color", part.get("accent_color"), MAX_COLOR)
    yield from _required(f"{path}.components", part.get("components"), COMPONENTS)
    yield from _children(f"{path}.components", part.get("components") or [], IN_CONTAINER)


_CHECKS: dict[int, Callable[[str, Json], Iterator[Problem]]] = {
    ACTION_ROW: _row,
    BUTTON: _button,
    **dict.fromkeys(SELECTS, _select),
    SECTION: _section,
    TEXT_DISPLAY: _text_display,
    THUMBNAIL: _thumbnail,
    MEDIA_GALLERY: _gallery,
    FILE: _file,
    SEPARATOR: _separator,
    CONTAINER: _container,
}

_REQUIRED = ("BASE_TYPE_REQUIRED", "This field is required")
_EXCLUSIVE = (
    "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
    "A custom id and url cannot both be specified",
)


def _max_length(most: int) -> tuple[str, str]:
    return "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length."


def _required(path: str, value: Any, most: int) -> Iterator[Problem]:
    if value is None:
        yield path, _REQUIRED
    yield from _length(path, value, 1, most)


def _length(path: str, value: Any, least: int, most: int) -> Iterator[Problem]:
    if value is None or least <= len(value) <= most:
        return
    if least:
        yield path, ("BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
    else:
        yield path, _max_length(most)


def _number(path: str, value: int | None, most: int) -> Iterator[Problem]:
    if value is not None and value > most:
        yield path, ("NUMBER_TYPE_MAX", f"int value should be less than or equal to {most}.")
    if value is not None and value < 0:
        yield path, ("NUMBER_TYPE_MIN", "int value should be greater than or equal to 0.")
