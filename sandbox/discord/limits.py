"""Checks a message's payload against Discord's limits."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from sandbox.discord.message_parts import BUTTON, COMPONENTS_V2, Json, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Problem = tuple[str, tuple[str, str]]

CONTENT = 2000
NONCE = 25
EMBEDS = 10
EMBED_TOTAL = 6000
FILES = 10
FILE_NAME = 1024
ACTION_ROWS = 5
BUTTONS_IN_ROW = 5
COMPONENTS = 40
COMPONENT_TEXT = 4000
CUSTOM_ID = 100
LABEL = 80
BUTTON_URL = 512

_EMBED_TEXTS = {"title": 256, "description": 4096, "footer.text": 2048, "author.name": 256}
_LINK, _PREMIUM = 5, 6
_ROW = 1
_TEXT_DISPLAY = 10


def broken_rules(payload: Json, file_names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Everything in this message that Discord would refuse: field path -> (error code, sentence)."""
    problems = [
        *_too_long("content", payload.get("content"), CONTENT),
        *_too_long("nonce", payload.get("nonce"), NONCE),
        *_file_problems(payload, file_names),
        *_embed_problems(payload.get("embeds") or []),
        *_component_problems(payload.get("components") or [], is_v2(payload)),
        *_mixing_problems(payload),
    ]
    return dict(problems)


def is_v2(payload: Json) -> bool:
    return bool((payload.get("flags") or 0) & COMPONENTS_V2)


def _too_long(path: str, value: object, max_length: int) -> Iterator[Problem]:
    if isinstance(value, str) and len(value) > max_length:
        yield path, ("BASE_TYPE_MAX_LENGTH", f"Must be {max_length} or fewer in length.")


def _mixing_problems(payload: Json) -> Iterator[Problem]:
    if not is_v2(payload):
        return
    for name in ("content", "embeds"):
        if payload.get(name):
            reason = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            yield name, ("MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", reason)


def _file_problems(payload: Json, file_names: Mapping[str, str]) -> Iterator[Problem]:
    if len(file_names) > FILES:
        yield "attachments", ("BASE_TYPE_MAX_LENGTH", f"Must be {FILES} or fewer in length.")
    for field_name, name in file_names.items():
        if not name or len(name) > FILE_NAME or re.search(r"[/\\\x00-\x1f\x7f]", name):
            yield field_name, ("ATTACHMENT_FILENAME_INVALID", f"The file name {name!r} is not valid.")
    numbers = {re.sub(r"\D", "", field_name) for field_name in file_names}
    for index, described in enumerate(payload.get("attachments") or []):
        yield from _too_long(f"attachments.{index}.description", described.get("description"), FILE_NAME)
        is_upload = len(str(described.get("id"))) <= 2
        if is_upload and str(described["id"]) not in numbers:
            yield f"attachments.{index}.id", ("ATTACHMENT_NOT_FOUND", "No such uploaded file.")


def _embed_problems(embeds: list[Json]) -> Iterator[Problem]:
    if len(embeds) > EMBEDS:
        yield "embeds", ("BASE_TYPE_MAX_LENGTH", f"Must be {EMBEDS} or fewer in length.")
    for index, embed in enumerate(embeds):
        for path, max_length in _EMBED_TEXTS.items():
            yield from _too_long(f"embeds.{index}.{path}", _at(embed, path), max_length)
        yield from _field_problems(f"embeds.{index}.fields", embed.get("fields") or [])
    if sum(map(_embed_size, embeds)) > EMBED_TOTAL:
        reason = f"Embed size exceeds maximum size of {EMBED_TOTAL}"
        yield "embeds", ("MAX_EMBED_SIZE_EXCEEDED", reason)


def _field_problems(path: str, fields: list[Json]) -> Iterator[Problem]:
    if len(fields) > 25:
        yield path, ("BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for index, each in enumerate(fields):
        for name, max_length in (("name", 256), ("value", 1024)):
            if not each.get(name):
                yield f"{path}.{index}.{name}", ("BASE_TYPE_REQUIRED", "This field is required")
            yield from _too_long(f"{path}.{index}.{name}", each.get(name), max_length)


def _at(embed: Json, path: str) -> object:
    value: object = embed
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _embed_size(embed: Json) -> int:
    texts = [_at(embed, path) for path in _EMBED_TEXTS]
    texts += [each.get(name) for each in embed.get("fields") or [] for name in ("name", "value")]
    return sum(len(text) for text in texts if isinstance(text, str))


def _component_problems(components: list[Json], v2: bool) -> Iterator[Problem]:
    parts = list(walk(components))
    if not v2 and len(components) > ACTION_ROWS:
        yield "components", ("BASE_TYPE_MAX_LENGTH", f"Must be {ACTION_ROWS} or fewer in length.")
    if not v2 and any(part["type"] != _ROW for part in components):
        yield "components", ("UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1,).')
    if len(parts) > COMPONENTS:
        yield "components", ("COMPONENT_MAX_TOTAL", f"At most {COMPONENTS} components.")
    if sum(len(part["content"]) for part in parts if part["type"] == _TEXT_DISPLAY) > COMPONENT_TEXT:
        reason = f"The text of all components must be {COMPONENT_TEXT} or fewer in length."
        yield "components", ("COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", reason)
    for index, part in enumerate(parts):
        yield from _part_problems(f"components.{index}", part)
    repeated = Counter(part["custom_id"] for part in parts if part.get("custom_id"))
    if any(count > 1 for count in repeated.values()):
        reason = "Component custom id cannot be duplicated"
        yield "components", ("COMPONENT_CUSTOM_ID_DUPLICATED", reason)


def _part_problems(path: str, part: Json) -> Iterator[Problem]:
    yield from _too_long(f"{path}.custom_id", part.get("custom_id"), CUSTOM_ID)
    yield from _too_long(f"{path}.url", part.get("url"), BUTTON_URL)
    if part["type"] == _ROW and not 1 <= len(part.get("components") or []) <= BUTTONS_IN_ROW:
        reason = f"Must be between 1 and {BUTTONS_IN_ROW} in length."
        yield f"{path}.components", ("BASE_TYPE_BAD_LENGTH", reason)
    if part["type"] == BUTTON:
        yield from _button_problems(path, part)


def _button_problems(path: str, part: Json) -> Iterator[Problem]:
    yield from _too_long(f"{path}.label", part.get("label"), LABEL)
    if not part.get("label") and not part.get("emoji") and part.get("style") != _PREMIUM:
        yield f"{path}.label", ("BUTTON_COMPONENT_REQUIRES_LABEL", "A button needs a label or emoji")
    if part.get("style") == _LINK:
        if part.get("custom_id") or not part.get("url"):
            yield path, ("BUTTON_COMPONENT_INVALID", "A link button has a url and no custom id")
    elif part.get("style") != _PREMIUM and (part.get("url") or not part.get("custom_id")):
        yield path, ("BUTTON_COMPONENT_INVALID", "A button has a custom id and no url")
