"""Faults that replace an answer: any status with any body, on every kind of request about a message."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import Route

from sandbox.discord import StandInDiscord
from sandbox.faults import Fault
from tests.integration.test_stand_in_discord import Client, ClientEnv, open_env

POST = "POST /channels/*/messages"

BODIES: list[tuple[Any, str]] = [
    ({"message": "on demand", "code": 50013}, "application/json"),
    ({"message": "on demand", "code": 0}, "application/json"),
    ("<html><title>on demand</title></html>", "text/html"),
    ("", "text/html"),
]


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


@pytest.fixture
async def client(env: ClientEnv) -> Client:
    return await env.client()


def session(discord_: StandInDiscord) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"Bot {discord_.token}"})


def form() -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("payload_json", json.dumps({"content": "look"}))
    form.add_field("files[0]", b"film", filename="veo_1.mp4")
    return form


@pytest.mark.parametrize("what", ["upload", "text", "edit", "direct message"])
async def test_any_status_and_body_answers_any_request(env: ClientEnv, what: str) -> None:
    card = env.alice.say(env.channel, "card")
    place = env.alice.direct_channel if what == "direct message" else env.channel
    path = f"/channels/{place.id}/messages" + (f"/{card.id}" if what == "edit" else "")
    method = "PATCH" if what == "edit" else "POST"

    async with session(env.discord) as http:
        for status in range(400, 600):
            for body, kind in BODIES:
                env.discord.faults.add(Fault(f"{method} {path}", status=status, body=body))
                sent: dict[str, Any] = {"data": form()} if what == "upload" else {"json": {"content": "look"}}
                async with http.request(method, env.discord.api_url + path, **sent) as answer:
                    assert (answer.status, answer.headers["Content-Type"]) == (status, kind)
                    text = await answer.text()
                    assert text == (body if isinstance(body, str) else json.dumps(body))
    assert place.messages == ([] if place is env.alice.direct_channel else [card])
    assert card.edits == []


async def test_headers_of_a_fault_replace_the_usual_ones(env: ClientEnv) -> None:
    headers = {"Content-Type": "text/plain", "Via": None, "Retry-After": "7", "CF-RAY": "1"}
    env.discord.faults.add(Fault(POST, status=429, body="slow down", headers=headers))

    async with (
        session(env.discord) as http,
        http.post(f"{env.discord.api_url}/channels/{env.channel.id}/messages", json={}) as answer,
    ):
        assert "Via" not in answer.headers
        assert answer.headers["Content-Type"] == "text/plain"
        assert (answer.headers["Retry-After"], answer.headers["CF-RAY"]) == ("7", "1")


@pytest.mark.parametrize("status", [500, 502, 504, 408])
async def test_message_is_made_although_the_answer_is_an_error(
    env: ClientEnv, client: Client, status: int
) -> None:
    env.discord.faults.add(Fault(POST, status=status, body="<html>", done=True))

    async with (
        session(env.discord) as http,
        http.post(
            f"{env.discord.api_url}/channels/{env.channel.id}/messages", json={"content": "look"}
        ) as answer,
    ):
        assert answer.status == status

    assert [message.content for message in env.channel.messages] == ["look"]


async def test_message_that_was_made_is_found_by_its_nonce(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, status=503, body="", done=True))
    place = client.get_partial_messageable(env.channel.id)

    with pytest.raises(discord.DiscordServerError):
        await place.send("look", nonce="delivery-1")
    again = await place.send("look", nonce="delivery-1")

    assert [message.id for message in env.channel.messages] == [again.id]


async def test_edit_is_made_although_the_answer_is_an_error(env: ClientEnv, client: Client) -> None:
    sent = await client.get_partial_messageable(env.channel.id).send("card")
    env.discord.faults.add(Fault("PATCH /channels/*", status=503, body="", done=True))

    with pytest.raises(discord.DiscordServerError):
        await sent.edit(content="new")

    assert env.channel.messages[0].content == "new"


async def test_fault_of_uploads_leaves_texts_alone(env: ClientEnv, client: Client) -> None:
    refused = {"message": "Missing Permissions", "code": 50013}
    env.discord.faults.add(Fault(POST, status=403, body=refused, uploads=True, times=None))
    place = client.get_partial_messageable(env.channel.id)

    with pytest.raises(discord.Forbidden):
        await place.send(file=discord.File(__file__, "veo_1.mp4"))
    await place.send("a text")

    env.discord.faults.clear()
    env.discord.faults.add(Fault(POST, status=403, body=refused, uploads=False))
    await place.send(file=discord.File(__file__, "veo_1.mp4"))
    with pytest.raises(discord.Forbidden):
        await place.send("a text")


@pytest.mark.parametrize("body", [None, "<html><title>401</title></html>"])
async def test_token_can_be_refused_in_json_and_html(env: ClientEnv, client: Client, body: Any) -> None:
    before = len(env.discord.requests("GET", "/users/@me"))
    env.discord.faults.add(Fault("GET /users/@me", status=401, body=body))
    route = Route("GET", "/users/@me")

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(route)
    await client.http.request(route)

    assert (refused.value.status, refused.value.code) == (401, 0)
    assert [each.status for each in env.discord.requests("GET", "/users/@me")[before:]] == [401, 200]


async def test_429_says_how_long_to_wait(env: ClientEnv, client: Client) -> None:
    limited = {"message": "You are being rate limited.", "retry_after": 0.2, "global": False}
    env.discord.faults.add(Fault("GET /users/@me", status=429, body=limited))

    await client.http.request(Route("GET", "/users/@me"))

    first, second = env.discord.requests("GET", "/users/@me")[-2:]
    assert (first.status, second.status) == (429, 200)
    assert second.at - first.at >= 0.2


@pytest.mark.parametrize("body", [{"message": "slow down"}, "error code: 1015"])
async def test_429_without_via_can_lack_everything(env: ClientEnv, client: Client, body: Any) -> None:
    env.discord.faults.add(Fault("GET /users/@me", status=429, body=body, headers={"Via": None}))

    with pytest.raises(discord.HTTPException) as refused:
        await client.http.request(Route("GET", "/users/@me"))

    assert refused.value.status == 429
