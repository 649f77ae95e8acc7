"""Message components: what people read and press in them, and the form in which Discord stores them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.discord.media_items import MediaItems
    from sandbox.discord.message_parts import Json

ACTION_ROW, BUTTON, STRING_SELECT = 1, 2, 3
SELECTS = (STRING_SELECT, 5, 6, 7, 8)
SECTION, TEXT_DISPLAY, THUMBNAIL, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17

# What Discord adds to a component that was sent without it.
_DEFAULTS: dict[int, Json] = {
    **{each: {"min_values": 1, "max_values": 1} for each in SELECTS},
    THUMBNAIL: {"description": None, "spoiler": False},
    FILE: {"spoiler": False},
    SEPARATOR: {"spacing": 1, "divider": True},
    CONTAINER: {"accent_color": None, "spoiler": False},
}
_GALLERY_ITEM = {"description": None, "spoiler": False}


@dataclass(frozen=True, slots=True)
class Button:
    label: str | None
    custom_id: str | None
    url: str | None
    disabled: bool
    style: int


def located(components: list[Json], path: str = "components") -> Iterator[tuple[str, Json]]:
    """All components at any depth, each with its path in the payload, such as `components.0.accessory`."""
    for index, part in enumerate(components):
        yield f"{path}.{index}", part
        yield from located(part.get("components") or [], f"{path}.{index}.components")
        if accessory := part.get("accessory"):
            yield f"{path}.{index}.accessory", accessory


def walk(components: list[Json]) -> Iterator[Json]:
    """All components at any depth: those inside rows, sections and containers too."""
    return (part for _, part in located(components))


def buttons(components: list[Json]) -> list[Button]:
    """The buttons among these components, at any depth."""
    return [_button(part) for part in walk(components) if part.get("type") == BUTTON]


def displayed_text(components: list[Json]) -> list[str]:
    """The texts of the text displays among these components, at any depth."""
    return [str(part.get("content") or "") for part in walk(components) if part.get("type") == TEXT_DISPLAY]


def accent_color(components: list[Json]) -> int | None:
    """The colour of the first container, as 0xRRGGBB; None without a container or without a colour."""
    containers = (part for part in components if part.get("type") == CONTAINER)
    color: int | None = next(containers, {}).get("accent_color")
    return color


def media(components: list[Json]) -> Iterator[tuple[str, Json]]:
    """All files and pictures in thumbnails, galleries and file components, each with its path."""
    for path, part in located(components):
        if part.get("type") == MEDIA_GALLERY:
            items = part.get("items") or []
            yield from ((f"{path}.items.{n}.media", item.get("media") or {}) for n, item in enumerate(items))
        elif part.get("type") == THUMBNAIL:
            yield f"{path}.media", part.get("media") or {}
        elif part.get("type") == FILE:
            yield f"{path}.file", part.get("file") or {}


def stored(given: list[Json], items: MediaItems) -> list[Json]:
    """Components as Discord stores them: with its defaults, with media items, and numbered.

    A component without an `id` gets the next number that no other component has.
    """
    taken = {part["id"] for part in walk(given) if part.get("id")}
    free = (number for number in itertools.count(1) if number not in taken)
    return [_stored(part, free, items) for part in given]


def _stored(part: Json, free: Iterator[int], items: MediaItems) -> Json:
    given = {name: value for name, value in part.items() if value is not None}
    answer: Json = {**_DEFAULTS.get(part["type"], {}), **given}
    answer["id"] = given.get("id") or next(free)
    if "emoji" in answer:
        # A request may contain {"id": null}; an answer has no id for a Unicode emoji.
        answer["emoji"] = {key: value for key, value in answer["emoji"].items() if value is not None}
    if "components" in answer:
        answer["components"] = [_stored(each, free, items) for each in answer["components"]]
    if "accessory" in answer:
        answer["accessory"] = _stored(answer["accessory"], free, items)
    return {**answer, **_stored_media(answer, items)}


def _stored_media(part: Json, items: MediaItems) -> Json:
    """The fields of a thumbnail, gallery or file that Discord completes."""
    if part["type"] == THUMBNAIL:
        return {"media": items.item(part["media"]["url"])}
    if part["type"] == MEDIA_GALLERY:
        shown = [{**_GALLERY_ITEM, **each} for each in part["items"]]
        return {"items": [{**each, "media": items.item(each["media"]["url"])} for each in shown]}
    if part["type"] == FILE:
        url = part["file"]["url"]
        file = items.file(url)
        named = {"name": file.filename, "size": file.size} if file else {"name": None, "size": None}
        return {**named, "file": items.item(url)}
    return {}


def _button(part: Json) -> Button:
    return Button(
        label=part.get("label"),
        custom_id=part.get("custom_id"),
        url=part.get("url"),
        disabled=bool(part.get("disabled")),
        style=int(part["style"]),
    )
