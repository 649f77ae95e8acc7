"""SIGKILL while a video is downloaded or made smaller: received bytes are used, and ffmpeg ends."""

import asyncio
import contextlib
import hashlib
from pathlib import Path

import psutil
import pytest

from sandbox.patience import PATIENCE
from sandbox.video_api import Clip
from tests.conftest import database_url_of
from tests.crash.conftest import CrashEnv
from tests.processes import is_gone, needs_ffmpeg, needs_setpriv
from tests.timing import eventually

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"
MIB = 1 << 20


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url_of(request, tmp_path / "data")


async def test_download_resumes_after_a_kill(env: CrashEnv):
    """Bytes that are on the disk are not requested again."""
    clip = Clip.padded(8 * MIB)
    env.api.create(ID).complete(clip)
    await env.start_bot()
    hold = env.api.hold("GET /videos/*", point="half")
    await env.track(ID)
    await hold.reached()
    await eventually(
        lambda: any(f.suffix == ".part" and f.stat().st_size >= 2 * MIB for f in env.video_files())
    )
    await env.bot.kill()
    hold.drop()
    [here] = [file.stat().st_size for file in env.video_files() if file.suffix == ".part"]

    await env.start_bot()

    content = await env.assert_only_video(ID)
    assert hashlib.sha256(content).hexdigest() == clip.sha256
    first, second = env.api.downloads
    assert first.headers.get("Range") is None
    assert second.headers["Range"] == f"bytes={here}-"
    assert (second.status, second.bytes_sent) == (206, clip.size - here)


def encoders(env: CrashEnv) -> list[psutil.Process]:
    """The ffmpeg processes that read or write a video now; listing encoders does not count."""
    children = psutil.Process(env.bot.pid).children(recursive=True)
    return [child for child in children if is_at_a_film(child)]


def is_at_a_film(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("ffmpeg") and "-i" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


async def suspended_encoder(env: CrashEnv) -> psutil.Process:
    """Stops an encoder with SIGSTOP, so that it cannot finish."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await eventually(lambda: encoders(env))
            for process in encoders(env):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
                    return process


@needs_ffmpeg
@needs_setpriv
async def test_ffmpeg_ends_with_the_bot_and_the_video_comes_after_the_restart(env: CrashEnv):
    """After SIGKILL the bot itself can end nothing."""
    limit = 300_000
    env.guild.upload_limit = limit
    env.api.create(ID).complete()
    await env.start_bot()
    await env.track(ID)
    encoder = await suspended_encoder(env)
    await env.bot.kill()
    try:
        await eventually(lambda: is_gone(encoder.pid))
    finally:
        if not is_gone(encoder.pid):
            encoder.kill()

    await env.start_bot()

    content = await env.assert_only_video(ID)
    assert len(content) <= limit
    assert len(env.api.downloads) == 1
