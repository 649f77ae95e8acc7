"""Video hosts that misbehave, for tests of the real bot, and checks of what the bot posted."""

import socket
from collections.abc import Callable

import pytest
from aiohttp import ClientSession
from aiohttp.abc import ResolveResult

from bot import app
from bot.veo.download import open_download_session
from bot.veo.look_up import SystemResolver
from bot.veo.public_address import Networks, PublicResolver
from sandbox.discord import Channel, Message
from sandbox.video_api import CLIP
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"
VIDEO = "GET /videos/*"
# The type of getaddrinfo's result.
Found = list[tuple[object, ...]]


def results(channel: Channel) -> list[Message]:
    """Its result messages, recognised by their Delete button."""
    return [m for m in channel.messages if any(b.label == "Delete" for b in m.buttons)]


async def posted(env: InProcessEnv, channel: Channel | None = None) -> Message:
    """The only result message of a channel."""
    where = channel or env.channel
    await env.discord.until(lambda: results(where))
    [result] = results(where)
    return result


def is_the_clip(result: Message) -> bool:
    """Whether its one attachment is the clip, byte for byte."""
    return [file.content for file in result.attachments] == [CLIP.content]


def at_name(env: InProcessEnv, host: str) -> str:
    """The link to the stand-in's video, with a host name in the place of the address."""
    return f"{env.api.url}/videos/{ID}.mp4".replace("127.0.0.1", host)


def resolve_with(
    monkeypatch: pytest.MonkeyPatch, resolver: Callable[[bool, Networks], PublicResolver]
) -> None:
    """Make the bot resolve names with `resolver`. The arguments are what the settings allow."""

    def session(*, allow_loopback: bool, networks: Networks) -> ClientSession:
        return open_download_session(
            allow_loopback=allow_loopback,
            networks=networks,
            resolver=resolver(allow_loopback, networks),
        )

    monkeypatch.setattr(app, "open_download_session", session)


class FakeIp(PublicResolver):
    """A name server with fake-ip DNS, as some proxies have: every name resolves to 198.18.0.7."""

    def __init__(self, local: bool, networks: Networks) -> None:
        def getaddrinfo(host: str, port: int, **_: object) -> Found:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.18.0.7", port))]

        inner = SystemResolver(getaddrinfo=getaddrinfo)
        super().__init__(allow_loopback=local, networks=networks, inner=inner)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        return [ResolveResult(**(each | {"host": "127.0.0.1"})) for each in found]


def resolving_by(getaddrinfo: Callable[..., Found]) -> Callable[[bool, Networks], PublicResolver]:
    """The bot's own resolver on top of another system resolver."""

    def resolver(local: bool, networks: Networks) -> PublicResolver:
        inner = SystemResolver(getaddrinfo=getaddrinfo)
        return PublicResolver(allow_loopback=local, networks=networks, inner=inner)

    return resolver
