"""The documents against the code: commands, settings, exit codes, metrics, make targets, links, sizes."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import discord
import pytest

from bot.chat.client import CourierClient
from bot.chat.permissions import invite_link
from bot.cli import main as cli
from bot.core.answers import AnswerKind
from bot.core.errors import CannotStart
from bot.core.version import VERSION
from bot.metrics import AttemptOutcome, CommandOutcome, WaitReason
from bot.settings import Role, Settings, read_settings

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
FRONT = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
README, OPERATING = ROOT / "README.md", ROOT / "docs" / "operating.md"
SETTINGS, TROUBLESHOOTING = ROOT / "docs" / "settings.md", ROOT / "docs" / "troubleshooting.md"
MAX_LINES, MAX_WORDS, MAX_LENGTH = 80, 700, 120
# Sentences of Discord's client that the troubleshooting page quotes beside ours.
OF_DISCORD = {"The application did not respond"}
# A line that is nothing but an address may be longer: in a code span, or as the target of a named link.
ONLY_AN_ADDRESS = re.compile(r"(\[[\w-]+\]: |`)?https?://\S+")

each_page = pytest.mark.parametrize("page", [*FRONT, *DOCS], ids=lambda page: page.name)


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(text: str) -> str:
    """Without code blocks and comments, in which nothing is a link or a heading."""
    return re.sub(r"^ *```.*?^ *```$|<!--.*?-->", "", text, flags=re.MULTILINE | re.DOTALL)


def code_in(text: str) -> str:
    """What is in code blocks and code spans."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", prose_of(text))])


def rows_of(text: str) -> list[list[str]]:
    """The cells of every table row but the heads."""
    lines = [line for line in prose_of(text).splitlines() if line.startswith("|")]
    heads = {number for number, line in enumerate(lines) if re.fullmatch(r"[|\s:-]+", line)}
    kept = [line for number, line in enumerate(lines) if not {number, number + 1} & heads]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in kept]


def section(text: str, heading: str) -> str:
    [found] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


# -- sizes -----------------------------------------------------------------------------------------


def test_readme_is_short():
    """A newcomer reads it to the end."""
    text = text_of(README)

    assert len(text.splitlines()) <= MAX_LINES
    assert len(text.split()) <= MAX_WORDS
    assert len(re.findall(r"!\[", text)) == 1


@each_page
def test_lines_can_be_read_without_scrolling(page: Path):
    """In tables, too."""
    too_long = [line for line in text_of(page).splitlines() if len(line) > MAX_LENGTH]

    assert [line for line in too_long if not ONLY_AN_ADDRESS.fullmatch(line.strip())] == []


@each_page
def test_tables_have_the_same_columns_in_every_row(page: Path):
    """GitHub drops what is too much and shows a row that has too little."""
    for table in re.findall(r"(?:^\|.*\|\n)+", prose_of(text_of(page)), re.MULTILINE):
        lines = table.splitlines()
        assert re.fullmatch(r"(\|\s*:?-+:?\s*)+\|", lines[1]), lines[0]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines[0]


# -- links -----------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose_of(text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def relative_links(text: str) -> list[str]:
    shown = re.sub(r"`[^`\n]*`", "", prose_of(text))
    targets = re.findall(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)$|(?:src|href)=\"([^\"]+)\"", shown, re.MULTILINE)
    links = [next(filter(None, each)) for each in targets]
    return [link for link in links if not re.match(r"\w+:", link)]


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in relative_links(text_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(text_of(target))):
            broken.append(link)
    return broken


@each_page
def test_links_pictures_and_anchors_lead_somewhere(page: Path):
    assert broken_links(page) == []


@each_page
def test_links_with_names_are_defined(page: Path):
    """GitHub shows the brackets otherwise."""
    text = re.sub(r"`[^`\n]*`", "", prose_of(text_of(page)))
    defined = set(re.findall(r"^\[([^]]+)\]: ", text, re.MULTILINE))

    assert set(re.findall(r"\]\[([^]]+)\]", text)) <= defined


def test_every_page_can_be_found():
    """From the README, by links."""
    found, waiting = set[Path](), [README]
    while waiting:
        page = waiting.pop()
        found.add(page)
        linked = {(page.parent / link.partition("#")[0]).resolve() for link in relative_links(text_of(page))}
        waiting += [each for each in linked - found if each.suffix == ".md"]
    assert {*DOCS, *FRONT} <= found


