"""Which module may import which: an import against the layers fails here."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Top folder -> the other top folders that it may import.
MAY_IMPORT: dict[str, set[str]] = {"bot": set(), "sandbox": set(), "demo": {"sandbox"}}
# Every other part may import these. They import nothing of each other, except that metrics may import core.
LOWEST = {"core", "aio", "metrics", "network_errors", "version"}
# Part of bot, or one of its modules -> the other parts that it may import.
ALLOWED: dict[str, set[str]] = {
    "metrics": {"core"},
    "storage": set(),
    "media": set(),
    "veo": {"media"},
    "work": {"storage", "media"},
    "chat": {"storage", "veo", "work"},
    "ops": {"storage", "work"},
    "settings": {"storage", "setting_values", "setting_problems"},
    "setting_values": set(),
    "setting_problems": set(),
    "logs": set(),
    "process": set(),
    "introduction": {"storage", "settings"},
    "resources": {"storage", "chat", "settings", "process"},
    "supervisor": {"chat"},
    "app": {
        *("storage", "media", "veo", "work", "chat", "ops"),
        *("settings", "process", "introduction", "resources", "supervisor"),
    },
    "cli.check": {"storage", "media", "veo", "chat", "settings", "process", "resources"},
    "cli.doctor": {"storage", "work", "chat", "settings", "resources"},
    "cli.backup": {"storage", "settings"},
    "cli.move": {"storage", "settings"},
    "cli.run": {"app", "settings", "process"},
    "cli.migrate": {"storage", "settings", "resources"},
    "cli.main": {"settings", "logs", "process", "cli"},
    "__main__": {"cli", "process"},
}
# Third-party package -> the parts of bot that may import it. Other packages are not restricted.
OUTSIDE = {
    "discord": {"chat", "cli.doctor"},
    "aiohttp": {"veo", "chat", "ops"},
    "sqlalchemy": {"storage"},
    "asyncpg": {"storage"},
    "prometheus_client": {"metrics", "ops"},
}


def imported(source: str) -> Iterator[str]:
    """Every module that `source` imports, also inside functions; `from a import b` as a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their target"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden_imports(module: str, source: str) -> list[str]:
    """The imports of `module` (such as bot.work.loop) that the layers forbid."""
    package, _, rest = module.partition(".")
    part = rest if rest in ALLOWED else rest.partition(".")[0]
    return [name for name in imported(source) if not _is_allowed(package, part, name.split("."))]


def _is_allowed(package: str, part: str, wanted: list[str]) -> bool:
    if wanted[0] in MAY_IMPORT:
        if wanted[0] != package:
            return wanted[0] in MAY_IMPORT[package]
        return package != "bot" or wanted[1] == part or wanted[1] in _allowed(part)
    return package != "bot" or part in OUTSIDE.get(wanted[0], {part})


def _allowed(part: str) -> set[str]:
    return (set() if part in LOWEST else LOWEST) | ALLOWED.get(part, set())


def imports_between(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """For each module (name -> source): the other modules of `sources` that it imports."""

    def target(name: str) -> str:
        """`from a.b import c` imports the module a.b.c if there is one, else the module a.b."""
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {target(name) for name in imported(source)} - {"", module}
        for module, source in sources.items()
    }


