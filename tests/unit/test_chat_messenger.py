"""The messenger with discord.py's own client: one request for an upload, and what a nonce finds."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.chat.messenger import DiscordMessenger
from bot.chat.outbound import DISCORD_RATE
from bot.core.errors import DiscordUnavailable
from bot.core.rate_limit import RateLimiter
from bot.core.reactions import Reaction
from bot.core.results import ResultMessage, Video
from bot.core.tasks import DueDelivery, TaskState
from bot.metrics import Metrics
from tests.discord_client import discord_at
from tests.factories import CHANNEL, make_delivery, make_task
from tests.timing import FakeClock


class Channel:
    """Answers with these statuses in turn, and then takes every message."""

    def __init__(self, *statuses: int, channel_id: int = CHANNEL) -> None:
        self.statuses = [*statuses]
        self.channel_id = channel_id
        self.requests = 0

    async def __call__(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests += 1
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), headers={"Via": "1.1 google"})
        message = json.dumps({"id": "900", "channel_id": str(self.channel_id)})
        return web.Response(body=message.encode(), headers={"Content-Type": "application/json"})


def messenger_of(client: Any) -> DiscordMessenger:
    clock = FakeClock()
    return DiscordMessenger(client, clock, RateLimiter(DISCORD_RATE, clock), Metrics())


def result_of(folder: Path) -> ResultMessage:
    path = folder / "video.mp4"
    path.write_bytes(bytes(1000))
    due = DueDelivery(make_delivery(nonce="vabcdefgh"), make_task(state=TaskState.COMPLETED), ())
    return ResultMessage(due, video=Video(path, 1000, 640, 360))


async def post(messenger: DiscordMessenger, result: ResultMessage) -> int | None:
    return await messenger.post(result, not_after=time.monotonic() + 60)


async def test_upload_is_one_request_however_discord_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """discord.py would repeat it inside, for half a minute and with all its bytes."""
    channel = Channel(502)
    async with discord_at(monkeypatch, channel) as client:
        with pytest.raises(DiscordUnavailable) as raised:
            await post(messenger_of(client), result_of(tmp_path))

        assert (raised.value.reaction, channel.requests) == (Reaction.PASSING, 1)
        assert await post(messenger_of(client), result_of(tmp_path)) == 900
    assert channel.requests == 2


async def test_message_of_another_channel_is_not_taken_for_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Discord compares nonces by author: two databases may have used one."""
    async with discord_at(monkeypatch, Channel(channel_id=CHANNEL + 1)) as client:
        with pytest.raises(DiscordUnavailable) as raised:
            await post(messenger_of(client), result_of(tmp_path))

    assert raised.value.reaction is Reaction.ODD
