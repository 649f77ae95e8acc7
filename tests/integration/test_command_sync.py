"""Registration of commands: compared with what Discord has, healed, and never in the way of results."""

import asyncio
from typing import Any

import pytest

from bot.chat import command_sync
from sandbox.discord.commands import Scope
from sandbox.faults import Fault
from tests.integration.conftest import InProcessEnv
from tests.timing import eventually

ID = "vgen_abc123def456"
PUT_GLOBAL = "PUT /applications/*/commands"
OURS = ["Track Veo tasks", "veo"]


def names(env: InProcessEnv, scope: Scope = None) -> list[str]:
    return sorted(command["name"] for command in env.discord.commands_of(scope))


async def registered(env: InProcessEnv, scope: Scope = None) -> None:
    await env.discord.until(lambda: names(env, scope) == OURS)


async def emptied(env: InProcessEnv, scope: Scope) -> None:
    await env.discord.until(lambda: names(env, scope) == [])


async def compared(env: InProcessEnv) -> None:
    """Until the bot has asked for the commands once more than it had."""
    asked = len(env.discord.requests("GET", "/applications/*/commands"))
    async with env.bot():
        await env.discord.until(lambda: len(env.discord.requests("GET", "/applications/*/commands")) > asked)
        await env.track(ID)


async def test_what_is_there_is_not_written_again(env: InProcessEnv):
    """Discord allows 200 new commands a day."""
    await compared(env)
    await compared(env)

    assert [scope for scope, _ in env.discord.registrations] == [None]


@pytest.mark.parametrize(
    "spoil",
    [
        [],
        [{"name": "other", "type": 1, "description": "of another program"}],
        [{"name": "veo", "type": 1, "description": "of an older version"}],
    ],
    ids=["emptied", "of another program", "of an older version"],
)
async def test_overwritten_commands_are_healed_at_the_start(env: InProcessEnv, spoil: list[dict[str, Any]]):
    """Somebody with the same token, or an older version that ran meanwhile."""
    async with env.bot():
        await registered(env)
    env.discord.overwrite_commands(None, spoil)
    async with env.bot():
        await registered(env)
        card = await env.track(ID)

    assert ID in card.content
    assert [len(commands) for _, commands in env.discord.registrations] == [2, 2]


async def test_one_changed_description_is_healed(env: InProcessEnv):
    """Every written field counts, at any depth; what Discord adds does not."""
    async with env.bot():
        await registered(env)
    [group] = [command for command in env.discord.commands_of(None) if command["name"] == "veo"]
    group["options"][0]["options"][0]["description"] = "something else"
    async with env.bot():
        await env.discord.until(lambda: len(env.discord.registrations) == 2)

    assert "something else" not in str(env.discord.commands_of(None))


def descriptions(env: InProcessEnv) -> Any:
    """The translations of the group's description."""
    [group] = [command for command in env.discord.commands_of(None) if command["name"] == "veo"]
    return group["description_localizations"]


async def test_localisation_that_is_missing_is_healed(env: InProcessEnv):
    """Discord leaves localisations out unless it is asked for them."""
    async with env.bot():
        await registered(env)
    before = dict(descriptions(env))
    descriptions(env).clear()
    async with env.bot():
        await env.discord.until(lambda: len(env.discord.registrations) == 2)

    assert list(before) == ["zh-CN"]
    assert descriptions(env) == before
    [asked, *_] = env.discord.requests("GET", "/applications/*/commands")
    assert asked.query["with_localizations"] in {"1", "true"}


async def test_localisations_that_are_there_are_not_written_again(env: InProcessEnv):
    """Discord gives them back with fields that nobody wrote."""
    await compared(env)
    before = descriptions(env)
    await compared(env)

    assert before == descriptions(env) != {}
    assert len(env.discord.registrations) == 1


async def test_scope_that_is_wanted_no_longer_is_emptied(env: InProcessEnv):
    """A server for development, then all servers, then the server again: each command is there once."""
    for guild_id in (env.guild.id, None, env.guild.id):
        async with env.bot(discord_guild_id=guild_id):
            await registered(env, guild_id)
            await emptied(env, None if guild_id else env.guild.id)

    assert sorted(command["name"] for command in env.discord.commands) == OURS


async def test_foreign_scope_is_left_alone(env: InProcessEnv):
    """What another program wrote in a server is none of our business."""
    foreign = [{"name": "other", "type": 1, "description": "of another program"}]
    env.discord.overwrite_commands(env.guild.id, foreign)
    async with env.bot():
        await registered(env)

    assert names(env, env.guild.id) == ["other"]


async def test_server_that_was_left_is_forgotten(env: InProcessEnv):
    """Its commands went with the bot; nothing is tried again and again."""
    async with env.bot(discord_guild_id=env.guild.id):
        await registered(env, env.guild.id)
    other = env.discord.add_guild("Another")
    other.join(env.alice)
    await env.guild.remove_bot()
    async with env.bot():
        await registered(env)
    asked = len(env.discord.requests("GET", f"/applications/*/guilds/{env.guild.id}/commands"))
    async with env.bot():
        await registered(env)

    assert len(env.discord.requests("GET", f"/applications/*/guilds/{env.guild.id}/commands")) == asked


@pytest.mark.parametrize(
    "refusal",
    [
        Fault(PUT_GLOBAL, status=400, body={"code": 30034, "message": "too many creates"}, times=2),
        Fault(PUT_GLOBAL, status=503, body="", times=2),
        Fault(PUT_GLOBAL, status=429, body={"message": "", "retry_after": 600.0, "global": False}, times=2),
        Fault(PUT_GLOBAL, status=404, body="<html>", times=2),
        Fault("GET /applications/*/commands", status=200, body="<html>", times=2),
        Fault("GET /applications/*/commands", status=200, body={"code": 5}, times=2),
        Fault(PUT_GLOBAL, cut="before", times=2),
    ],
    ids=["30034", "503", "429 for ten minutes", "html", "a page for a list", "no list", "cut"],
)
async def test_refused_registration_stops_nothing(
    env: InProcessEnv, refusal: Fault, monkeypatch: pytest.MonkeyPatch
):
    """Results that were asked for before arrive; the commands are there once Discord takes them."""
    await compared(env)
    env.api.create(ID).fail("no")
    env.discord.overwrite_commands(None, [])
    env.discord.faults.add(refusal)
    again = asyncio.Event()

    async def wait(stop: asyncio.Event, timeout: float) -> None:
        waiting = asyncio.create_task(again.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        stopping.cancel()

    monkeypatch.setattr(command_sync, "wait_for_any", wait)
    async with env.bot_without_gateway() as running:
        await env.results()
        assert names(env) == []
        again.set()
        await registered(env)
        assert not running.done()


async def test_server_without_the_bot_is_named(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    """DISCORD_GUILD_ID of a server that the bot is not in."""
    foreign = env.discord.add_guild("Foreign", bot_member=False)
    foreign.app_installed = False
    async with env.bot_without_gateway(discord_guild_id=foreign.id):
        await eventually(lambda: "is the bot in the server of DISCORD_GUILD_ID?" in caplog.text)

    assert env.discord.registrations == []