def cycle(imports: Mapping[str, set[str]]) -> list[str]:
    """The modules of one import cycle; empty if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def modules(package: str) -> list[str]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("module", modules("bot") + modules("sandbox") + modules("demo"))
def test_module_imports_only_what_its_part_may(module: str):
    """core <- storage, media <- veo <- work <- chat <- app <- cli; sandbox <- demo; bot imports neither."""
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")

    assert forbidden_imports(module, source) == []


@pytest.mark.parametrize("package", ["bot", "sandbox", "demo", "bench", "tests"])
def test_package_has_no_import_cycle(package: str):
    """Imports under TYPE_CHECKING and inside functions count as well."""
    sources = {
        module.removesuffix(".__init__"): (ROOT / module.replace(".", "/"))
        .with_suffix(".py")
        .read_text(encoding="utf-8")
        for module in modules(package)
    }

    assert cycle(imports_between(sources)) == []


def test_core_imports_only_parts_of_the_standard_library_without_io():
    names = {
        name.split(".")[0]
        for path in (ROOT / "bot" / "core").glob("*.py")
        for name in imported(path.read_text(encoding="utf-8"))
    }

    allowed = {"asyncio", "bot", "collections", "contextvars", "dataclasses", "datetime", "enum"}
    assert names <= allowed | {
        "itertools",
        "json",
        "pathlib",
        "random",
        "re",
        "secrets",
        "statistics",
        "time",
        "typing",
        "urllib",
    }


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bot.core.made_up", "from bot.storage.store import Store"),
        ("bot.core.made_up", "from bot.metrics import Metrics"),
        ("bot.core.made_up", "import sqlalchemy as sa"),
        ("bot.metrics", "from bot.storage.store import Store"),
        ("bot.core.made_up", "from bot.aio import finish"),
        ("bot.storage.made_up", "from bot.work import loop"),
        ("bot.veo.made_up", "from bot.storage.store import Store"),
        ("bot.media.made_up", "from bot.veo import reply"),
        ("bot.work.made_up", "import discord"),
        ("bot.work.made_up", "from aiohttp import web"),
        ("bot.work.made_up", "from sqlalchemy.ext.asyncio import AsyncConnection"),
        ("bot.work.made_up", "def late():\n    from bot.chat.client import CourierClient"),
        ("bot.work.made_up", "from bot.veo.client import VideoApiClient"),
        ("bot.chat.made_up", "from bot.app import run"),
        ("bot.chat.made_up", "from bot.ops.server import open_server"),
        ("bot.settings", "from bot import app"),
        ("bot.veo.made_up", "import discord.http"),
        ("bot.app", "import sqlalchemy"),
        ("bot.app", "from sandbox.discord import server"),
        ("bot.app", "from demo.page import server"),
        ("sandbox.made_up", "from demo.page import server"),
        ("demo.made_up", "from bot.core import ids"),
        ("bot.cli.backup", "import discord"),
        ("bot.cli.backup", "from bot import chat"),
        ("sandbox.made_up", "from bot.core import ids"),
    ],
)
def test_checker_finds_an_import_against_the_layers(module: str, line: str):
    assert len(forbidden_imports(module, line)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bot.work.made_up", "from bot.work.loop import DurableLoop"),
        ("bot.work.made_up", "from bot.storage.store import Store"),
        ("bot.storage.made_up", "from bot.aio import finish"),
        ("bot.veo.made_up", "from bot.media.mp4 import inspect_mp4"),
        ("bot.metrics", "from bot.core.answers import AnswerKind"),
        ("bot.chat.made_up", "import discord, aiohttp"),
        ("bot.chat.made_up", "from bot.work.tracking import Tracking"),
        ("bot.cli.doctor", "import discord"),
        ("bot.cli.main", "from bot.cli import check"),
        ("bot.cli.run", "from bot import app"),
        ("sandbox.made_up", "import discord"),
        ("demo.made_up", "from sandbox.discord import World"),
    ],
)
def test_checker_allows_imports_along_the_layers(module: str, line: str):
    assert forbidden_imports(module, line) == []


def test_checker_finds_an_import_cycle():
    """Also one that exists only under TYPE_CHECKING."""
    sources = {
        "made.up": "from made.up.one import One",
        "made.up.one": "from made.up import two",
        "made.up.two": "if TYPE_CHECKING:\n    from made.up.three import Three",
        "made.up.three": "def late():\n    from made.up.one import One",
    }

    assert set(cycle(imports_between(sources))) == {"made.up.one", "made.up.two", "made.up.three"}


def test_checker_allows_imports_without_a_cycle():
    """A package's __init__ may import its modules, and two paths to one module are allowed."""
    sources = {
        "made.up": "from made.up.one import One\nfrom made.up.two import Two",
        "made.up.one": "from made.up import two",
        "made.up.two": "import made",
    }

    assert cycle(imports_between(sources)) == []


# -- sentences for users -------------------------------------------------------------------------------

# Words of sentences that address a user; logs, metrics and settings need none of them.
SPOKEN = re.compile(r"\b(?:I|I'm|my|you|your|please|sorry)\b", re.IGNORECASE)
# Sentences for users are in the texts of the chat; the command line and the settings address the operator.
MAY_SPEAK = ("bot.chat.texts.", "bot.cli.", "bot.setting")
# Command descriptions, which Discord shows: module -> how many.
DESCRIPTIONS = {"bot.chat.commands": 2}


def spoken(source: str) -> list[str]:
    """The strings in `source`, without docstrings, that address a user."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and " " in node.value.strip()
        and SPOKEN.search(node.value)
    ]


@pytest.mark.parametrize("module", [m for m in modules("bot") if not m.startswith(MAY_SPEAK)])
def test_module_below_the_chat_has_no_sentences_for_users(module: str):
    """It raises a problem code with data; the sentence is written in one place."""
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")

    assert len(spoken(source)) == DESCRIPTIONS.get(module, 0), spoken(source)


def test_checker_finds_a_sentence_for_users():
    """It ignores docstrings and log lines."""
    source = '''"""I am a docstring."""
X = "I may not attach files in this channel any more."
def f():
    """You may read this."""
    logger.warning("%s: not posted", X)
    raise GiveUp(f"{X}: please try again")
'''

    assert spoken(source) == ["I may not attach files in this channel any more.", ": please try again"]
