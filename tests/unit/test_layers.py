"""Which part may import which: an arrow that points back fails here."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A top folder: the other top folders that it may import.
MAY_IMPORT: dict[str, set[str]] = {"bot": set(), "sandbox": set(), "demo": {"sandbox"}}
# A part of bot: the other parts of bot that it may import.
ARROWS = {
    "core": set(),
    "storage": {"core"},
    "media": {"core"},
    "veo": {"core", "media"},
    "work": {"core"},
    "chat": {"core"},
    "settings": {"core"},
    "logs": {"core"},
    "ops": {"core", "storage", "work"},
    "serving": {"core", "chat"},
    "startup": {"core", "storage", "chat", "settings"},
    "roles": {"core", "settings"},
    "app": {
        *("core", "storage", "media", "veo", "work", "chat", "ops"),
        *("settings", "serving", "startup", "roles"),
    },
    "checkup": {"core", "storage", "veo", "settings", "startup"},
    "doctor": {"core", "storage", "work", "chat", "settings", "startup"},
    "backup": {"core", "settings", "startup"},
    "move": {"core", "storage", "settings", "startup"},
    "cli": {
        *("core", "storage", "settings", "logs", "startup", "roles"),
        *("app", "backup", "checkup", "doctor", "move"),
    },
    "__main__": {"cli"},
    "__init__": set(),
}
# A third-party package: the parts of bot that may import it. Unnamed ones are nobody's but app's.
OUTSIDE = {
    "discord": {"chat", "app", "doctor"},
    "aiohttp": {"veo", "chat", "ops", "app"},
    "sqlalchemy": {"storage"},
    "asyncpg": {"storage"},
    "prometheus_client": {"ops"},
}


def imported(source: str) -> Iterator[str]:
    """Every module that `source` imports, wherever in it, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_arrows(module: str, source: str) -> list[str]:
    """What `module` (such as bot.work.loop) imports and must not."""
    package, _, rest = module.partition(".")
    part = rest.partition(".")[0]
    return [name for name in imported(source) if not _is_allowed(package, part, name.split("."))]


def _is_allowed(package: str, part: str, wanted: list[str]) -> bool:
    if wanted[0] in MAY_IMPORT:
        if wanted[0] != package:
            return wanted[0] in MAY_IMPORT[package]
        return package != "bot" or wanted[1] == part or wanted[1] in ARROWS[part]
    return package != "bot" or part in OUTSIDE.get(wanted[0], {part})


def arrows_between(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """For each module (name -> source): the other modules of `sources` that it imports, wherever in it."""

    def target(name: str) -> str:
        """`from a.b import c` imports the module a.b.c if there is one, else the module a.b."""
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {target(name) for name in imported(source)} - {"", module}
        for module, source in sources.items()
    }


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """The modules of one import circle; empty when there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def modules(package: str) -> list[str]:
    paths = sorted((ROOT / package).rglob("*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("module", modules("bot") + modules("sandbox") + modules("demo"))
def test_module_imports_only_what_its_part_may(module: str):
    """core <- storage, veo, media <- work <- chat <- app <- cli; sandbox <- demo; bot imports neither."""
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")

    assert wrong_arrows(module, source) == []


@pytest.mark.parametrize("package", ["bot", "sandbox", "demo", "bench", "tests"])
def test_modules_of_a_package_import_each_other_in_one_direction(package: str):
    """No circle, counting imports under TYPE_CHECKING and inside functions as well."""
    sources = {
        module.removesuffix(".__init__"): (ROOT / module.replace(".", "/"))
        .with_suffix(".py")
        .read_text(encoding="utf-8")
        for module in modules(package)
    }

    assert circle(arrows_between(sources)) == []


def test_core_imports_nothing_from_outside_the_standard_library():
    """No I/O, no third-party import."""
    names = {
        name.split(".")[0]
        for path in (ROOT / "bot" / "core").glob("*.py")
        for name in imported(path.read_text(encoding="utf-8"))
    }

    allowed = {"bot", "collections", "contextvars", "dataclasses", "datetime", "enum", "json", "pathlib"}
    assert names <= allowed | {"random", "re", "secrets", "time", "typing", "urllib"}


def test_metrics_library_is_loaded_only_for_those_who_ask():
    """Three MiB of an idle bot; a fresh process, since the tests themselves have it loaded."""
    look = "import sys, bot.cli, bot.app; print('prometheus_client' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)

    assert said.stdout == "False\n"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bot.core.made_up", "from bot.storage.store import Store"),
        ("bot.core.made_up", "import sqlalchemy as sa"),
        ("bot.storage.made_up", "from bot.work import loop"),
        ("bot.veo.made_up", "from bot.storage.store import Store"),
        ("bot.media.made_up", "from bot.veo import reply"),
        ("bot.work.made_up", "import discord"),
        ("bot.work.made_up", "from aiohttp import web"),
        ("bot.work.made_up", "from sqlalchemy.ext.asyncio import AsyncConnection"),
        ("bot.work.made_up", "def late():\n    from bot.storage.store import Store"),
        ("bot.chat.made_up", "from bot.work.registry import Registry"),
        ("bot.chat.made_up", "from bot.storage.store import Store"),
        ("bot.settings", "from bot import app"),
        ("bot.veo.made_up", "import discord.http"),
        ("bot.app", "import sqlalchemy"),
        ("bot.app", "from sandbox.discord import server"),
        ("bot.app", "from demo.page import server"),
        ("sandbox.made_up", "from bot.core import ids"),
        ("sandbox.made_up", "from demo.page import server"),
        ("demo.made_up", "from bot.core import ids"),
    ],
)
def test_arrow_that_points_back_is_found(module: str, line: str):
    """The checker itself can fail."""
    assert len(wrong_arrows(module, line)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bot.work.made_up", "from bot.work.loop import DurableLoop"),
        ("bot.veo.made_up", "from bot.media.mp4 import inspect"),
        ("bot.chat.made_up", "import discord, aiohttp"),
        ("bot.cli", "from bot import app, checkup"),
        ("sandbox.made_up", "import discord"),
        ("demo.made_up", "from sandbox.discord import World"),
    ],
)
def test_arrow_that_points_forward_is_not(module: str, line: str):
    """The checker lets the design through."""
    assert wrong_arrows(module, line) == []


def test_circle_is_found():
    """Also one that closes only for the type checker."""
    sources = {
        "made.up": "from made.up.one import One",
        "made.up.one": "from made.up import two",
        "made.up.two": "if TYPE_CHECKING:\n    from made.up.three import Three",
        "made.up.three": "def late():\n    from made.up.one import One",
    }

    assert set(circle(arrows_between(sources))) == {"made.up.one", "made.up.two", "made.up.three"}


def test_modules_in_a_row_are_no_circle():
    """A package's __init__ may import its modules, and two ways to one module are fine."""
    sources = {
        "made.up": "from made.up.one import One\nfrom made.up.two import Two",
        "made.up.one": "from made.up import two",
        "made.up.two": "import made",
    }

    assert circle(arrows_between(sources)) == []
