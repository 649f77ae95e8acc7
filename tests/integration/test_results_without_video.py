"""What the channel shows when a video cannot be had: its link, in time, and why. Time passes quickly here."""

import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.core.clock import HOUR, MINUTE, SECOND
from bot.media.ffmpeg import find_ffmpeg
from sandbox.discord import Message
from sandbox.video_api import CLIP, Clip, Fault
from tests.boxes import FTYP, box
from tests.films import ffmpeg
from tests.integration.conftest import InProcessEnv, QuickClock
from tests.timing import eventually
from tests.video_hosts import (
    ID,
    VIDEO,
    FakeIp,
    Found,
    at_name,
    is_the_clip,
    posted,
    resolve_with,
    resolving_by,
    results,
)


@asynccontextmanager
async def patient_bot(env: InProcessEnv) -> AsyncIterator[Message]:
    """With leases longer than what is skipped while it works; its card."""
    async with env.bot(lease_time=3600):
        yield await env.track(ID)


# -- no answer at all (C4) -------------------------------------------------------------------------


def refused(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch) -> str:
    """Nothing ever listens on port 1."""
    return "http://127.0.0.1:1/v.mp4"


def certificate(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch) -> str:
    """Plain HTTP where TLS is expected fails in the handshake, like a certificate does."""
    return env.api.url.replace("http:", "https:") + "/videos/v.mp4"


def unknown_name(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch) -> str:
    def getaddrinfo(*_: object, **__: object) -> Found:
        raise socket.gaierror(socket.EAI_NONAME, "no")

    resolve_with(monkeypatch, resolving_by(getaddrinfo))
    return "http://cdn.example/v.mp4"


def unavailable(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch) -> str:
    env.api.faults.add(Fault(VIDEO, status=503, times=None))
    return f"{env.api.url}/videos/{ID}.mp4"


@pytest.mark.parametrize(
    "trouble", [refused, certificate, unknown_name, unavailable], ids=lambda f: f.__name__
)
async def test_link_is_on_the_card_after_ten_minutes_and_the_result_comes_after_two_hours(
    env: InProcessEnv,
    quick_clock: QuickClock,
    trouble: Callable[[InProcessEnv, pytest.MonkeyPatch], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """C4: the host cannot be reached, and people have the link all the same."""
    link = trouble(env, monkeypatch)
    env.api.create(ID).complete(url=link)
    async with patient_bot(env) as card:
        await env.discord.until(lambda: "I post it now" in card.content)
        assert link not in card.content
        shown = await env.hurry(quick_clock, lambda: link in card.content, step=30 * SECOND)
        assert 9 * MINUTE <= shown <= 30 * MINUTE
        assert "I cannot download it so far; I keep trying" in card.content
        assert results(env.channel) == []
        ended = await env.hurry(quick_clock, lambda: results(env.channel), step=5 * MINUTE)
        assert 2 * HOUR - MINUTE <= ended <= 3 * HOUR
        result = await posted(env)
        await env.discord.until(lambda: str(result.id) in card.content)

    assert not result.attachments
    assert link in result.content
    assert "I could not download it for two hours" in result.content
    assert result.mentions == {env.alice.id}
    assert f"{ID} posted without its video: download_failed" in caplog.text


async def test_video_that_comes_after_an_hour_is_posted(env: InProcessEnv, quick_clock: QuickClock):
    """C4: and the link goes from the card again."""
    env.api.create(ID).complete()
    env.api.faults.add(Fault(VIDEO, status=503, times=None))
    link = f"{env.api.url}/videos/{ID}.mp4"
    async with patient_bot(env) as card:
        await env.hurry(quick_clock, lambda: link in card.content, step=30 * SECOND)
        await env.hurry(quick_clock, lambda: quick_clock.skipped > HOUR, step=2 * MINUTE)
        env.api.faults.clear()
        await env.hurry(quick_clock, lambda: results(env.channel), step=20 * SECOND)
        result = await posted(env)
        await env.discord.until(lambda: str(result.id) in card.content)

    assert is_the_clip(result)
    assert link not in card.content


# -- answers without a video (C3, C6, C8, C14) -----------------------------------------------------


def sound(folder: Path) -> bytes:
    path = folder / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.2", "-c:a", "aac", path)
    return path.read_bytes()


NO_VIDEOS: dict[str, Callable[[Path], bytes]] = {
    "sound alone": sound,
    "empty moov": lambda _: FTYP + box(b"moov"),
    "cut and claimed whole": lambda _: CLIP.content[:6916],
    "page": lambda _: b"<html>Sign in</html>",
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("kind", NO_VIDEOS)
async def test_what_is_no_video_is_not_posted_as_one(
    env: InProcessEnv, quick_clock: QuickClock, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """C14, C6, C3: six tries within about a minute, one question for another link, then the link."""
    if kind == "sound alone" and find_ffmpeg() is None:
        pytest.skip("no ffmpeg on this machine")
    caplog.set_level(logging.INFO)
    env.api.create(ID).complete(Clip(NO_VIDEOS[kind](tmp_path)))
    async with patient_bot(env):
        await env.api.until(lambda: len(env.api.downloads) == 1)
        asked = await env.hurry(quick_clock, lambda: results(env.channel), step=2 * SECOND)
        assert asked <= 10 * MINUTE
        result = await posted(env)

    assert not result.attachments
    assert f"{env.api.url}/videos/{ID}.mp4" in result.content
    assert "is ready, but I cannot attach it" in result.content
    assert len(env.api.downloads) == 6
    assert len(env.api.polls) == 2
    assert caplog.text.count("no video yet: not_an_mp4") == 5
    assert f"{ID} posted without its video" in caplog.text


async def test_fresh_link_after_the_tries_gives_the_video(env: InProcessEnv, quick_clock: QuickClock):
    """C3: the API is asked once more when the host gives nothing for the first link."""
    task = env.api.create(ID)
    task.complete(url=f"{env.api.url}/videos/gone.mp4")
    async with patient_bot(env):
        await env.api.until(lambda: len(env.api.downloads) == 1)
        task.complete()
        await env.hurry(quick_clock, lambda: results(env.channel), step=2 * SECOND)
        result = await posted(env)

    assert is_the_clip(result)
    assert [download.path for download in env.api.downloads] == [
        *(["/videos/gone.mp4"] * 6),
        f"/videos/{ID}.mp4",
    ]


async def test_made_up_address_ends_with_the_link(
    env: InProcessEnv,
    quick_clock: QuickClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """C8: refused without VIDEO_NETWORKS; people have the link, and the operator the setting's name, once."""
    caplog.set_level(logging.INFO)
    resolve_with(monkeypatch, FakeIp)
    link = at_name(env, "cdn.example")
    env.api.create(ID).complete(url=link)
    async with patient_bot(env):
        await eventually(lambda: "no video yet" in caplog.text)
        await env.hurry(quick_clock, lambda: results(env.channel), step=2 * SECOND)
        result = await posted(env)

    assert not result.attachments
    assert link in result.content
    assert env.api.downloads == []
    [line] = [r.getMessage() for r in caplog.records if "VIDEO_NETWORKS" in r.getMessage()]
    assert "cdn.example resolves to 198.18.0.7" in line
