"""The commands as they are registered with Discord."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import aiohttp
import discord
import pytest
from jsonschema_rs import Draft202012, Draft202012Validator, Registry

from bot.chat.client import CourierClient
from bot.chat.command_translator import CommandTranslator
from bot.chat.commands import VeoCommands, message_command
from bot.chat.texts import replies
from bot.core.tracking import RedeliverResult
from bot.storage.store import Store
from bot.work.tracking import Tracking
from bot.work.video_cache import VideoCache
from tests.factories import CHANNEL, GUILD, OWNER, TASK, look_up
from tests.timing import FakeClock

# Discord's own OpenAPI description lies beside the checkout on some machines; it is not ours to ship.
OPENAPI = Path(__file__).parents[2] / "../shared/reference/discord_openapi.json"
SUBCOMMAND, STRING = 1, 3
GROUP, MESSAGE = 1, 3

Json = dict[str, Any]


@pytest.fixture
async def commands() -> list[Json]:
    """The payload of a registration, built without a network and without calling anything."""
    client = CourierClient()
    unused: Any = Mock()
    client.use(unused, unused, unused)
    translator = CommandTranslator()
    return [
        await command.get_translated_payload(client.tree, translator)
        for command in client.tree.get_commands()
    ]


@pytest.fixture
async def veo(commands: list[Json]) -> Json:
    return next(command for command in commands if command["name"] == "veo")


def option(veo: Json, command: str, name: str) -> Json:
    found = next(each for each in veo["options"] if each["name"] == command)
    return next(each for each in found["options"] if each["name"] == name)


def walk(node: Json) -> Iterator[Json]:
    yield node
    for inner in node.get("options", []):
        yield from walk(inner)


async def test_commands_are_the_veo_group_and_the_message_command(commands: list[Json]):
    """Nothing else, and no name twice."""
    assert [(each["name"], each.get("type")) for each in commands] == [
        ("veo", GROUP),
        ("Track Veo tasks", MESSAGE),
    ]


async def test_veo_group_has_exactly_its_commands(veo: Json):
    """The contract's names, in the order in which people need them."""
    names = [each["name"] for each in veo["options"]]
    assert names == ["track", "status", "list", "untrack", "redeliver", "forget-me", "help"]
    assert {each["type"] for each in veo["options"]} == {SUBCOMMAND}


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("track", [("id", True), ("note", False)]),
        ("status", [("id", True)]),
        ("list", []),
        ("untrack", [("id", True)]),
        ("redeliver", [("id", True)]),
    ],
)
async def test_options_of_a_command_are_named_and_required_by_contract(
    veo: Json, command: str, names: list[tuple[str, bool]]
):
    """Text options called `id` and `note`."""
    found = next(each for each in veo["options"] if each["name"] == command)

    assert [(each["name"], each["required"]) for each in found["options"]] == names
    assert all(each["type"] == STRING for each in found["options"])


@pytest.mark.parametrize(
    ("command", "suggests"), [("track", False), ("status", True), ("untrack", True), ("redeliver", True)]
)
async def test_id_option_suggests_where_ids_are_known(veo: Json, command: str, suggests: bool):
    """A new id cannot be suggested."""
    assert option(veo, command, "id").get("autocomplete", False) == suggests


async def test_options_take_as_much_as_the_texts_expect(veo: Json):
    """A pasted JSON reply fits `id`, and a note is at most 200."""
    assert option(veo, "track", "id")["max_length"] == 6000
    assert option(veo, "track", "note")["max_length"] == 200
    assert option(veo, "status", "id")["max_length"] == 1000


async def test_commands_exist_in_servers_only(commands: list[Json]):
    """Guild installs, guild contexts: elsewhere the bot could not post the result."""
    assert [each["contexts"] for each in commands] == [[0], [0]]
    assert [each["integration_types"] for each in commands] == [[0], [0]]


async def test_every_description_is_within_discords_bounds(veo: Json):
    """1 to 100 characters on the group, each command and each option."""
    described = [each["description"] for each in walk(veo)]

    assert len(described) == 1 + 7 + 5
    assert all(1 <= len(text) <= 100 for text in described)


