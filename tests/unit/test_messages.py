"""Every message that the bot can send, in every language: Discord takes it, and it reads as it should."""

import json
import re
from pathlib import Path

import pytest
from jsonschema_rs import Draft202012, Draft202012Validator, Registry

from bot.core.language import Language
from bot.veo.causes import Cause, cause_of
from sandbox.discord.component_limits import component_problems
from tests.messages import REASONS, Sample, as_json, samples

OPENAPI = Path(__file__).parents[2] / "../shared/reference/discord_openapi.json"
ALL = {
    f"{language}: {number} {sample.title}": sample
    for language in Language
    for number, sample in enumerate(samples(language))
}
EVERY = pytest.mark.parametrize("sample", ALL.values(), ids=ALL.keys())


def text_of(sample: Sample) -> str:
    if "content" in sample.payload:
        return str(sample.payload["content"])
    (container,) = sample.payload["components"]
    return "\n".join(part["content"] for part in container["components"] if part["type"] == 10)


@EVERY
def test_message_is_within_discords_limits(sample: Sample):
    """As the stand-in knows them."""
    is_v2 = "flags" in sample.payload

    assert list(component_problems(sample.payload["components"], v2=is_v2, file_names=())) == []
    assert 0 < len(text_of(sample)) <= (4000 if is_v2 else 2000)


@EVERY
def test_message_leaves_no_placeholder_and_no_raw_code(sample: Sample):
    """No {name}, no name of ours, balanced markdown."""
    text = text_of(sample)

    assert not re.search(r"\{\w*\}|None|<Enum|problem", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert text.count("`") % 2 == 0
    assert text.count("**") % 2 == 0
    assert "  " not in text


@pytest.mark.skipif(not OPENAPI.exists(), reason="Discord's OpenAPI description is not beside the checkout")
@pytest.mark.parametrize("language", Language)
def test_messages_satisfy_discords_own_description(language: Language):
    """Create Message takes a MessageCreateRequest."""
    document = json.loads(OPENAPI.read_text(encoding="utf-8"))
    registry = Registry([("urn:d", document)], draft=Draft202012)
    schema = {"$ref": "urn:d#/components/schemas/MessageCreateRequest"}
    validator = Draft202012Validator(schema, registry=registry)

    for sample in samples(language):
        assert [error.message for error in validator.iter_errors(sample.payload)] == [], sample.title
    assert list(validator.iter_errors({"content": "x" * 4001})) != []


@pytest.mark.parametrize("language", [language for language in Language if language is not Language.ENGLISH])
def test_no_message_is_left_in_english(language: Language):
    """Without code, links and numbers nothing of the English sentence is left."""
    for english, other in zip(samples(Language.ENGLISH), samples(language), strict=True):
        assert english.title == other.title
        assert text_of(english) != text_of(other), english.title
        words = re.sub(r"```.*?```|`[^`]*`|\(https?://\S+\)|<[^>]*>", "", text_of(other), flags=re.DOTALL)
        assert set(re.findall(r"[A-Za-z]{3,}", words)) <= {
            *("API", "Discord", "Google", "Veo", "JSON", "MiB", "AutoMod", "APP", "Ctrl", "bot", "MP4"),
        }, english.title


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_text_that_leads_to_it(cause: Cause):
    """The gallery shows each of them."""
    assert cause_of(REASONS[cause]) is cause


def test_gallery_has_every_message_in_every_language():
    """Its sections hold the same messages in each."""
    for section in as_json():
        titles = {
            language: [m["title"] for m in section["messages"] if m["language"] == language]
            for language in Language
        }
        assert len({tuple(found) for found in titles.values()}) == 1
        assert all(titles.values())