@pytest.mark.parametrize("name", ["design.md", "operating.md", "troubleshooting.md"])
def test_contents_name_every_section(name: str):
    text = text_of(ROOT / "docs" / name)
    contents = text.partition("**Contents:**")[2].partition("\n## ")[0]
    sections = "\n".join(re.findall(r"^## .+$", prose_of(text), re.MULTILINE))

    assert set(re.findall(r"\(#([^)]+)\)", contents)) == anchors(sections)


def files_in(text: str) -> set[str]:
    """Paths of this repository in code spans and code blocks."""
    names = re.findall(
        r"(?<![\w/.-])((?:bot|tests|sandbox|demo|docs|bench|\.github)/[\w./*-]*)", code_in(text)
    )
    return {name.rstrip(".") for name in names}


@each_page
def test_files_that_are_named_exist(page: Path):
    missing = [name for name in files_in(text_of(page)) if not list(ROOT.glob(name.rstrip("/")))]

    assert missing == []


# -- commands of people ----------------------------------------------------------------------------


@pytest.fixture
async def tree() -> dict[str, set[str]]:
    """Every command as people see it, with its options; an optional one is in brackets."""
    client = CourierClient()
    unused: Any = Mock()
    client.use(unused, unused, unused)
    found: dict[str, set[str]] = {}
    for command in client.tree.walk_commands():
        if isinstance(command, discord.app_commands.Command):
            found[f"/{command.qualified_name}"] = {
                f"{option.display_name}:" if option.required else f"[{option.display_name}:]"
                for option in command.parameters
            }
    for menu in client.tree.get_commands(type=discord.AppCommandType.message):
        found[menu.name] = set()
    return found


async def test_readme_lists_every_command_with_its_options(tree: dict[str, set[str]]):
    """In both directions."""
    listed = {}
    for name, _ in rows_of(section(text_of(README), "Commands")):
        words = name.strip("`*").split() if name.startswith("`") else [name.strip("*")]
        options = {word for word in words if word.endswith((":", ":]"))}
        listed[" ".join(word for word in words if word not in options)] = options

    assert {name: listed[name] for name in listed if name in tree} == tree
    assert set(listed) == set(tree)


@each_page
async def test_commands_that_a_page_names_exist(page: Path, tree: dict[str, set[str]]):
    named = set(re.findall(r"/veo [a-z-]+", code_in(text_of(page))))

    assert named <= set(tree)


def test_readme_invites_with_all_rights_that_the_bot_needs():
    """The same link as `check` prints, with the application's id left open."""
    assert f"`{invite_link(1234).replace('1234', 'YOUR_ID')}`" in text_of(README)


# -- commands of operators -------------------------------------------------------------------------


def commands_of_the_program() -> set[str]:
    [commands] = [action for action in cli._parser()._actions if action.dest == "command"]
    return {str(name) for name in commands.choices or ()}


@each_page
def test_commands_of_the_program_that_a_page_names_exist(page: Path):
    """`python -m bot doctor`, and what follows --role."""
    words = re.findall(r"-m bot ([a-z]+)", text_of(page))
    roles = re.findall(r"--role ([a-z|]+)", code_in(text_of(page)))

    assert set(words) <= commands_of_the_program()
    assert {role for each in roles for role in each.split("|")} <= set(Role)


def test_operating_lists_every_command_of_the_program():
    listed = section(text_of(OPERATING), "Commands")

    assert set(re.findall(r"-m bot ([a-z]+)", listed)) == commands_of_the_program()
    assert set(re.findall(r"`--role ([a-z]+)`", text_of(OPERATING))) == set(Role)


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+|\.venv/\w+):", makefile, re.MULTILINE))


@each_page
def test_make_targets_that_a_page_names_exist(page: Path):
    named = re.findall(r"^\W*make (\.?[a-z][a-z/]*)", code_in(text_of(page)), re.MULTILINE)

    assert set(named) <= make_targets()


def test_contributing_lists_every_make_target():
    listed = re.findall(r"^\| .*`make ([a-z]+)` \|", text_of(ROOT / "CONTRIBUTING.md"), re.MULTILINE)

    assert set(listed) == {target for target in make_targets() if not target.startswith(".")}


# -- settings --------------------------------------------------------------------------------------


