"""The stand-in is honest: it complains about what Discord would not know, and keeps to its description."""

from collections.abc import AsyncIterator

import discord
import pytest
from discord.http import Route

from sandbox.discord import StandInDiscord
from tests.integration.test_stand_in_discord import Stage, open_stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage


@pytest.fixture
def described(stage: Stage) -> None:
    if not stage.discord.contract_checked:
        pytest.skip("Discord's OpenAPI description is not beside this repository")


async def test_an_unknown_route_is_a_surprise(stage: Stage) -> None:
    client = await stage.client()

    with pytest.raises(discord.NotFound):
        await client.fetch_sticker(1)

    assert stage.discord.surprises == ["unknown route: GET /stickers/1"]
    with pytest.raises(AssertionError, match="unknown route"):
        stage.discord.check()


@pytest.mark.usefixtures("described")
async def test_unknown_fields_and_wrong_types_are_surprises(stage: Stage) -> None:
    client = await stage.client()
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=stage.channel.id)

    await client.http.request(route, json={"content": "x", "colour": "red"})
    await client.http.request(route, json={"content": "x", "tts": "loud"})

    unknown, wrong = stage.discord.surprises
    assert "POST /channels/{channel_id}/messages was sent" in unknown
    assert "'colour' was unexpected" in unknown
    assert "$.tts" in wrong
    with pytest.raises(AssertionError, match="contract"):
        stage.discord.check()


@pytest.mark.usefixtures("described")
async def test_answers_keep_to_discords_description(stage: Stage) -> None:
    """Every route is asked once; a violation of the description would be a surprise."""
    stage.guild.add_channel("talk", kind="voice")
    stage.guild.add_channel("news", kind="news").add_thread("today")
    stage.guild.add_channel("ideas", kind="forum")
    client = await stage.client()

    await _walk_messages(stage, client)
    await _walk_interactions(stage)
    await _walk_places(stage, client)

    stage.discord.check()
    asked = {(request.method, request.path.split("/")[1]) for request in stage.discord.record}
    assert len(asked) >= 12


async def _walk_messages(stage: Stage, client: discord.Client) -> None:
    channel = client.get_partial_messageable(stage.channel.id)
    post = stage.alice.say(stage.channel, "hello")
    embed = discord.Embed(title="t", description="d", url="https://example.org")
    embed.add_field(name="a", value="b").set_footer(text="f")
    sent = await channel.send("x", embed=embed, reference=await channel.fetch_message(post.id))
    await sent.edit(content="y", embed=None)
    assert [message.content async for message in channel.history()] == ["y", "hello"]
    await sent.delete()


async def _walk_interactions(stage: Stage) -> None:
    tracked = await stage.alice.slash(stage.channel, "veo track", id="vgen_1")
    assert tracked.message is not None
    await stage.alice.press(tracked.message, "Notify me too")
    await stage.alice.slash(stage.channel, "veo slow", id="vgen_1")
    whispered = await stage.alice.slash(stage.channel, "veo whisper")
    await stage.discord.until(lambda: whispered.followups)
    await stage.alice.autocomplete(stage.channel, "veo status", focused="id", id="v")
    await stage.alice.message_command(tracked.message, "Track Veo tasks")


async def _walk_places(stage: Stage, client: discord.Client) -> None:
    for channel in stage.guild.channels:
        await client.fetch_channel(channel.id)
    guild = await client.fetch_guild(stage.guild.id, with_counts=False)
    assert len(await guild.fetch_channels()) == 4
    await client.application_info()
    direct = await client.create_dm(discord.Object(stage.alice.id))
    await direct.send("psst")
    await client.http.request(Route("GET", "/gateway"))
    await client.http.get_bot_gateway()
    with pytest.raises(discord.NotFound):
        await client.fetch_channel(1)


async def test_the_second_and_the_late_callback_are_refused(stage: Stage) -> None:
    client = await stage.client()
    reply = await stage.alice.slash(stage.channel, "veo slow", id="vgen_1")
    interaction = reply.interaction
    route = Route(
        "POST",
        "/interactions/{webhook_id}/{webhook_token}/callback",
        webhook_id=interaction.id,
        webhook_token=interaction.token,
    )

    with pytest.raises(discord.HTTPException) as second:
        await client.http.request(route, json={"type": 5})
    interaction.callback_type, interaction.failed = None, True
    with pytest.raises(discord.NotFound) as late:
        await client.http.request(route, json={"type": 5})

    assert (second.value.status, second.value.code) == (400, 40060)
    assert late.value.code == 10062


async def test_an_interactions_token_dies(stage: Stage) -> None:
    client = await stage.client()
    reply = await stage.alice.slash(stage.channel, "veo slow", id="vgen_1")
    stage.discord.interaction_lifetime = 0
    route = Route(
        "GET",
        "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
        webhook_id=stage.discord.bot.id,
        webhook_token=reply.interaction.token,
    )

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route)

    assert (refused.value.status, refused.value.code) == (401, 50027)


async def test_ids_are_real_snowflakes(stage: Stage) -> None:
    before = discord.utils.utcnow()
    ids = [stage.alice.say(stage.channel, "x").id for _ in range(100)]

    assert ids == sorted(set(ids))
    assert abs((discord.utils.snowflake_time(ids[0]) - before).total_seconds()) < 1
    assert stage.channel.messages[0].created_at == discord.utils.snowflake_time(ids[0])


async def test_listeners_hear_of_every_change() -> None:
    async with StandInDiscord() as stand_in:
        heard: list[str] = []
        stand_in.world.listeners.append(lambda change: heard.append(change.kind))
        guild = stand_in.add_guild("Studio")
        alice = stand_in.add_person("alice")
        guild.join(alice)
        alice.delete(alice.say(guild.add_channel("renders"), "hi"))

    assert heard == [
        "guild added",
        "user added",
        "member joined",
        "channel added",
        "message posted",
        "message deleted",
    ]
