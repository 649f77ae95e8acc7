"""Every sentence exists in every language, with the same values and the same commands in it."""

import ast
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from bot.chat.texts.language import CATALOGUES, DOMAIN, Translator, translator
from bot.core.language import Language, language_of, public_language

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "bot" / "chat"
# As in the Makefile's target `messages`.
KEYWORDS = {"t": None, "plural": (1, 2), "marked": None}
TRANSLATED = [language for language in Language if language is not Language.ENGLISH]
PLACEHOLDER = re.compile(r"\{([\w:]+)\}")
CODE = re.compile(r"`[^`]+`")


def written() -> set[str]:
    """The sentences that Babel collects, by their singular."""
    found = extract_from_dir(str(TEXTS), keywords=KEYWORDS, method_map=[("**.py", "python")])
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def called() -> Iterator[str]:
    """The sentences that the code gives to a translator, at any depth of calls."""
    for path in TEXTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) in KEYWORDS and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def folder_of(language: Language) -> Path:
    return CATALOGUES / language.replace("-", "_") / "LC_MESSAGES"


def catalogue(language: Language) -> Catalog:
    return read_po(io.BytesIO((folder_of(language) / f"{DOMAIN}.po").read_bytes()))


def messages(language: Language) -> list[Message]:
    return [message for message in catalogue(language) if message.id]


def texts(value: str | Iterable[str] | None) -> list[str]:
    return [value or ""] if value is None or isinstance(value, str) else list(value)


def test_babel_collects_every_sentence():
    """It does not look into a call within the arguments of another one."""
    assert written() == set(called())
    assert len(written()) > 100


@pytest.mark.parametrize("language", TRANSLATED)
def test_catalogue_holds_what_the_code_says_and_nothing_else(language: Language):
    assert {texts(message.id)[0] for message in messages(language)} == written()


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: Language):
    for message in messages(language):
        assert all(texts(message.string)), message.id
        assert not message.fuzzy, message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_have_the_same_values(language: Language):
    for message in messages(language):
        wanted = set(PLACEHOLDER.findall(texts(message.id)[-1]))
        for text in texts(message.string):
            assert set(PLACEHOLDER.findall(text)) == wanted, message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_name_the_same_commands_and_ids(language: Language):
    for message in messages(language):
        for text in texts(message.string):
            assert sorted(CODE.findall(text)) == sorted(CODE.findall(texts(message.id)[-1])), message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_compiled_catalogue_is_the_newest(language: Language):
    """The bot reads the compiled file: `make messages` writes it."""
    with (folder_of(language) / f"{DOMAIN}.mo").open("rb") as file:
        compiled = {texts(m.id)[0]: texts(m.string) for m in read_mo(file) if m.id}
    assert compiled == {texts(m.id)[0]: texts(m.string) for m in messages(language)}


def test_translator_puts_values_into_sentences():
    t = translator(Language.ENGLISH)
    assert t("{count} ready", count=2) == "2 ready"
    assert t.plural("{count} video", "{count} videos", 1) == "1 video"
    assert t("{note}", note="{count} {0} {") == "{count} {0} {"


def test_chinese_sentences_are_chinese():
    t: Translator = translator(Language.CHINESE)
    assert re.search("[\u4e00-\u9fff]", t("Nothing is stored about you."))


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh-CN", Language.CHINESE),
        ("en-US", Language.ENGLISH),
        ("en-GB", Language.ENGLISH),
        ("de", Language.ENGLISH),
        ("zh-TW", Language.ENGLISH),
        (None, Language.ENGLISH),
        ("", Language.ENGLISH),
    ],
)
def test_reader_without_a_translation_gets_english(locale: str | None, language: Language):
    assert language_of(locale) is language


@pytest.mark.parametrize(
    ("server", "person", "language"),
    [
        ("zh-CN", "en-US", Language.CHINESE),
        # Every server without Community has en-US, which nobody chose.
        ("en-US", "zh-CN", Language.CHINESE),
        ("en-US", "en-GB", Language.ENGLISH),
        ("en-GB", "zh-CN", Language.ENGLISH),
        (None, "zh-CN", Language.CHINESE),
    ],
)
def test_public_messages_speak_the_language_that_the_server_chose(
    server: str | None, person: str, language: Language
):
    assert public_language(server, person) is language
