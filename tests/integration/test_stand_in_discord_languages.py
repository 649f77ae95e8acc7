"""Languages: translated commands, and the locales of people and servers in every interaction."""

from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.app_commands import locale_str
from discord.http import Route

from tests.integration.test_stand_in_discord import Asked, Client, ClientEnv, open_env

CHINESE = {
    "Videos": "视频",
    "Track Veo tasks": "追踪 Veo 任务",
    "Post a video here when it is ready": "视频完成后发到这里",
    "The id of the task": "任务编号",
    "slow": "慢",
}


class Translator(app_commands.Translator):
    async def translate(self, string: locale_str, locale: discord.Locale, _: Any) -> str | None:
        return CHINESE.get(string.message) if locale is discord.Locale.chinese else None


class BilingualClient(Client):
    def __init__(self) -> None:
        super().__init__()
        self.tree.clear_commands(guild=None)
        self.tree.add_command(_group())
        menu = app_commands.ContextMenu(name=locale_str("Track Veo tasks"), callback=_track_message)
        self.tree.add_command(menu)

    async def setup_hook(self) -> None:
        await self.tree.set_translator(Translator())
        await super().setup_hook()


def _group() -> app_commands.Group:
    group = app_commands.Group(name="veo", description=locale_str("Videos"))

    @group.command(description=locale_str("Post a video here when it is ready"))
    @app_commands.describe(id=locale_str("The id of the task"))
    @app_commands.choices(pace=[app_commands.Choice(name=locale_str("slow"), value="slow")])
    async def track(asked: Asked, id: str, pace: str = "slow") -> None:  # noqa: A002
        await asked.response.send_message(f"{asked.locale} {asked.guild_locale} {id} {pace}")

    return group


async def _track_message(asked: Asked, message: discord.Message) -> None:
    await asked.response.send_message(f"{asked.locale}: {message.content}")


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


async def said(reply: Any) -> str:
    assert reply.message is not None
    return str(reply.message.text)


async def test_an_interaction_tells_both_locales(env: ClientEnv) -> None:
    await env.client(BilingualClient())
    assert await said(await env.alice.slash(env.channel, "veo track", id="x")) == "en-US en-US x slow"

    env.alice.locale, env.guild.preferred_locale = "zh-CN", "de"

    assert await said(await env.alice.slash(env.channel, "veo track", id="x")) == "zh-CN de x slow"
    assert await said(await env.bob.slash(env.channel, "veo track", id="x")) == "en-US de x slow"


async def test_a_direct_message_has_no_servers_locale(env: ClientEnv) -> None:
    await env.client(BilingualClient())
    carol = env.discord.add_person("carol", locale="zh-CN")

    assert await said(await carol.slash(carol.direct_channel, "veo track", id="x")) == "zh-CN None x slow"


async def test_a_server_with_a_language_is_a_community(env: ClientEnv) -> None:
    client = await env.client(BilingualClient())
    before = client.guilds[0]
    assert (str(before.preferred_locale), before.features) == ("en-US", [])

    env.guild.preferred_locale = "zh-CN"
    await client.has_seen("tier 0")

    for guild in (client.guilds[0], await client.fetch_guild(env.guild.id, with_counts=False)):
        assert (str(guild.preferred_locale), guild.features) == ("zh-CN", ["COMMUNITY"])


async def test_a_person_sees_commands_in_their_language(env: ClientEnv) -> None:
    await env.client(BilingualClient())
    env.alice.locale = "zh-CN"

    veo, menu = env.discord.commands_seen_by(env.alice)
    [track] = veo["options"]
    task_id, pace = track["options"]
    assert (veo["name_localized"], veo["description_localized"]) == ("veo", "视频")
    assert track["description_localized"] == "视频完成后发到这里"
    assert (task_id["name_localized"], task_id["description_localized"]) == ("id", "任务编号")
    assert pace["choices"][0]["name_localized"] == "慢"
    assert (menu["name"], menu["name_localized"]) == ("Track Veo tasks", "追踪 Veo 任务")
    assert env.discord.commands_seen_by(env.bob)[0]["description_localized"] == "Videos"


async def test_a_translated_menu_entry_is_chosen_by_either_name(env: ClientEnv) -> None:
    await env.client(BilingualClient())
    post, env.alice.locale = env.bob.say(env.channel, "vgen_1"), "zh-CN"

    assert await said(await env.alice.message_command(post, "追踪 Veo 任务")) == "zh-CN: vgen_1"
    assert await said(await env.alice.message_command(post, "Track Veo tasks")) == "zh-CN: vgen_1"
    with pytest.raises(ValueError, match="no command"):
        await env.bob.message_command(post, "追踪 Veo 任务")


