"""Messages over REST: uploads, nonces, sizes, rights, limits, and who is pinged."""

import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import Route, handle_message_parameters

from sandbox.discord import Channel
from tests.integration.test_stand_in_discord import Client, Stage, open_stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage
        stage.discord.check()


@pytest.fixture
async def client(stage: Stage) -> Client:
    return await stage.client()


def upload(content: bytes, name: str = "veo_1.mp4") -> discord.File:
    return discord.File(io.BytesIO(content), name)


async def send(client: Client, channel: Channel, content: str = "hi", **more: Any) -> discord.Message:
    return await client.get_partial_messageable(channel.id).send(content, **more)


async def refusal(client: Client, channel: Channel, **more: Any) -> tuple[int, int]:
    with pytest.raises(discord.HTTPException) as refused:
        await send(client, channel, **more)
    return refused.value.status, refused.value.code


async def test_an_upload_is_served_back_byte_for_byte(stage: Stage, client: Client) -> None:
    content = bytes(range(256)) * 5000

    sent = await send(client, stage.channel, file=upload(content))

    [file] = stage.channel.messages[0].attachments
    assert (file.filename, file.content, file.size) == ("veo_1.mp4", content, len(content))
    assert sent.attachments[0].content_type == "video/mp4"
    assert await sent.attachments[0].read() == content


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
    stage: Stage, client: Client, asked: str, status: int, expected: bytes
) -> None:
    sent = await send(client, stage.channel, file=upload(b"0123456789"))

    async with (
        aiohttp.ClientSession() as session,
        session.get(sent.attachments[0].url, headers={"Range": asked}) as answer,
    ):
        assert (answer.status, await answer.read()) == (status, expected)


async def test_the_recorded_request_has_payload_and_file(stage: Stage, client: Client) -> None:
    await send(client, stage.channel, "look", file=upload(b"film"), nonce="delivery-1")

    [request] = stage.discord.requests("POST", "/channels/*/messages")
    assert request.body["content"] == "look"
    assert request.body["nonce"] == "delivery-1"
    assert [(file.filename, file.content) for file in request.files] == [("veo_1.mp4", b"film")]
    assert stage.channel.messages[0].nonce == "delivery-1"


async def test_a_nonce_gives_the_same_message_back(stage: Stage, client: Client) -> None:
    first = await send(client, stage.channel, nonce="delivery-1")
    again = await send(client, stage.channel, nonce="delivery-1")

    assert again.id == first.id
    assert len(stage.channel.messages) == 1


async def test_a_nonce_counts_for_the_author_not_the_channel(stage: Stage, client: Client) -> None:
    first = await send(client, stage.channel, nonce="delivery-1")
    other = stage.guild.add_channel("other")

    elsewhere = await send(client, other, nonce="delivery-1")

    # discord.py believes that it posted in the other channel; the id gives it away.
    assert elsewhere.id == first.id
    assert other.messages == []


async def test_a_nonce_survives_the_client(stage: Stage, client: Client) -> None:
    first = await send(client, stage.channel, nonce="delivery-1")
    await client.close()

    again = await send(await stage.client(), stage.channel, nonce="delivery-1")

    assert again.id == first.id


async def test_a_nonce_is_forgotten_after_its_window(stage: Stage, client: Client) -> None:
    await send(client, stage.channel, nonce="delivery-1")
    stage.discord.forget_nonces()
    await send(client, stage.channel, nonce="delivery-1")
    stage.discord.nonce_window = 0
    await send(client, stage.channel, nonce="delivery-1")

    assert len(stage.channel.messages) == 3


async def test_the_nonce_of_a_deleted_message_is_unknown(stage: Stage, client: Client) -> None:
    sent = await send(client, stage.channel, nonce="delivery-1")
    await sent.delete()

    assert await refusal(client, stage.channel, nonce="delivery-1") == (404, 10008)
    assert stage.channel.messages == []


