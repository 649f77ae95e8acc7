"""Places outside of the log that could show a secret: arguments, children, the video's host.

tests/conftest.py checks the output of every test for secrets.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sandbox.video_api import Clip
from tests.crash.conftest import CrashEnv
from tests.secrecy import leaked

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"


async def test_debug_log_of_a_whole_tracking_holds_no_secret(env: CrashEnv):
    """Command, card, polls, download and upload at DEBUG."""
    assert env.settings()["LOG_LEVEL"] == "DEBUG"
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    [result] = await env.settled(ID)
    await env.listed()
    await env.bot.stop()

    log = env.bot.output()
    assert result.attachments
    assert "discord.gateway" in log
    assert leaked(log) == []


async def test_debug_log_holds_no_secret_that_a_user_pasted(env: CrashEnv):
    """At DEBUG discord.py logs every event with its text."""
    key, cookie = "sk-live-51HxYz0987654321abcdef", "hunter2hunter2"
    env.api.create(ID).fail(f"the call had Authorization: Bearer {key}")
    await env.start_bot()
    await env.track(f"curl https://x.example/v1/result/{ID} -H 'Authorization: Bearer {key}'")
    await env.settled(ID)
    for pasted in (key, f"Authorization: Bearer {key}", f"-H 'X-Api-Key: {cookie}'"):
        assert (await env.track(pasted)).ephemeral
    await env.bot.stop()

    stored = b"".join(path.read_bytes() for path in (env.folder / "data").glob("bot.db*"))
    for secret in (key, cookie):
        assert secret not in env.bot.output()
        assert secret.encode() not in stored


async def test_arguments_of_the_process_hold_no_secret(env: CrashEnv):
    """Every user of the machine can read them."""
    env.api.create(ID)
    await env.start_bot()
    await env.track(ID)
    bot = psutil.Process(env.bot.pid)

    told = [" ".join(each.cmdline()) for each in (bot, *bot.children(recursive=True))]

    assert told[0].endswith("-m bot")
    assert leaked("\n".join(told)) == []


async def test_child_gets_no_secret(env: CrashEnv, monkeypatch: pytest.MonkeyPatch):
    """Neither in an argument nor in its environment, because ffmpeg reads files from outside."""
    monkeypatch.setenv("PATH", str(env.folder / "bin"), prepend=":")
    env.api.create(ID).complete(Clip.padded(21 * 1024 * 1024))
    with nosy_ffmpeg(env.folder / "bin") as told:
        await env.start_bot()
        await env.track(ID)
        [result] = await env.settled(ID)
        given = os.read(told, 1 << 16).decode()

    assert not result.attachments
    assert str(env.folder / "data" / "videos") in given
    assert leaked(given) == []


async def test_video_host_gets_no_secret(env: CrashEnv):
    """It is a third party."""
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    await env.settled(ID)

    [download] = env.api.downloads
    assert "Authorization" not in download.headers
    assert leaked(f"{download.path} {dict(download.headers)}") == []


@contextmanager
def nosy_ffmpeg(folder: Path) -> Iterator[int]:
    """A program that reports its arguments and environment through a pipe, claims to encode, and fails."""
    folder.mkdir()
    pipe, program = folder / "told", folder / "ffmpeg"
    os.mkfifo(pipe)
    program.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} > {pipe}\necho " V..... libx264 "\nexit 1\n')
    program.chmod(0o755)
    told = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield told
    finally:
        os.close(told)