def listed_settings() -> dict[str, str]:
    rows = [row for row in rows_of(text_of(SETTINGS)) if re.fullmatch(r"`[A-Z_]+`", row[0])]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0].strip("`"): row[1].strip("`") for row in rows}


def test_settings_page_lists_every_setting():
    """In both directions."""
    assert set(listed_settings()) == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(("name", "default"), listed_settings().items())
def test_default_on_the_settings_page_is_the_default(
    name: str, default: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Writing it changes nothing; "none" stands for a setting that may be left out."""
    monkeypatch.chdir(tmp_path)
    for each in Settings.model_fields:
        monkeypatch.delenv(each.upper(), raising=False)
    field = Settings.model_fields[name.lower()]
    if default == "required":
        assert field.is_required()
        return
    given: dict[str, Any] = {"discord_token": "MTE.x.y", "veo_api_key": "key"}
    attribute = "database" if name == "DATABASE_URL" else name.lower()
    value = getattr(read_settings(**given), attribute)
    if default == "none":
        assert value in (None, ())
    else:
        assert getattr(read_settings(**given, **{name.lower(): default}), attribute) == value


@each_page
def test_settings_that_a_page_names_exist(page: Path):
    """As a whole code span, or with a value."""
    others = {"SHUTDOWN", "STORY", "PYTHON"}
    named = re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", prose_of(text_of(page)))

    assert set(named) - others <= {name.upper() for name in Settings.model_fields}


# -- exit codes, metrics, sentences -----------------------------------------------------------------


def exit_codes() -> set[int]:
    return {cli.OK, cli.BUG, *(error.exit_code for error in CannotStart.__subclasses__())}


def test_operating_lists_every_exit_code():
    codes = [int(row[0]) for row in rows_of(section(text_of(OPERATING), "Exit codes"))]

    assert len(codes) == len(set(codes))
    assert set(codes) == exit_codes()


@each_page
def test_exit_codes_that_a_page_names_exist(page: Path):
    """`ends with 69`, `exit code 2`, `the start with 2`; 1 is what doctor says."""
    pattern = r"\b(?:(?:ends|end|leaves|it|process|start) with|[Ee]xit code|code) (\d+)\b(?!\.\d)"
    named = {int(code) for code in re.findall(pattern, prose_of(text_of(page)))}

    assert named <= {*exit_codes(), 1, 40333}


@pytest.mark.parametrize(
    ("label", "values"),
    [
        (r"`answer`", AnswerKind),
        (r"`outcome` of a command", CommandOutcome),
        (r"`outcome` of an attempt", AttemptOutcome),
        (r"`limiter`", WaitReason),
    ],
)
def test_operating_lists_every_value_of_a_label(label: str, values: Any):
    """The names of the metrics themselves are held against a running bot in test_ops.py."""
    [listed] = re.findall(
        rf"^- \*\*{label}\*\*: (.+?)(?=^- |^$)", text_of(OPERATING), re.MULTILINE | re.DOTALL
    )

    assert set(re.findall(r"`([a-z_]+)`", listed)) == {str(value) for value in values}


def sentences_in_the_code() -> str:
    """Every text of the bot, one after the other; what a formatted text leaves open is cut out."""
    nodes = (
        node
        for path in sorted((ROOT / "bot").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    return "\n".join(
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def quotations(text: str) -> set[str]:
    """What is quoted of the bot: block quotes, words in straight quotes, and the table of last lines."""
    prose = prose_of(text).replace("`", "")
    lines = [row[0] for row in rows_of(section(prose, "The bot ends with code 69"))]
    pieces = {piece.strip() for line in lines for piece in line.split("…")}
    return {*re.findall(r"^> (.+)$", prose, re.MULTILINE), *re.findall(r'"([^"\n]+)"', prose), *pieces - {""}}


def test_what_the_troubleshooting_page_quotes_is_what_the_bot_says():
    """People search for the words that they see."""
    said = sentences_in_the_code()
    quoted = quotations(text_of(TROUBLESHOOTING))

    assert len(quoted) >= 20
    assert {each for each in quoted - OF_DISCORD if each not in said} == set()


def test_newest_version_of_the_changelog_is_this_one():
    """What is not released yet may stand above it."""
    headings = re.findall(r"^## (.+)$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]

    assert released[0].split(" - ")[0] == VERSION
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in released)
    dates = [heading.split(" - ")[1] for heading in released]
    assert dates == sorted(dates, reverse=True)