@pytest.mark.parametrize(("tier", "mebibytes"), [(0, 20), (1, 20), (2, 50), (3, 100)])
async def test_upload_limit_follows_the_premium_tier(stage: Stage, tier: int, mebibytes: int) -> None:
    boosted = stage.discord.add_guild("Boosted", premium_tier=tier)

    assert stage.discord.upload_limit(boosted) == mebibytes * 1024 * 1024


async def test_too_large_a_file_is_refused_in_json(stage: Stage, client: Client) -> None:
    stage.guild.upload_limit = 10

    assert await refusal(client, stage.channel, file=upload(b"eleven bytes")) == (413, 40005)
    assert stage.channel.messages == []


async def test_too_large_a_request_is_refused_in_html(stage: Stage, client: Client) -> None:
    stage.discord.edge_limit = 100

    with pytest.raises(discord.HTTPException) as refused:
        await send(client, stage.channel, file=upload(b"x" * 1000))

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
    stage: Stage, client: Client, denied: str, kind: str, expected: tuple[int, int]
) -> None:
    channel = stage.guild.add_channel("other", kind=kind)  # type: ignore[arg-type]
    channel.deny(stage.discord.bot, denied)

    assert await refusal(client, channel, file=upload(b"film")) == expected

    if kind != "forum":
        channel.allow(stage.discord.bot, denied)
        await send(client, channel, file=upload(b"film"))
        assert len(channel.messages) == 1


async def test_threads_have_a_right_of_their_own(stage: Stage, client: Client) -> None:
    thread = stage.channel.add_thread("clips")
    stage.channel.deny(stage.discord.bot, "send_messages")
    await send(client, thread)

    stage.channel.deny(stage.discord.bot, "send_messages_in_threads")

    assert await refusal(client, thread) == (403, 50013)


async def test_an_archived_thread_wakes_up_unless_it_is_locked(stage: Stage, client: Client) -> None:
    thread = stage.channel.add_thread("clips")
    thread.archived = True
    await send(client, thread)
    assert not thread.archived

    thread.archived = thread.locked = True

    assert await refusal(client, thread) == (400, 50083)


async def test_outsiders_and_deleted_channels(stage: Stage, client: Client) -> None:
    await stage.guild.remove_bot()
    assert await refusal(client, stage.channel) == (403, 50001)

    await stage.channel.delete()
    assert await refusal(client, stage.channel) == (404, 10003)


async def test_history_pages_and_needs_its_right(stage: Stage, client: Client) -> None:
    posts = [stage.alice.say(stage.channel, str(number)) for number in range(5)]
    channel = client.get_partial_messageable(stage.channel.id)

    async def texts(**page: Any) -> list[str]:
        return [message.content async for message in channel.history(**page)]

    assert await texts(limit=2) == ["4", "3"]
    assert await texts(limit=2, before=discord.Object(posts[2].id)) == ["1", "0"]
    assert await texts(limit=2, after=discord.Object(posts[2].id)) == ["3", "4"]
    assert await texts(limit=3, around=discord.Object(posts[2].id)) == ["3", "2", "1"]
    stage.channel.deny(stage.discord.bot, "read_message_history")
    assert await texts(limit=2) == []


async def test_foreign_messages_cannot_be_edited_or_deleted(stage: Stage, client: Client) -> None:
    post = stage.alice.say(stage.channel, "mine")
    foreign = client.get_partial_messageable(stage.channel.id).get_partial_message(post.id)

    with pytest.raises(discord.Forbidden) as edited:
        await foreign.edit(content="yours")
    with pytest.raises(discord.Forbidden) as deleted:
        await foreign.delete()

    assert (edited.value.code, deleted.value.code) == (50005, 50013)


async def test_an_edit_keeps_the_earlier_text_and_pings_nobody(stage: Stage, client: Client) -> None:
    sent = await send(client, stage.channel, "one", file=upload(b"film"))

    await sent.edit(content=f"two <@{stage.alice.id}>")

    [message] = stage.channel.messages
    assert (message.edits, message.mentions) == (["one"], set())
    assert message.edited_at is not None
    assert len(message.attachments) == 1


