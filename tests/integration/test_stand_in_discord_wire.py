"""Trouble between the bot and Discord: faults, cuts, holds, rate limits, and the gateway's connections."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import discord
import pytest

from sandbox.discord import InteractionFailed
from sandbox.faults import Fault
from tests.integration.test_stand_in_discord import Client, ClientEnv, open_env

POST = "POST /channels/*/messages"


@pytest.fixture
async def env() -> AsyncIterator[ClientEnv]:
    async with open_env() as env:
        yield env
        env.discord.check()


@pytest.fixture
async def client(env: ClientEnv) -> Client:
    return await env.client()


async def send(env: ClientEnv, client: Client, nonce: str = "delivery-1") -> discord.Message:
    return await client.get_partial_messageable(env.channel.id).send("hi", nonce=nonce)


async def test_a_fault_replaces_one_answer(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, status=503))

    with pytest.raises(discord.DiscordServerError):
        await send(env, client)
    assert env.channel.messages == []

    await send(env, client)
    assert len(env.channel.messages) == 1
    assert [request.status for request in env.discord.requests("POST", "/channels/*")] == [503, 200]


async def test_a_429_makes_the_client_wait_and_try_again(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, status=429, times=2))

    await send(env, client)

    statuses = [request.status for request in env.discord.requests("POST", "/channels/*")]
    assert statuses == [429, 429, 200]


async def test_a_429_without_via_means_that_the_address_is_banned(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, status=429, headers={"via": None}))

    with pytest.raises(discord.HTTPException) as refused:
        await send(env, client)

    assert refused.value.status == 429
    assert len(env.discord.requests("POST", "/channels/*")) == 1


async def test_a_delay_alone_slows_the_ordinary_answer(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, delay=0.1))
    began = time.monotonic()

    await send(env, client)

    assert time.monotonic() - began >= 0.1


async def test_a_cut_before_accepting_changes_nothing(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, cut="before"))

    with pytest.raises(aiohttp.ClientError):
        await send(env, client)

    assert env.channel.messages == []
    assert env.discord.requests("POST", "/channels/*")[0].status is None


async def test_a_cut_after_accepting_leaves_one_message_for_a_nonce(env: ClientEnv, client: Client) -> None:
    env.discord.faults.add(Fault(POST, cut="after"))

    with pytest.raises(aiohttp.ClientError):
        await send(env, client)
    again = await send(env, client)

    assert [message.id for message in env.channel.messages] == [again.id]


async def test_a_held_request_has_done_nothing_yet(env: ClientEnv, client: Client) -> None:
    hold = env.discord.hold(POST)
    sending = asyncio.create_task(send(env, client))

    request = await hold.reached()
    assert request.body["nonce"] == "delivery-1"
    assert env.channel.messages == []
    hold.release()

    await sending
    assert len(env.channel.messages) == 1


async def test_a_hold_can_stop_after_accepting_and_drop_the_answer(env: ClientEnv, client: Client) -> None:
    hold = env.discord.hold(POST, point="accepted")
    sending = asyncio.create_task(send(env, client))

    await hold.reached()
    assert len(env.channel.messages) == 1
    assert not sending.done()
    hold.drop()

    with pytest.raises(aiohttp.ClientError):
        await sending
    await send(env, client)
    assert len(env.channel.messages) == 1


async def test_a_request_that_is_cut_in_its_body_changes_nothing(env: ClientEnv) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", env.discord.port)
    head = f"POST /api/v10/channels/{env.channel.id}/messages HTTP/1.1\r\nHost: stand-in\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n"
    writer.write(f"{head}{kind}Content-Disposition: form-data; name=payload_json\r\n\r\n{{".encode())
    await writer.drain()
    writer.transport.abort()
    await env.client()

    assert env.discord.requests("POST", "/channels/*") == []
    assert env.channel.messages == []


async def test_a_held_request_creates_its_message_although_the_client_is_gone(env: ClientEnv) -> None:
    hold = env.discord.hold(POST)
    session = aiohttp.ClientSession(headers={"Authorization": f"Bot {env.discord.token}"})
    address = f"{env.discord.api_url}/channels/{env.channel.id}/messages"
    sending = asyncio.create_task(session.post(address, json={"content": "last words"}))
    await hold.reached()

    sending.cancel()
    await session.close()
    hold.release()

    [message] = await env.discord.until(lambda: env.channel.messages)
    assert message.content == "last words"


async def test_a_rate_limit_is_announced_and_kept_by_the_client(env: ClientEnv, client: Client) -> None:
    env.discord.rate_limit(POST, limit=2, window=0.3)
    began = time.monotonic()

    for number in range(3):
        await send(env, client, nonce=f"delivery-{number}")

    assert time.monotonic() - began >= 0.25
    statuses = [request.status for request in env.discord.requests("POST", "/channels/*")]
    assert statuses == [200, 200, 200]


async def test_a_spent_rate_limit_answers_429(env: ClientEnv) -> None:
    env.discord.rate_limit("GET /users/@me", limit=1, window=60)
    headers = {"Authorization": f"Bot {env.discord.token}"}

    async with aiohttp.ClientSession(headers=headers) as session:
        await session.get(f"{env.discord.api_url}/users/@me")
        async with session.get(f"{env.discord.api_url}/users/@me") as answer:
            body = await answer.json()

    assert (answer.status, answer.headers["Via"]) == (429, "1.1 stand-in")
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert 0 < body["retry_after"] <= 60


async def test_the_client_resumes_after_a_forced_disconnect(env: ClientEnv, client: Client) -> None:
    await env.discord.disconnect_gateway(code=4000)
    other = env.guild.add_channel("made while the client was away")
    await env.discord.until(lambda: env.discord.resumes == 1)
    await client.has_seen("resumed")

    assert env.discord.identifies == 1
    assert client.get_channel(other.id) is not None
    assert (await env.alice.slash(env.channel, "veo slow", id="vgen_1")).message is not None


async def test_the_client_resumes_after_a_broken_connection(env: ClientEnv, client: Client) -> None:
    await env.discord.disconnect_gateway(code=1006)

    await env.discord.until(lambda: env.discord.resumes == 1)
    assert env.discord.identifies == 1


async def test_the_client_reconnects_when_asked_to(env: ClientEnv, client: Client) -> None:
    await env.discord.ask_reconnect()

    await env.discord.until(lambda: env.discord.resumes == 1)
    assert env.discord.identifies == 1


async def test_a_client_identifies_again_without_its_session(env: ClientEnv, client: Client) -> None:
    env.discord.forget_sessions()
    await env.discord.disconnect_gateway()

    await env.discord.until(lambda: env.discord.identifies == 2 and env.discord.connected)
    assert env.discord.resumes == 0


async def test_an_interaction_during_the_disconnect_fails(env: ClientEnv, client: Client) -> None:
    await env.discord.disconnect_gateway()

    with pytest.raises(InteractionFailed):
        await env.alice.slash(env.channel, "veo slow", id="vgen_1")


async def test_the_client_is_told_of_changed_guilds_and_channels(env: ClientEnv, client: Client) -> None:
    other = env.discord.add_guild("Other")
    await env.guild.outage()
    await env.guild.recover()
    thread = env.channel.add_thread("clips")
    await thread.delete()
    await env.channel.delete()
    await other.remove_bot()

    await client.has_seen(
        "join Other",
        "unavailable Studio",
        "available Studio",
        f"delete thread {thread.id}",
        "delete renders",
        "remove Other",
    )
    assert client.get_channel(env.channel.id) is None


async def test_premium_tier_reaches_the_client(env: ClientEnv, client: Client) -> None:
    env.guild.premium_tier = 3

    await client.has_seen("tier 3")
    guild = client.get_guild(env.guild.id)
    assert guild is not None
    assert guild.premium_tier == 3


async def test_until_lists_the_requests_when_it_times_out(env: ClientEnv, client: Client) -> None:
    with pytest.raises(TimeoutError, match=r"PUT /applications/\d+/commands -> 200"):
        await env.discord.until(lambda: env.channel.messages, within=0.01)
