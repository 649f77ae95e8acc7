"""Checks a message's payload against Discord's limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.discord.component_limits import DESCRIPTION, component_problems
from sandbox.discord.components import displayed_text
from sandbox.discord.message_parts import COMPONENTS_V2, Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.discord.component_limits import Problem

CONTENT = 2000
NONCE = 25
EMBEDS = 10
EMBED_TOTAL = 6000
FILES = 10
FILE_NAME = 1024
# Measured, and documented nowhere: above this number of bytes Discord answers 500. Each text display adds 12.
DISPLAYED_BYTES = 10_170
BYTES_PER_TEXT_DISPLAY = 12

_EMBED_TEXTS = {"title": 256, "description": 4096, "footer.text": 2048, "author.name": 256}
# What a message with the flag IS_COMPONENTS_V2 may not have.
_LEGACY_FIELDS = ("content", "embeds", "sticker_ids", "poll", "shared_client_theme")


def broken_rules(
    payload: Json, file_names: Mapping[str, str], kept_files: Sequence[str] = ()
) -> dict[str, tuple[str, str]]:
    """Everything in this message that Discord would refuse: field path -> (error code, sentence).

    `file_names` are the uploads by the name of their part; `kept_files` the names that an edit keeps.
    """
    v2 = is_v2(payload)
    known = {*_names(payload, file_names), *kept_files}
    return dict(
        [
            *_too_long("content", payload.get("content"), CONTENT),
            *_too_long("nonce", payload.get("nonce"), NONCE),
            *_file_problems(payload, file_names),
            *_embed_problems(payload.get("embeds") or []),
            *component_problems(payload.get("components") or [], v2=v2, file_names=known),
            *(_legacy_problems(payload) if v2 else ()),
        ]
    )


def is_too_big(components: list[Json]) -> bool:
    """Whether Discord answers 500 for this text, although it is within the limit of characters."""
    texts = displayed_text(components)
    return sum(len(text.encode()) + BYTES_PER_TEXT_DISPLAY for text in texts) > DISPLAYED_BYTES


def is_v2(payload: Json) -> bool:
    return bool((payload.get("flags") or 0) & COMPONENTS_V2)


def _too_long(path: str, value: object, max_length: int) -> Iterator[Problem]:
    if isinstance(value, str) and len(value) > max_length:
        yield path, ("BASE_TYPE_MAX_LENGTH", f"Must be {max_length} or fewer in length.")


def _legacy_problems(payload: Json) -> Iterator[Problem]:
    for name in _LEGACY_FIELDS:
        if payload.get(name):
            reason = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            yield name, ("MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", reason)


def _names(payload: Json, file_names: Mapping[str, str]) -> Iterator[str]:
    """The names of the uploads: the one in `attachments`, if it has one, counts before the part's."""
    described = {str(each.get("id")): each.get("filename") for each in payload.get("attachments") or []}
    for field_name, name in file_names.items():
        yield described.get(re.sub(r"\D", "", field_name)) or name


def _file_problems(payload: Json, file_names: Mapping[str, str]) -> Iterator[Problem]:
    if len(file_names) > FILES:
        yield "attachments", ("BASE_TYPE_MAX_LENGTH", f"Must be {FILES} or fewer in length.")
    for field_name, name in file_names.items():
        if not name or len(name) > FILE_NAME or re.search(r"[/\\\x00-\x1f\x7f]", name):
            yield field_name, ("ATTACHMENT_FILENAME_INVALID", f"The file name {name!r} is not valid.")
    numbers = {re.sub(r"\D", "", field_name) for field_name in file_names}
    for index, described in enumerate(payload.get("attachments") or []):
        yield from _too_long(f"attachments.{index}.description", described.get("description"), DESCRIPTION)
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