async def test_the_answer_to_a_command_is_edited_through_the_channel(stage: Stage, client: Client) -> None:
    reply = await stage.alice.slash(stage.channel, "veo track", id="vgen_1")
    assert reply.message is not None
    channel = client.get_partial_messageable(stage.channel.id)

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
    stage: Stage, client: Client, allowed: discord.AllowedMentions | None, expected: set[str]
) -> None:
    await send(client, stage.channel, "@everyone look", allowed_mentions=allowed)

    assert names(stage, stage.channel.messages[0].mentions) == expected


async def test_only_listed_users_are_pinged(stage: Stage, client: Client) -> None:
    only_alice = discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(stage.alice.id)])
    text = f"<@{stage.alice.id}> <@{stage.bob.id}>"

    sent = await send(client, stage.channel, text, allowed_mentions=only_alice)

    assert names(stage, stage.channel.messages[0].mentions) == {"alice"}
    assert {user.name for user in sent.mentions} == {"alice", "bob"}


async def test_a_reply_pings_its_author_when_asked_to(stage: Stage, client: Client) -> None:
    post = stage.alice.say(stage.channel, "vgen_1")
    reference = discord.MessageReference(message_id=post.id, channel_id=stage.channel.id)

    await send(client, stage.channel, reference=reference, mention_author=True)
    await send(client, stage.channel, reference=reference, mention_author=False)

    loud, quiet = stage.channel.messages[1:]
    assert (loud.reference, names(stage, loud.mentions)) == (post.id, {"alice"})
    assert quiet.mentions == set()


def names(stage: Stage, ids: set[int]) -> set[str]:
    return {stage.discord.world.users[each].name for each in ids}


async def test_direct_messages_arrive_unless_closed(stage: Stage, client: Client) -> None:
    alice = await client.fetch_channel(stage.alice.direct_channel.id)
    assert isinstance(alice, discord.DMChannel)

    await alice.send("psst")
    stage.alice.accepts_direct_messages = False

    assert [message.content for message in stage.alice.direct_channel.messages] == ["psst"]
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
    stage: Stage, client: Client, payload: dict[str, object], code: int, field: str | None
) -> None:
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=stage.channel.id)

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route, json=payload)

    assert (refused.value.status, refused.value.code) == (400, code)
    [request] = stage.discord.requests("POST", "/channels/*/messages")
    assert request.status == 400
    surprises = [each for each in stage.discord.surprises if "would refuse" in each]
    assert len(surprises) == 1
    assert field is None or f"'{field}'" in surprises[0]
    stage.discord.surprises.clear()


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ([{"custom_id": "a", "label": "A"}, {"custom_id": "a", "label": "B"}], "DUPLICATED"),
        ([{"custom_id": "a" * 101, "label": "A"}], "MAX_LENGTH"),
        ([{"custom_id": "a", "label": "A" * 81}], "MAX_LENGTH"),
        ([{"style": 5, "url": "https://example.org/" + "a" * 500, "label": "A"}], "MAX_LENGTH"),
        ([{"custom_id": str(n), "label": "A"} for n in range(6)], "BAD_LENGTH"),
    ],
)
async def test_broken_buttons_are_refused(
    stage: Stage, client: Client, broken: list[dict[str, object]], rule: str
) -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 2, **each} for each in broken]}
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=stage.channel.id)

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route, json={"content": "x", "components": [row]})

    assert refused.value.code == 50035
    assert rule in " ".join(stage.discord.surprises)
    stage.discord.surprises.clear()


async def test_text_displays_are_content_too(stage: Stage, client: Client) -> None:
    view = discord.ui.LayoutView()
    view.add_item(discord.ui.Container(discord.ui.TextDisplay(f"<@{stage.alice.id}> done")))

    with handle_message_parameters(view=view, nonce="delivery-1") as parameters:
        await client.http.send_message(stage.channel.id, params=parameters)

    [message] = stage.channel.messages
    assert message.text == f"<@{stage.alice.id}> done"
    assert names(stage, message.mentions) == {"alice"}