async def test_every_description_is_translated(commands: list[Json]):
    """Into each other language; the names of slash commands and options stay, that of the menu does not."""
    veo, menu = commands
    for each in walk(veo):
        assert each["description_localizations"].keys() == {"zh-CN"}
        assert 1 <= len(each["description_localizations"]["zh-CN"]) <= 100
        assert not each.get("name_localizations")
    assert menu["name_localizations"] == {"zh-CN": "跟踪 Veo 任务"}


async def test_names_of_options_and_commands_are_unique_and_well_formed(veo: Json):
    """Lower case, at most 32, and no two alike beside each other."""
    for each in walk(veo):
        names = [inner["name"] for inner in each.get("options", [])]
        assert len(set(names)) == len(names)
        assert each["name"] == each["name"].lower()
        assert len(each["name"]) <= 32


async def test_commands_together_are_far_below_discords_size(commands: list[Json]):
    """8,000 characters of names, descriptions and values per command; ours fit even as JSON."""
    assert all(len(json.dumps(each)) < 8000 for each in commands)


@pytest.mark.skipif(not OPENAPI.exists(), reason="Discord's OpenAPI description is not beside the checkout")
async def test_commands_satisfy_discords_own_description(commands: list[Json]):
    """Bulk overwrite takes a list of ApplicationCommandUpdateRequest."""
    document = json.loads(OPENAPI.read_text(encoding="utf-8"))
    registry = Registry([("urn:d", document)], draft=Draft202012)
    schema = {"$ref": "urn:d#/components/schemas/ApplicationCommandUpdateRequest"}
    validator = Draft202012Validator(schema, registry=registry)

    assert [error.message for each in commands for error in validator.iter_errors(each)] == []
    assert list(validator.iter_errors({"name": "x" * 33})) != []


# -- what may be a secret -----------------------------------------------------------------------------

SECRET = "sk-live-abcdef1234567890"


@dataclass
class ScriptedResponse:
    """Takes one answer, as discord.py's does, and remembers what was said to whom."""

    private: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)
    deferred: list[bool] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def is_done(self) -> bool:
        return bool(self.private or self.public or self.deferred)

    async def defer(self, *, ephemeral: bool = False, thinking: bool = False) -> None:
        if self.errors:
            raise self.errors.pop()
        self.deferred.append(ephemeral)

    async def send(self, *, ephemeral: bool = False, **message: Any) -> None:
        """A follow-up."""
        assert self.is_done()
        self._take(message, ephemeral=ephemeral)

    async def send_message(self, *, ephemeral: bool = False, **message: Any) -> SimpleNamespace:
        self._take(message, ephemeral=ephemeral)
        return SimpleNamespace(message_id=900)

    def _take(self, message: Json, *, ephemeral: bool) -> None:
        """The content, or all that is drawn."""
        text = message.get("content") or json.dumps(message["view"].to_components(), ensure_ascii=False)
        (self.private if ephemeral else self.public).append(text)


def interaction() -> Any:
    """Somebody who may do everything, in a channel where the bot may."""
    response = ScriptedResponse()
    return SimpleNamespace(
        guild_id=GUILD,
        channel_id=CHANNEL,
        channel=SimpleNamespace(type=discord.ChannelType.text),
        user=SimpleNamespace(id=OWNER),
        client=SimpleNamespace(get_guild=lambda guild_id: guild_id),
        app_permissions=discord.Permissions.all(),
        permissions=discord.Permissions.all(),
        locale=discord.Locale.american_english,
        guild_locale=discord.Locale.american_english,
        response=response,
        followup=response,
    )


@pytest.fixture
def tracking(store: Store, clock: FakeClock) -> Tracking:
    videos: Any = Mock(spec=VideoCache)
    unused: Any = Mock()
    return Tracking(store=store, videos=videos, fresh_links=unused, clock=clock, on_work=lambda: None)


@pytest.fixture
def group(tracking: Tracking) -> VeoCommands:
    unused: Any = Mock()
    return VeoCommands(tracking, unused)


