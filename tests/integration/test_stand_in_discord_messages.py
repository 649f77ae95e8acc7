"""Messages over REST: uploads, nonces, sizes, rights, limits, and who is pinged."""

import io
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import Route, handle_message_parameters

from sandbox.discord import Channel
from tests import boxes
from tests.integration.test_stand_in_discord import Client, ClientEnv, open_env


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


@pytest.fixture
async def client(env: ClientEnv) -> Client:
    return await env.client()


def upload(content: bytes, name: str = "veo_1.mp4") -> discord.File:
    return discord.File(io.BytesIO(content), name)


async def send(client: Client, channel: Channel, content: str = "hi", **more: Any) -> discord.Message:
    return await client.get_partial_messageable(channel.id).send(content, **more)


async def refusal(client: Client, channel: Channel, **more: Any) -> tuple[int, int]:
    with pytest.raises(discord.HTTPException) as refused:
        await send(client, channel, **more)
    return refused.value.status, refused.value.code


async def test_an_upload_is_served_back_byte_for_byte(env: ClientEnv, client: Client) -> None:
    content = bytes(range(256)) * 5000

    sent = await send(client, env.channel, file=upload(content))

    [file] = env.channel.messages[0].attachments
    assert (file.filename, file.content, file.size) == ("veo_1.mp4", content, len(content))
    assert sent.attachments[0].content_type == "video/mp4"
    assert await sent.attachments[0].read() == content


async def test_a_files_description_is_kept_and_can_be_edited(env: ClientEnv, client: Client) -> None:
    file = discord.File(io.BytesIO(b"film"), "veo_1.mp4", description="a cat in the rain")

    sent = await send(client, env.channel, file=file)

    [kept] = env.channel.messages[0].attachments
    assert sent.attachments[0].description == kept.description == "a cat in the rain"
    path = f"/channels/{env.channel.id}/messages/{sent.id}"
    described = {"attachments": [{"id": str(kept.id), "description": "a dog"}]}
    edited = await client.http.request(Route("PATCH", path), json=described)
    assert edited["attachments"][0]["description"] == "a dog"


async def test_too_long_a_description_is_refused(env: ClientEnv, client: Client) -> None:
    described = discord.File(io.BytesIO(b"film"), "veo_1.mp4", description="x" * 1025)

    assert await refusal(client, env.channel, file=described) == (400, 50035)

    refused = [each for each in env.discord.surprises if "would refuse" in each]
    assert "'attachments': {'0': {'description'" in refused[0]
    env.discord.surprises.clear()


@pytest.mark.parametrize("version", [0, 1])
async def test_a_video_has_size_and_duration(env: ClientEnv, client: Client, version: int) -> None:
    sizes = struct.pack(">II", 1280 << 16, 720 << 16)
    picture = boxes.box(b"trak", boxes.full_box(b"tkhd", bytes(72), sizes))
    sound = boxes.box(b"trak", boxes.tkhd(2))
    moov = boxes.box(b"moov", boxes.mvhd(1000, 8500, version=version), sound, picture)

    sent = await send(client, env.channel, file=upload(boxes.FTYP + moov))

    [video] = sent.attachments
    assert (video.width, video.height, video.duration) == (1280, 720, 8.5)


@pytest.mark.parametrize("broken", [b"film", boxes.FTYP, boxes.FTYP + boxes.box(b"moov", b"\x00\x00")])
async def test_a_broken_video_has_no_size(env: ClientEnv, client: Client, broken: bytes) -> None:
    sent = await send(client, env.channel, file=upload(broken))

    assert (sent.attachments[0].width, sent.attachments[0].duration) == (None, None)


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-2", 206, b"89"),
        ("bytes=10-", 416, b""),
    ],
)
async def test_attachments_are_served_by_range(
    env: ClientEnv, client: Client, asked: str, status: int, expected: bytes
) -> None:
    sent = await send(client, env.channel, file=upload(b"0123456789"))

    async with (
        aiohttp.ClientSession() as session,
        session.get(sent.attachments[0].url, headers={"Range": asked}) as answer,
    ):
        assert (answer.status, await answer.read()) == (status, expected)