async def test_the_list_has_all_translations_only_when_asked(env: ClientEnv) -> None:
    client = await env.client(BilingualClient())
    path = f"/applications/{env.discord.bot.id}/commands"

    [veo, menu] = await client.http.request(Route("GET", path))
    whole = await client.http.request(Route("GET", path), params={"with_localizations": "true"})

    assert not [name for name in (*veo, *menu) if name.endswith("_localizations")]
    assert "description_localized" not in veo
    assert whole[0]["description_localizations"] == {"zh-CN": "视频"}
    assert whole[0]["name_localizations"] is None
    assert whole[0]["options"][0]["options"][0]["description_localizations"] == {"zh-CN": "任务编号"}
    assert whole[1]["name_localizations"] == {"zh-CN": "追踪 Veo 任务"}
    env.discord.bot.locale = "zh-CN"
    [veo, menu] = await client.http.request(Route("GET", path))
    assert (veo["description_localized"], menu["name_localized"]) == ("视频", "追踪 Veo 任务")


async def test_english_of_both_kinds_stands_in_for_the_other(env: ClientEnv) -> None:
    colour = {"name": "color", "description": "Color", "name_localizations": {"en-GB": "colour"}}
    env.discord.overwrite_commands(None, [colour])

    assert env.discord.commands_seen_by(env.alice)[0]["name_localized"] == "colour"


def command(**fields: Any) -> dict[str, Any]:
    return {"name": "veo", "description": "Videos", "type": 1, **fields}


def option(name: str = "id", **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "An id", "type": 3, **fields}


LONG_CHOICES = [{"name": str(n), "value": "x" * 400} for n in range(25)]


@pytest.mark.parametrize(
    ("broken", "path", "code"),
    [
        (command(name_localizations={"zh": "视频"}), "0.name_localizations.zh", "BASE_TYPE_CHOICES"),
        (
            command(description_localizations={"zh-CN": "x" * 101}),
            "0.description_localizations.zh-CN",
            "BASE_TYPE_BAD_LENGTH",
        ),
        (command(description=""), "0.description", "BASE_TYPE_BAD_LENGTH"),
        (command(name="Veo"), "0.name", "APPLICATION_COMMAND_INVALID_NAME"),
        (
            command(name_localizations={"zh-CN": "视 频"}),
            "0.name_localizations.zh-CN",
            "APPLICATION_COMMAND_INVALID_NAME",
        ),
        (
            {"name": "Track", "type": 3, "name_localizations": {"zh-CN": "追" * 33}},
            "0.name_localizations.zh-CN",
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            {"name": "Track", "type": 3, "description": "x"},
            "0.description",
            "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION",
        ),
        (
            command(options=[option(description_localizations={"xx": "x"})]),
            "0.options.0.description_localizations.xx",
            "BASE_TYPE_CHOICES",
        ),
        (
            command(
                options=[option(choices=[{"name": "a", "value": "a", "name_localizations": {"ja": ""}}])]
            ),
            "0.options.0.choices.0.name_localizations.ja",
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            command(options=[option(), option("note", name_localizations={"fr": "id"})]),
            "0.options.1.name_localizations.fr",
            "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS",
        ),
        (command(options=[option(choices=LONG_CHOICES)]), "0", "APPLICATION_COMMAND_TOO_LARGE"),
    ],
)
async def test_broken_commands_are_refused(
    env: ClientEnv, broken: dict[str, Any], path: str, code: str
) -> None:
    client = await env.client(BilingualClient())
    before = env.discord.commands
    route = Route("PUT", f"/applications/{env.discord.bot.id}/commands")

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route, json=[broken])

    assert (refused.value.status, refused.value.code) == (400, 50035)
    assert f"In {path}: " in str(refused.value)
    [surprise] = [each for each in env.discord.surprises if "would refuse" in each]
    assert f"'code': '{code}'" in surprise
    assert env.discord.commands == before
    env.discord.surprises.clear()


async def test_two_commands_need_two_names(env: ClientEnv) -> None:
    client = await env.client(BilingualClient())
    route = Route("PUT", f"/applications/{env.discord.bot.id}/commands")

    with pytest.raises(discord.HTTPException, match="must be unique"):
        await client.http.request(route, json=[command(), command()])

    assert "'1': {'_errors'" in env.discord.surprises.pop()
