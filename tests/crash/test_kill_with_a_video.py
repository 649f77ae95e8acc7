"""SIGKILL while a video is downloaded or made smaller: what came is used, and nothing runs on."""

import asyncio
import contextlib
import hashlib
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from bot.media.ffmpeg import find_ffmpeg
from sandbox.patience import PATIENCE
from sandbox.video_api import Clip
from tests.conftest import database_url_of
from tests.crash.conftest import CrashEnv
from tests.timing import eventually

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"
MIB = 1 << 20
needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
needs_setpriv = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("setpriv") is None, reason="only Linux tells of a parent's end"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url_of(request, tmp_path / "data")


def files(env: CrashEnv) -> list[Path]:
    return sorted((env.folder / "data" / "videos").iterdir())


async def assert_exactly_one_result(env: CrashEnv) -> bytes:
    """Posted, recorded, and the files gone with the record; the bytes of the video."""
    [result] = await env.settled(ID)
    async with asyncio.timeout(PATIENCE):
        while f"/{result.id}" not in await env.listed():
            pass
    await env.bot.stop()
    assert env.results() == [result]
    assert files(env) == []
    [file] = result.attachments
    return file.content


async def test_download_goes_on_where_the_kill_broke_it_off(env: CrashEnv):
    """C5: what had reached the disk is not asked for again."""
    clip = Clip.padded(8 * MIB)
    env.api.create(ID).complete(clip)
    await env.start_bot()
    hold = env.api.hold("GET /videos/*", point="half")
    await env.track(ID)
    await hold.reached()
    await eventually(lambda: any(f.suffix == ".part" and f.stat().st_size >= 2 * MIB for f in files(env)))
    await env.bot.kill()
    hold.drop()
    [here] = [file.stat().st_size for file in files(env) if file.suffix == ".part"]

    await env.start_bot()

    content = await assert_exactly_one_result(env)
    assert hashlib.sha256(content).hexdigest() == clip.sha256
    first, second = env.api.downloads
    assert first.headers.get("Range") is None
    assert second.headers["Range"] == f"bytes={here}-"
    assert (second.status, second.bytes_sent) == (206, clip.size - here)


def encoders(env: CrashEnv) -> list[psutil.Process]:
    """What reads or writes a film at this moment; listing its encoders is no such run."""
    children = psutil.Process(env.bot.pid).children(recursive=True)
    return [child for child in children if is_at_a_film(child)]


def is_at_a_film(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("ffmpeg") and "-i" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


async def suspended_encoder(env: CrashEnv) -> psutil.Process:
    """One is stopped in the middle of its work, so that it cannot end by itself."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await eventually(lambda: encoders(env))
            for process in encoders(env):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
                    return process


def is_gone(process: psutil.Process) -> bool:
    """Also when nobody has taken its exit code yet: it runs no more."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@needs_ffmpeg
@needs_setpriv
async def test_ffmpeg_ends_with_the_bot_and_the_video_comes_after_the_restart(env: CrashEnv):
    """C15: SIGKILL lets the bot do nothing any more, and nothing of ffmpeg is left."""
    limit = 500_000
    env.guild.upload_limit = limit
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    encoder = await suspended_encoder(env)
    await env.bot.kill()
    try:
        await eventually(lambda: is_gone(encoder))
    finally:
        if not is_gone(encoder):
            encoder.kill()

    await env.start_bot()

    content = await assert_exactly_one_result(env)
    assert len(content) <= limit
    assert len(env.api.downloads) == 1
