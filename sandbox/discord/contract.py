"""Checks the bot's requests and the stand-in's answers against Discord's own OpenAPI description.

The description is not part of this repository. Where it is missing, nothing is checked and
`StandInDiscord.contract_checked` is False.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jsonschema_rs import Draft202012, Draft202012Validator, Registry

if TYPE_CHECKING:
    from sandbox.discord.endpoint import Answer
    from sandbox.discord.message_parts import Json
    from sandbox.discord.record import Request

_REPOSITORY = Path(__file__).parents[2]
DESCRIPTION = _REPOSITORY.parent / "shared" / "reference" / "discord_openapi.json"

_URI = "urn:discord:openapi"
_JSON = "application/json"

# discord.py sends "tts" with every edit. Discord has the field for new messages only and ignores it here.
_EDITS_WITH_TTS = (
    "MessageEditRequestPartial",
    "IncomingWebhookUpdateRequestPartial",
    "IncomingWebhookUpdateForInteractionCallbackRequestPartial",
)
# Discord documents the field for every way to register a command; the description lacks it here.
_COMMANDS_WITH_NSFW = "ApplicationCommandUpdateRequest"
# discord.py sends an embed's flags, which only Discord sets; Discord ignores them.
_EMBED_WITH_FLAGS = "RichEmbed"
# Other schemas extend it by allOf, so it has to accept further fields.
_EXTENDED = ("Error",)
# The error of one field has a name as its code, such as BASE_TYPE_MAX_LENGTH; the description has a number.
_FIELD_ERROR = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}


class Contract:
    def __init__(self) -> None:
        self.wanted = True

    @property
    def available(self) -> bool:
        return self.wanted and DESCRIPTION.exists()

    def check_request(self, request: Request, template: str) -> list[str]:
        """The violations in a request's body, where a `payload_json` is already unwrapped."""
        if not self.available or request.body is None:
            return []
        schema = _schema_of_request(request.method, template)
        return _violations(schema, request.body, f"{request.method} {template} was sent")

    def check_answer(self, request: Request, template: str, answer: Answer) -> list[str]:
        """The violations in our own answer: these are bugs of the stand-in, not of the bot."""
        if not self.available or answer.body is None:
            return []
        schema = _schema_of_answer(request.method, template, answer.status)
        where = f"{request.method} {template} answered {answer.status}"
        return _violations(schema, answer.body, where)


class _Schema:
    """One schema of the description."""

    def __init__(self, *path: str) -> None:
        pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
        self._validator = Draft202012Validator({"$ref": f"{_URI}#/{quote(pointer)}"}, registry=_registry())

    def violation(self, body: Any) -> str | None:
        """Where and how the body differs from the schema: the deepest place that is wrong."""
        errors = self._validator.iter_errors(body)
        error = max(errors, key=lambda found: len(found.instance_path), default=None)
        if error is None:
            return None
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        return f"${path}: {error.message[:500]}"


def _violations(schema: _Schema | None, body: Any, where: str) -> list[str]:
    found = None if schema is None else schema.violation(body)
    return [] if found is None else [f"contract: {where}: {found}"]


@functools.cache
def _schema_of_request(method: str, template: str) -> _Schema | None:
    content = _operation(method, template).get("requestBody", {}).get("content", {})
    if _JSON not in content:
        return None
    return _Schema("paths", template, method.lower(), "requestBody", "content", _JSON, "schema")


@functools.cache
def _schema_of_answer(method: str, template: str, status: int) -> _Schema | None:
    answers = _operation(method, template).get("responses", {})
    key = str(status) if str(status) in answers else f"{status // 100}XX"
    answer = answers.get(key, {})
    if "$ref" in answer:
        return _Schema(*answer["$ref"].removeprefix("#/").split("/"), "content", _JSON, "schema")
    if _JSON not in answer.get("content", {}):
        return None
    return _Schema("paths", template, method.lower(), "responses", key, "content", _JSON, "schema")


def _operation(method: str, template: str) -> Json:
    found: Json = _description()["paths"].get(template, {}).get(method.lower(), {})
    return found


@functools.cache
def _registry() -> Registry:
    return Registry([(_URI, _description())], draft=Draft202012)


@functools.cache
def _description() -> Json:
    """The description, made to refuse unknown fields and corrected where Discord behaves differently."""
    description: Json = json.loads(DESCRIPTION.read_text())
    schemas = description["components"]["schemas"]
    # Discord sends ids as strings and accepts numbers as well, which discord.py sends.
    schemas["SnowflakeType"]["type"] = ["string", "integer"]
    for name in _EDITS_WITH_TTS:
        schemas[name]["properties"]["tts"] = {"type": "boolean"}
    schemas[_COMMANDS_WITH_NSFW]["properties"]["nsfw"] = {"type": "boolean"}
    schemas[_EMBED_WITH_FLAGS]["properties"]["flags"] = {"type": "integer"}
    schemas["InnerErrors"]["properties"]["_errors"]["items"] = _FIELD_ERROR
    for name, schema in schemas.items():
        if name not in _EXTENDED:
            _refuse_unknown_fields(schema)
    _refuse_unknown_fields(description["paths"])
    return description


def _refuse_unknown_fields(schema: Any) -> None:
    """Refuse fields that an object's schema does not list, here and in nested schemas."""
    if isinstance(schema, list):
        for each in schema:
            _refuse_unknown_fields(each)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("properties"), dict) and "allOf" not in schema:
        schema.setdefault("additionalProperties", False)
    for keyword, below in schema.items():
        if keyword != "allOf":
            _refuse_unknown_fields(below)
