"""Names, addresses and spellings of links, and the real bot."""

import asyncio
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.video_api import CLIP
from tests.download_env import raw_host
from tests.integration.conftest import InProcessEnv
from tests.timing import eventually
from tests.video_hosts import (
    ID,
    FakeIp,
    Found,
    at_name,
    is_the_clip,
    posted,
    resolve_with,
    resolving_by,
    results,
)

SIZE = CLIP.size


async def test_made_up_address_is_accepted_with_the_setting(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch
):
    """C8: VIDEO_NETWORKS names the network of a fake-ip DNS."""
    resolve_with(monkeypatch, FakeIp)
    env.api.create(ID).complete(url=at_name(env, "cdn.example"))
    async with env.bot(video_networks="198.18.0.0/15"):
        await env.track(ID)
        assert is_the_clip(await posted(env))


async def test_made_up_address_is_refused_and_the_log_says_what_to_set(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """C8: one line names the host, its address and the setting; nothing is asked for there."""
    caplog.set_level(logging.INFO)
    resolve_with(monkeypatch, FakeIp)
    env.api.create(ID).complete(url=at_name(env, "cdn.example"))
    async with env.bot():
        await env.track(ID)
        await eventually(lambda: caplog.text.count("no video yet: link_forbidden") >= 2)

    [line] = [r.getMessage() for r in caplog.records if "VIDEO_NETWORKS" in r.getMessage()]
    assert line.startswith("cdn.example resolves to 198.18.0.7, which is not public")
    assert env.api.downloads == []


async def test_signed_link_with_one_foreign_character_keeps_the_rest(env: InProcessEnv):
    """C11: what the signature covers arrives byte for byte."""
    lines: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        lines.append(head.split(b"\r\n")[0])
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + CLIP.content)

    async with raw_host(answer) as url:
        env.api.create(ID).complete(url=f"{url}/a%2Fb/视.mp4?X-Sig=a%2Bb%3d%7E&n=1+2")
        async with env.bot():
            await env.track(ID)
            assert is_the_clip(await posted(env))

    assert lines == [b"GET /a%2Fb/%E8%A7%86.mp4?X-Sig=a%2Bb%3d%7E&n=1+2 HTTP/1.1"]


async def test_look_ups_that_hang_hold_up_nobody(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """C9: more of them than the threads that disk and uploads share."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))
    go, asked = threading.Event(), set[str]()

    def getaddrinfo(host: str, port: int, **_: object) -> Found:
        asked.add(host)
        if host.startswith("hangs"):
            go.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    resolve_with(monkeypatch, resolving_by(getaddrinfo))
    ids = [f"vgen_hangs_{n}" for n in range(12)]
    for n, task_id in enumerate(ids):
        env.api.create(task_id).complete(url=f"http://hangs{n}.example/v.mp4")
    good = env.guild.add_channel("good")
    env.api.create(ID).complete(url=at_name(env, "quick.example"))
    try:
        async with env.bot():
            await env.track(" ".join(ids))
            await eventually(lambda: len(asked) == 12)
            await env.bob.slash(good, "veo track", id=ID)
            assert is_the_clip(await posted(env, good))
            assert not results(env.channel)
    finally:
        go.set()
