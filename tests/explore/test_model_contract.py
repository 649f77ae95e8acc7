"""The explorer's model of Discord and the stand-in answer alike, so that they cannot drift apart."""

import io
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

import discord
import pytest
from discord.http import Route, handle_message_parameters

from tests.explore.discord_model import (
    ALL,
    APPEARS_AFTER,
    ATTACH,
    HISTORY,
    NONCE_WINDOW,
    SEND,
    VIEW,
    Content,
    Discord,
    Refused,
)
from tests.integration.test_stand_in_discord import Client, ClientEnv, open_env

if TYPE_CHECKING:
    from sandbox.discord import Channel as StandInChannel

PLACE, OTHER, PERSON = 1, 2, 3
_NAMES = {
    VIEW: "view_channel",
    SEND: "send_messages",
    ATTACH: "attach_files",
    HISTORY: "read_message_history",
}


class Side(Protocol):
    """One of the two. Numbers name the places: PLACE and OTHER are channels, PERSON a direct channel."""

    async def send(self, place: int, *, nonce: str | None = None, size: int | None = None) -> int: ...
    async def page(self, place: int, before: int | None = None) -> list[int]: ...
    async def edit(self, place: int, message_id: int) -> None: ...
    def say(self, place: int, count: int) -> None: ...
    def delete(self, message_id: int) -> None: ...
    def rights(self, place: int, rights: int) -> None: ...
    def limit(self, size: int) -> None: ...
    def archive(self, *, locked: bool) -> None: ...
    def is_archived(self) -> bool: ...
    def takes_no_direct(self) -> None: ...
    async def remove(self, place: int) -> None: ...
    def forget_nonces(self) -> None: ...
    def appear_late(self) -> None: ...
    def appear(self) -> None: ...