async def test_the_recorded_request_has_payload_and_file(env: ClientEnv, client: Client) -> None:
    await send(client, env.channel, "look", file=upload(b"film"), nonce="delivery-1")

    [request] = env.discord.requests("POST", "/channels/*/messages")
    assert request.body["content"] == "look"
    assert request.body["nonce"] == "delivery-1"
    assert [(file.filename, file.content) for file in request.files] == [("veo_1.mp4", b"film")]
    assert env.channel.messages[0].nonce == "delivery-1"


async def test_a_nonce_gives_the_same_message_back(env: ClientEnv, client: Client) -> None:
    first = await send(client, env.channel, nonce="delivery-1")
    again = await send(client, env.channel, nonce="delivery-1")

    assert again.id == first.id
    assert len(env.channel.messages) == 1


async def test_a_nonce_counts_for_the_author_not_the_channel(env: ClientEnv, client: Client) -> None:
    first = await send(client, env.channel, nonce="delivery-1")
    other = env.guild.add_channel("other")

    elsewhere = await send(client, other, nonce="delivery-1")

    # Only the id tells that nothing was posted in the other channel.
    assert elsewhere.id == first.id
    assert other.messages == []


async def test_a_nonce_survives_the_client(env: ClientEnv, client: Client) -> None:
    first = await send(client, env.channel, nonce="delivery-1")
    await client.close()

    again = await send(await env.client(), env.channel, nonce="delivery-1")

    assert again.id == first.id


async def test_a_nonce_is_forgotten_after_its_window(env: ClientEnv, client: Client) -> None:
    await send(client, env.channel, nonce="delivery-1")
    env.discord.forget_nonces()
    await send(client, env.channel, nonce="delivery-1")
    env.discord.nonce_window = 0
    await send(client, env.channel, nonce="delivery-1")

    assert len(env.channel.messages) == 3


async def test_the_nonce_of_a_deleted_message_is_unknown(env: ClientEnv, client: Client) -> None:
    sent = await send(client, env.channel, nonce="delivery-1")
    await sent.delete()

    assert await refusal(client, env.channel, nonce="delivery-1") == (404, 10008)
    assert env.channel.messages == []


@pytest.mark.parametrize(("tier", "mebibytes"), [(0, 20), (1, 20), (2, 50), (3, 100)])
async def test_upload_limit_follows_the_premium_tier(env: ClientEnv, tier: int, mebibytes: int) -> None:
    boosted = env.discord.add_guild("Boosted", premium_tier=tier)

    assert env.discord.upload_limit(boosted) == mebibytes * 1024 * 1024


async def test_too_large_a_file_is_refused_in_json(env: ClientEnv, client: Client) -> None:
    env.guild.upload_limit = 10

    assert await refusal(client, env.channel, file=upload(b"eleven bytes")) == (413, 40005)
    assert env.channel.messages == []


async def test_too_large_a_request_is_refused_in_html(env: ClientEnv, client: Client) -> None:
    env.discord.edge_limit = 100

    with pytest.raises(discord.HTTPException) as refused:
        await send(client, env.channel, file=upload(b"x" * 1000))

    assert (refused.value.status, refused.value.code) == (413, 0)
    assert "<html>" in refused.value.text


@pytest.mark.parametrize(
    ("denied", "kind", "expected"),
    [
        ("view_channel", "text", (403, 50001)),
        ("send_messages", "text", (403, 50013)),
        ("attach_files", "text", (403, 50013)),
        ("connect", "voice", (403, 50001)),
        ("add_reactions", "forum", (400, 50008)),
    ],
)
async def test_rights_are_checked_as_discord_does(
    env: ClientEnv, client: Client, denied: str, kind: str, expected: tuple[int, int]
) -> None:
    channel = env.guild.add_channel("other", kind=kind)  # type: ignore[arg-type]
    channel.deny(env.discord.bot, denied)

    assert await refusal(client, channel, file=upload(b"film")) == expected

    if kind != "forum":
        channel.allow(env.discord.bot, denied)
        await send(client, channel, file=upload(b"film"))
        assert len(channel.messages) == 1


