"""Video hosts that misbehave, and the real bot: the video arrives, and nobody else waits for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bot import app
from bot.media.disk_space import DiskSpace
from bot.media.ffmpeg import find_ffmpeg
from bot.veo.body import TransferLimits
from bot.veo.download import VideoDownloader
from sandbox.video_api import CLIP, BodyFault, Clip, Fault
from tests.download_env import MIB, raw_host
from tests.films import tiny_film
from tests.integration.conftest import InProcessEnv
from tests.timing import eventually
from tests.video_hosts import ID, VIDEO, is_the_clip, posted, results

SIZE = CLIP.size
# A byte a second: until the least speed ends it after a minute.
DRIP = BodyFault("GET /videos/vgen_slow*", chunk=1, pause=1, times=None)


# -- hosts that are slow (C1, C2, C10) ---------------------------------------------------------


async def twelve_links(env: InProcessEnv) -> int:
    """Of one person in one channel."""
    ids = [f"vgen_slow_{n}" for n in range(12)]
    for task_id in ids:
        env.api.create(task_id).complete()
    await env.track(" ".join(ids))
    return 12


async def one_link_in_twelve_channels(env: InProcessEnv) -> int:
    """They share one download."""
    env.api.create("vgen_slow").complete()
    for n in range(12):
        await env.alice.slash(env.guild.add_channel(f"slow-{n}"), "veo track", id="vgen_slow")
    return 1


async def more_links_than_fast_slots(env: InProcessEnv) -> int:
    """Of three people, each with channels of their own."""
    ids = [f"vgen_slow_{n}" for n in range(45)]
    for task_id in ids:
        env.api.create(task_id).complete()
    for n in range(3):
        person, channel = env.discord.add_person(f"slow-{n}"), env.guild.add_channel(f"slow-{n}")
        env.guild.join(person)
        await person.slash(channel, "veo track", id=" ".join(ids[15 * n : 15 * n + 15]))
    return 32


@pytest.mark.parametrize(
    "slow", [twelve_links, one_link_in_twelve_channels, more_links_than_fast_slots], ids=lambda f: f.__name__
)
async def test_hosts_that_drip_hold_up_nobody(
    env: InProcessEnv, slow: Callable[[InProcessEnv], Awaitable[int]]
):
    """C1: a byte a second, while a good video and a reason of other people are due."""
    env.api.faults.add(DRIP)
    good, failing = env.api.create("vgen_good"), env.api.create("vgen_bad")
    videos, reasons = env.guild.add_channel("good"), env.guild.add_channel("bad")
    async with env.bot():
        await env.bob.slash(videos, "veo track", id="vgen_good")
        await env.bob.slash(reasons, "veo track", id="vgen_bad")
        begun = await slow(env)
        await env.api.until(lambda: len(env.api.downloads) >= begun)
        failing.fail("no")
        good.complete()
        assert "no" in (await posted(env, reasons)).content
        assert is_the_clip(await posted(env, videos))
        dripping = [d for d in env.api.downloads if "slow" in d.path and not d.ended]
        assert len(dripping) >= min(begun, 8)

    posts = env.discord.requests("POST", "/channels/*/messages")
    assert len(posts) == 2


async def test_downloads_of_one_channel_begin_together(env: InProcessEnv):
    """C1: a reason and a good video wait for none of the eighteen that are due before them there."""
    env.api.faults.add(DRIP)
    ids = [f"vgen_slow_{n:02d}" for n in range(18)]
    for task_id in (*ids, "vgen_good"):
        env.api.create(task_id).complete()
    env.api.create("vgen_bad").fail("no")
    async with env.bot():
        await env.track(" ".join([*ids, "vgen_bad", "vgen_good"]))
        await env.discord.until(lambda: len(results(env.channel)) == 2)

    [good] = [result for result in results(env.channel) if result.attachments]
    assert is_the_clip(good)
    assert len({d.path for d in env.api.downloads if "slow" in d.path}) == 18


async def test_endless_100_continue_is_an_interruption(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """C2: the next try has the video."""
    limits = TransferLimits(header_timeout=0.5)
    monkeypatch.setattr(app, "VideoDownloader", partial(VideoDownloader, limits=limits))
    env.api.create(ID).complete()
    env.api.faults.add(BodyFault(continues=10**9, pause=0.01))
    async with env.bot():
        await env.track(ID)
        assert is_the_clip(await posted(env))

    assert len(env.api.downloads) == 2


async def test_disk_without_room_holds_up_its_video_alone(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """C10: the reserve is kept while a body without a length is written, and the video comes later."""
    room = [3 * MIB]
    lowest = 3 * MIB

    def free(folder: Path) -> int:
        nonlocal lowest
        left = room[0] - sum(path.stat().st_size for path in folder.iterdir())
        lowest = min(lowest, left)
        return left

    disk = DiskSpace(reserve=1 * MIB, free=free)
    monkeypatch.setattr(app, "VideoDownloader", partial(VideoDownloader, disk=disk))
    clip = Clip.padded(12 * MIB)
    env.api.create(ID).complete(clip)
    env.api.create("vgen_bad").fail("no")
    reasons = env.guild.add_channel("bad")
    env.api.faults.add(BodyFault(chunked=True, times=None))
    async with env.bot():
        await env.track(ID)
        await env.api.until(lambda: any(download.ended for download in env.api.downloads))
        await env.bob.slash(reasons, "veo track", id="vgen_bad")
        assert "no" in (await posted(env, reasons)).content
        assert not results(env.channel)
        assert lowest >= 1 * MIB
        room[0] = 100 * MIB
        result = await posted(env)

    assert result.attachments[0].size == clip.size


# -- odd answers (C3, C4) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", {"error": "not yet"}, "<html>soon</html>"], ids=["empty", "JSON", "page"]
)
async def test_first_200_that_is_no_video_is_tried_again(env: InProcessEnv, body: object):
    """C3: the host has it a moment later."""
    env.api.create(ID).complete()
    env.api.faults.add(Fault(VIDEO, status=200, body=body, times=2))
    async with env.bot():
        await env.track(ID)
        assert is_the_clip(await posted(env))

    assert len(env.api.downloads) == 3
    assert len(env.api.polls) == 1


@pytest.mark.parametrize("status", [203, 206])
async def test_unasked_206_with_everything_and_203_are_fine(env: InProcessEnv, status: int):
    """C4: posted after one download."""
    env.api.create(ID).complete()
    env.api.faults.add(BodyFault(video_status=status))
    async with env.bot():
        await env.track(ID)
        assert is_the_clip(await posted(env))

    assert len(env.api.downloads) == 1


# -- what breaks off (C5, C6) ----------------------------------------------------------------------


async def test_video_that_breaks_off_each_time_is_finished(env: InProcessEnv):
    """C5: each try goes on where the last one was, and no byte is sent twice."""
    env.api.create(ID).complete()
    env.api.faults.add(BodyFault(cut_at=SIZE // 2 - 1, times=None))
    async with env.bot():
        await env.track(ID)
        assert is_the_clip(await posted(env))

    asked = [download.headers.get("Range") for download in env.api.downloads]
    assert asked == [None, f"bytes={SIZE // 2 - 1}-", f"bytes={2 * (SIZE // 2 - 1)}-"]
    assert sum(download.bytes_sent for download in env.api.downloads) == SIZE


async def test_download_goes_on_after_a_restart(env: InProcessEnv):
    """C5: what a stop broke off is kept."""
    clip = Clip.padded(6 * MIB)
    env.api.create(ID).complete(clip)
    hold = env.api.hold(VIDEO, point="half")
    async with env.bot():
        await env.track(ID)
        await hold.reached()
        [part] = (env.folder / "data" / "videos").glob("*.part")
        await eventually(lambda: part.stat().st_size > MIB)
    hold.drop()
    async with env.bot():
        result = await posted(env)

    assert result.attachments[0].size == clip.size
    first, second = env.api.downloads
    assert second.status == 206
    assert first.bytes_sent + second.bytes_sent < 1.5 * clip.size


@asynccontextmanager
async def host_without_lengths(*bodies: bytes) -> AsyncIterator[str]:
    """Answers 200 without a Content-Length, and ends each body by closing; the last body stays."""
    left = list(bodies)

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        body = left.pop(0) if len(left) > 1 else left[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\n" + body)

    async with raw_host(answer) as url:
        yield f"{url}/v.mp4"


@pytest.mark.parametrize("cut_at", [6916, SIZE // 2, SIZE - 1], ids=["moov alone", "half", "last byte"])
async def test_cut_video_of_unknown_length_is_not_posted(
    env: InProcessEnv, cut_at: int, caplog: pytest.LogCaptureFixture
):
    """C6: only its boxes show that something is missing: an interruption, and the next try has all of it."""
    caplog.set_level(logging.INFO)
    async with host_without_lengths(CLIP.content[:cut_at], CLIP.content) as link:
        env.api.create(ID).complete(url=link)
        async with env.bot():
            await env.track(ID)
            assert is_the_clip(await posted(env))

    assert caplog.text.count(f"{ID}: no video yet: download_interrupted") == 1


@pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
async def test_film_cut_between_two_fragments_is_not_posted(env: InProcessEnv, tmp_path: Path):
    """C6: every box that came is whole, and only the index of all segments tells of the others."""
    flags = "+frag_keyframe+empty_moov+default_base_moof+global_sidx"
    film = tiny_film(tmp_path / "film.mp4", flags).read_bytes()
    async with host_without_lengths(film[: film.rindex(b"moof") - 4], film) as link:
        env.api.create(ID).complete(url=link)
        async with env.bot():
            await env.track(ID)
            result = await posted(env)

    assert [file.content for file in result.attachments] == [film]