class Model:
    """PLACE is also the thread that is archived."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000
        self.discord = Discord(lambda: self.now)
        self._late = False

    async def send(self, place: int, *, nonce: str | None = None, size: int | None = None) -> int:
        message = self.discord.create(place, Content("other", nonce, size=size))
        if not self._late:
            message.at -= APPEARS_AFTER
        return message.id

    async def page(self, place: int, before: int | None = None) -> list[int]:
        return [found["id"] for found in self.discord.page(place, before)]

    async def edit(self, place: int, message_id: int) -> None:
        self.discord.edit(place, message_id, None)  # type: ignore[arg-type]

    def say(self, place: int, count: int) -> None:
        self.discord.say(place, count)
        self.now += APPEARS_AFTER

    def delete(self, message_id: int) -> None:
        next(m for m in self.discord.messages("other") if m.id == message_id).is_deleted = True

    def rights(self, place: int, rights: int) -> None:
        self.discord.channel(place).rights = rights

    def limit(self, size: int) -> None:
        self.discord.channel(PLACE).limit = size

    def archive(self, *, locked: bool) -> None:
        thread = self.discord.channel(PLACE)
        thread.is_archived, thread.is_locked = True, locked

    def is_archived(self) -> bool:
        return self.discord.channel(PLACE).is_archived

    def takes_no_direct(self) -> None:
        self.discord.channel(PERSON).takes_direct = False

    async def remove(self, place: int) -> None:
        self.discord.channel(place).is_gone = True

    def forget_nonces(self) -> None:
        self.now += NONCE_WINDOW

    def appear_late(self) -> None:
        self._late = True

    def appear(self) -> None:
        self.now += APPEARS_AFTER


class StandIn:
    """Over discord.py and HTTP."""

    def __init__(self, env: ClientEnv, client: Client) -> None:
        self.env, self.http = env, client.http
        self.places: dict[int, StandInChannel] = {
            PLACE: env.channel.add_thread("takes"),
            OTHER: env.guild.add_channel("other"),
        }

    async def _channel_id(self, place: int) -> int:
        if place != PERSON:
            return self.places[place].id
        opened: Any = await self.http.start_private_message(self.env.alice.id)
        return int(opened["id"])

    async def send(self, place: int, *, nonce: str | None = None, size: int | None = None) -> int:
        file = discord.utils.MISSING if size is None else discord.File(io.BytesIO(bytes(size)), "a.mp4")
        with handle_message_parameters(content="x", file=file, nonce=nonce) as parameters:
            channel_id = await self._channel_id(place)
            sent: Any = await _answered(self.http.send_message(channel_id, params=parameters))
        return int(sent["id"])

    async def page(self, place: int, before: int | None = None) -> list[int]:
        channel_id = await self._channel_id(place)
        found: Any = await _answered(self.http.logs_from(channel_id, 100, before=before))
        return [int(message["id"]) for message in found]

    async def edit(self, place: int, message_id: int) -> None:
        route = Route(
            "PATCH",
            "/channels/{channel_id}/messages/{message_id}",
            channel_id=await self._channel_id(place),
            message_id=message_id,
        )
        await _answered(self.http.request(route, json={"content": "y"}))

    def say(self, place: int, count: int) -> None:
        for _ in range(count):
            self.env.alice.say(self.places[place], "hello")

    def delete(self, message_id: int) -> None:
        world = self.env.channel.world
        world.delete_message(world.messages[message_id])

    def rights(self, place: int, rights: int) -> None:
        bot = self.env.discord.bot
        for right, name in _NAMES.items():
            change = self.places[place].allow if rights & right else self.places[place].deny
            change(bot, name)
            if name == "send_messages":
                change(bot, "send_messages_in_threads")

    def limit(self, size: int) -> None:
        self.env.guild.upload_limit = size

    def archive(self, *, locked: bool) -> None:
        self.places[PLACE].locked = locked
        self.places[PLACE].archived = True

    def is_archived(self) -> bool:
        return self.places[PLACE].archived

    def takes_no_direct(self) -> None:
        self.env.alice.accepts_direct_messages = False

    async def remove(self, place: int) -> None:
        await self.places[place].delete()

    def forget_nonces(self) -> None:
        self.env.discord.forget_nonces()

    def appear_late(self) -> None:
        self.env.discord.history_lag = math.inf

    def appear(self) -> None:
        self.env.discord.release_history()


async def _answered(call: Any) -> Any:
    try:
        return await call
    except discord.HTTPException as error:
        raise Refused(error.status, error.code) from error


@pytest.fixture(params=["model", "stand-in"])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    if request.param == "model":
        yield Model()
        return
    async with open_env() as env:
        yield StandIn(env, await env.client())


async def refusal(call: Any) -> tuple[int, int]:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.status, refused.value.code


async def test_same_nonce_gives_the_first_message(side: Side) -> None:
    first = await side.send(PLACE, nonce="v1")

    assert await side.send(PLACE, nonce="v1") == first
    assert await side.send(OTHER, nonce="v1") == first
    assert await side.send(PLACE, nonce="v2") != first


async def test_forgotten_nonce_makes_another_message(side: Side) -> None:
    first = await side.send(PLACE, nonce="v1")
    side.forget_nonces()

    assert await side.send(PLACE, nonce="v1") != first


async def test_nonce_of_a_deleted_message_is_refused(side: Side) -> None:
    side.delete(await side.send(PLACE, nonce="v1"))

    assert await refusal(side.send(PLACE, nonce="v1")) == (404, 10008)


async def test_page_is_newest_first_and_has_a_hundred(side: Side) -> None:
    first = await side.send(PLACE)
    side.say(PLACE, 100)
    page = await side.page(PLACE)

    assert page == sorted(page, reverse=True)
    assert len(page) == 100
    assert await side.page(PLACE, before=page[-1]) == [first]


async def test_message_appears_in_the_history_later(side: Side) -> None:
    side.appear_late()
    message = await side.send(PLACE)

    assert await side.page(PLACE) == []
    side.appear()
    assert await side.page(PLACE) == [message]


async def test_deleted_message_is_in_no_history(side: Side) -> None:
    side.delete(await side.send(PLACE))

    assert await side.page(PLACE) == []


async def test_hidden_history_is_empty(side: Side) -> None:
    await side.send(OTHER)
    side.rights(OTHER, ALL & ~HISTORY)

    assert await side.page(OTHER) == []


@pytest.mark.parametrize(
    ("missing", "size", "expected"),
    [(VIEW, None, (403, 50001)), (SEND, None, (403, 50013)), (ATTACH, 10, (403, 50013))],
)
async def test_missing_right_is_named(
    side: Side, missing: int, size: int | None, expected: tuple[int, int]
) -> None:
    side.rights(OTHER, ALL & ~missing)

    assert await refusal(side.send(OTHER, size=size)) == expected


async def test_text_needs_no_right_to_attach(side: Side) -> None:
    side.rights(OTHER, ALL & ~ATTACH)

    message = await side.send(OTHER)

    assert await side.page(OTHER) == [message]


async def test_file_above_the_limit_is_refused(side: Side) -> None:
    side.limit(1_000)

    assert await refusal(side.send(PLACE, size=1_001)) == (413, 40005)
    await side.send(PLACE, size=1_000)


async def test_archived_thread_opens_unless_it_is_locked(side: Side) -> None:
    message = await side.send(PLACE)
    side.archive(locked=True)
    assert await refusal(side.send(PLACE)) == (400, 50083)
    assert await refusal(side.edit(PLACE, message)) == (400, 50083)

    side.archive(locked=False)
    await side.send(PLACE)
    assert not side.is_archived()


async def test_removed_channel_is_unknown(side: Side) -> None:
    await side.remove(OTHER)

    assert await refusal(side.send(OTHER)) == (404, 10003)
    assert await refusal(side.page(OTHER)) == (404, 10003)


async def test_person_who_takes_no_direct_messages(side: Side) -> None:
    message = await side.send(PERSON)
    assert await side.page(PERSON) == [message]

    side.takes_no_direct()
    assert await refusal(side.send(PERSON)) == (403, 50007)


async def test_deleted_message_cannot_be_edited(side: Side) -> None:
    message = await side.send(PLACE)
    await side.edit(PLACE, message)
    side.delete(message)

    assert await refusal(side.edit(PLACE, message)) == (404, 10008)