async def test_sending_in_a_thread_needs_another_right(env: ClientEnv, client: Client) -> None:
    thread = env.channel.add_thread("clips")
    env.channel.deny(env.discord.bot, "send_messages")
    await send(client, thread)

    env.channel.deny(env.discord.bot, "send_messages_in_threads")

    assert await refusal(client, thread) == (403, 50013)


async def test_sending_unarchives_a_thread_unless_it_is_locked(env: ClientEnv, client: Client) -> None:
    thread = env.channel.add_thread("clips")
    thread.archived = True
    await send(client, thread)
    assert not thread.archived

    thread.archived = thread.locked = True

    assert await refusal(client, thread) == (400, 50083)


async def test_a_removed_bot_and_a_deleted_channel_are_refused(env: ClientEnv, client: Client) -> None:
    await env.guild.remove_bot()
    assert await refusal(client, env.channel) == (403, 50001)

    await env.channel.delete()
    assert await refusal(client, env.channel) == (404, 10003)


async def test_history_has_pages_and_needs_a_right(env: ClientEnv, client: Client) -> None:
    posts = [env.alice.say(env.channel, str(number)) for number in range(5)]
    channel = client.get_partial_messageable(env.channel.id)

    async def texts(**page: Any) -> list[str]:
        return [message.content async for message in channel.history(**page)]

    assert await texts(limit=2) == ["4", "3"]
    assert await texts(limit=2, before=discord.Object(posts[2].id)) == ["1", "0"]
    assert await texts(limit=2, after=discord.Object(posts[2].id)) == ["3", "4"]
    assert await texts(limit=3, around=discord.Object(posts[2].id)) == ["3", "2", "1"]
    env.channel.deny(env.discord.bot, "read_message_history")
    assert await texts(limit=2) == []


async def test_foreign_messages_cannot_be_edited_or_deleted(env: ClientEnv, client: Client) -> None:
    post = env.alice.say(env.channel, "mine")
    foreign = client.get_partial_messageable(env.channel.id).get_partial_message(post.id)

    with pytest.raises(discord.Forbidden) as edited:
        await foreign.edit(content="yours")
    with pytest.raises(discord.Forbidden) as deleted:
        await foreign.delete()

    assert (edited.value.code, deleted.value.code) == (50005, 50013)


async def test_an_edit_keeps_the_earlier_text_and_pings_nobody(env: ClientEnv, client: Client) -> None:
    sent = await send(client, env.channel, "one", file=upload(b"film"))

    await sent.edit(content=f"two <@{env.alice.id}>")

    [message] = env.channel.messages
    assert (message.edits, message.mentions) == (["one"], set())
    assert message.edited_at is not None
    assert len(message.attachments) == 1


async def test_the_answer_to_a_command_is_edited_through_the_channel(env: ClientEnv, client: Client) -> None:
    reply = await env.alice.slash(env.channel, "veo track", id="vgen_1")
    assert reply.message is not None
    channel = client.get_partial_messageable(env.channel.id)

    await channel.get_partial_message(reply.message.id).edit(content="finished", view=None)

    assert (reply.message.content, reply.message.buttons) == ("finished", [])


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, {"alice", "bob"}),
        (discord.AllowedMentions.none(), set()),
        (discord.AllowedMentions(everyone=False, users=False, roles=False), set()),
        (discord.AllowedMentions(everyone=True, users=False, roles=False), {"alice", "bob"}),
    ],
)
async def test_everyone_is_pinged_only_when_allowed(
    env: ClientEnv, client: Client, allowed: discord.AllowedMentions | None, expected: set[str]
) -> None:
    await send(client, env.channel, "@everyone look", allowed_mentions=allowed)

    assert names(env, env.channel.messages[0].mentions) == expected