async def run(group: VeoCommands, name: str, **options: str) -> ScriptedResponse:
    """What was said after `/veo <name>` with `options`."""
    command: Any = group.get_command(name)
    asked = interaction()
    await command.callback(group, asked, **options)
    said: ScriptedResponse = asked.response
    return said


async def stored_text(store: Store) -> str:
    """Everything that the database holds about this channel."""
    overview = await store.lookups.overview(CHANNEL)
    return repr(overview)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"curl -H 'Authorization: Bearer {SECRET}' https://api.example/",
        SECRET,
        f"id1 {SECRET}",
        f"VEO_API_KEY={SECRET}",
        "--help me",
    ],
)
async def test_track_refuses_what_may_hold_a_secret_without_repeating_it(
    group: VeoCommands, store: Store, text: str
):
    """Privately; nothing of it is stored or asked about."""
    said = await run(group, "track", ids_text=text)

    assert (said.private, said.public) == ([replies.NOT_A_LIST_OF_IDS], [])
    assert await store.tasks.next_due() is None


async def test_track_takes_the_id_out_of_a_whole_curl_command(group: VeoCommands, store: Store):
    """The rest of it is neither shown nor stored."""
    text = f"curl -H 'Authorization: Bearer {SECRET}' https://api.example/v1/result/{TASK} --compressed"
    said = await run(group, "track", ids_text=text)

    (card,) = said.public
    assert f"`{TASK}`" in card
    assert said.private == []
    overview = await store.lookups.overview(CHANNEL)
    assert [existing.task.id for existing in overview.live] == [TASK]
    assert SECRET not in f"{card}{await stored_text(store)}"


async def test_track_masks_a_credential_in_a_note(group: VeoCommands, store: Store):
    """Notes are shown in the channel; the rest of this one stays."""
    said = await run(group, "track", ids_text=TASK, note=f"cat, key {SECRET}")

    assert (await look_up(store)).delivery.note == "cat, key ********"
    assert SECRET not in "".join(said.public)


@pytest.mark.parametrize("name", ["status", "untrack", "redeliver"])
async def test_command_about_one_id_never_repeats_a_secret(group: VeoCommands, name: str):
    """Somebody pasted the wrong thing; it is in no answer, though that is private."""
    said = await run(group, name, id_text=SECRET)

    (answer,) = said.private
    assert SECRET not in answer
    assert said.public == []


@pytest.mark.parametrize("error", [None, aiohttp.ClientConnectionError()], ids=["deferred", "not deferred"])
async def test_redeliver_defers_before_the_api_is_asked_for_a_fresh_link(
    group: VeoCommands, tracking: Tracking, monkeypatch: pytest.MonkeyPatch, error: Exception | None
):
    """Discord waits for three seconds, the API may take thirty; a lost defer stops nothing."""
    before: list[tuple[bool, ...]] = []

    async def redeliver(*_: object) -> tuple[RedeliverResult, None]:
        before.append((*said.deferred, *map(bool, said.private)))
        return RedeliverResult.PLANNED, None

    monkeypatch.setattr(tracking, "redeliver", redeliver)
    asked = interaction()
    said: ScriptedResponse = asked.response
    said.errors += [error] if error else []
    command: Any = group.get_command("redeliver")
    await command.callback(group, asked, id_text=TASK)

    assert before == [() if error else (True,)]
    (answer,) = said.private
    assert TASK in answer
    assert said.public == []


async def test_message_command_takes_no_secret_for_an_id(tracking: Tracking, store: Store):
    """A message with a key and an id: the id."""
    unused: Any = Mock()
    text = f"key={SECRET} Bearer {SECRET} and {TASK}"
    message: Any = SimpleNamespace(content=text, embeds=[], components=[], message_snapshots=[])
    asked = interaction()
    callback: Any = message_command(tracking, unused).callback
    await callback(asked, message)

    overview = await store.lookups.overview(CHANNEL)
    assert [existing.task.id for existing in overview.live] == [TASK]
    assert SECRET not in f"{asked.response.public}{asked.response.private}"