async def test_only_listed_users_are_pinged(env: ClientEnv, client: Client) -> None:
    only_alice = discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(env.alice.id)])
    text = f"<@{env.alice.id}> <@{env.bob.id}>"

    sent = await send(client, env.channel, text, allowed_mentions=only_alice)

    assert names(env, env.channel.messages[0].mentions) == {"alice"}
    assert {user.name for user in sent.mentions} == {"alice", "bob"}


async def test_a_reply_pings_its_author_when_asked_to(env: ClientEnv, client: Client) -> None:
    post = env.alice.say(env.channel, "vgen_1")
    reference = discord.MessageReference(message_id=post.id, channel_id=env.channel.id)

    await send(client, env.channel, reference=reference, mention_author=True)
    await send(client, env.channel, reference=reference, mention_author=False)

    loud, quiet = env.channel.messages[1:]
    assert (loud.reference, names(env, loud.mentions)) == (post.id, {"alice"})
    assert quiet.mentions == set()


def names(env: ClientEnv, ids: set[int]) -> set[str]:
    return {env.discord.world.users[each].name for each in ids}


async def test_a_direct_message_arrives_unless_the_person_refuses_it(env: ClientEnv, client: Client) -> None:
    alice = await client.fetch_channel(env.alice.direct_channel.id)
    assert isinstance(alice, discord.DMChannel)

    await alice.send("psst")
    env.alice.accepts_direct_messages = False

    assert [message.content for message in env.alice.direct_channel.messages] == ["psst"]
    with pytest.raises(discord.Forbidden) as refused:
        await alice.send("psst")
    assert refused.value.code == 50007


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        ({"content": "x" * 2001}, 50035, "content"),
        ({"content": "x", "nonce": "x" * 26}, 50035, "nonce"),
        ({"content": "  "}, 50006, None),
        ({"embeds": [{"description": "x" * 4097}]}, 50035, "embeds"),
        ({"embeds": [{"description": "x" * 4000}, {"description": "x" * 4000}]}, 50035, "embeds"),
        ({"components": [{"type": 1, "components": []}]}, 50035, "components"),
        ({"content": "x", "attachments": [{"id": 3, "filename": "a.mp4"}]}, 50035, "attachments"),
    ],
)
async def test_what_discord_refuses_is_refused_and_a_surprise(
    env: ClientEnv, client: Client, payload: dict[str, object], code: int, field: str | None
) -> None:
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=env.channel.id)

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route, json=payload)

    assert (refused.value.status, refused.value.code) == (400, code)
    [request] = env.discord.requests("POST", "/channels/*/messages")
    assert request.status == 400
    surprises = [each for each in env.discord.surprises if "would refuse" in each]
    assert len(surprises) == 1
    assert field is None or f"'{field}'" in surprises[0]
    env.discord.surprises.clear()


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ([{"custom_id": "a", "label": "A"}, {"custom_id": "a", "label": "B"}], "DUPLICATED"),
        ([{"custom_id": "a" * 101, "label": "A"}], "BAD_LENGTH"),
        ([{"custom_id": "a", "label": "A" * 81}], "MAX_LENGTH"),
        ([{"style": 5, "url": "https://example.org/" + "a" * 500, "label": "A"}], "MAX_LENGTH"),
        ([{"custom_id": str(n), "label": "A"} for n in range(6)], "BAD_LENGTH"),
    ],
)
async def test_broken_buttons_are_refused(
    env: ClientEnv, client: Client, broken: list[dict[str, object]], rule: str
) -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 2, **each} for each in broken]}
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=env.channel.id)

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route, json={"content": "x", "components": [row]})

    assert refused.value.code == 50035
    assert rule in " ".join(env.discord.surprises)
    env.discord.surprises.clear()


async def test_a_mention_in_a_text_display_pings(env: ClientEnv, client: Client) -> None:
    view = discord.ui.LayoutView()
    view.add_item(discord.ui.Container(discord.ui.TextDisplay(f"<@{env.alice.id}> done")))

    with handle_message_parameters(view=view, nonce="delivery-1") as parameters:
        await client.http.send_message(env.channel.id, params=parameters)

    [message] = env.channel.messages
    assert message.text == f"<@{env.alice.id}> done"
    assert names(env, message.mentions) == {"alice"}
