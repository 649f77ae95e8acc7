"""What the files themselves are, and how they appear in the channel."""

from pathlib import Path

import pytest

from bot.media.ffmpeg import find_ffmpeg
from bot.media.mp4 import inspect_mp4
from sandbox.video_api import CLIP, Clip
from tests.films import clock_face, encode, ffmpeg, frame, mean_difference
from tests.integration.conftest import InProcessEnv
from tests.video_hosts import ID, posted

NOTE = "It may not play inside Discord: download it to watch it."
needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")


@pytest.mark.parametrize("tail", [b"\n", b"\r\n", bytes(9), bytes(5000)], ids=["LF", "CRLF", "zeros", "many"])
async def test_film_with_something_meaningless_behind_it_is_posted(env: InProcessEnv, tail: bytes):
    """C7: as it came, after one download."""
    env.api.create(ID).complete(Clip(CLIP.content + tail))
    async with env.bot():
        await env.track(ID)
        result = await posted(env)

    assert [file.content for file in result.attachments] == [CLIP.content + tail]
    assert len(env.api.downloads) == 1
    assert NOTE not in result.content


@needs_ffmpeg
@pytest.mark.parametrize(
    ("encoder", "plays"),
    [
        (("libx264",), True),
        (("libx264", "-pix_fmt", "yuv420p10le"), False),
        (("libx265", "-tag:v", "hvc1", "-x265-params", "log-level=none"), False),
        (("libaom-av1", "-cpu-used", "8"), False),
    ],
    ids=["H.264", "10 bits", "HEVC", "AV1"],
)
async def test_film_that_discord_may_not_play_says_so(
    env: InProcessEnv, encoder: tuple[str, ...], plays: bool, tmp_path: Path
):
    """C13: it is posted as it is, with a line about it."""
    path = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x36:d=0.2", "-pix_fmt", "yuv420p", "-c:v", *encoder, path)
    content = path.read_bytes()
    env.api.create(ID).complete(Clip(content))
    async with env.bot():
        await env.track(ID)
        result = await posted(env)

    assert [file.content for file in result.attachments] == [content]
    assert (NOTE in result.content) == (not plays)


@needs_ffmpeg
async def test_film_made_smaller_looks_the_same_and_plays(env: InProcessEnv, tmp_path: Path):
    """C12: a portrait by display matrix whose pixels are not square, in HEVC, too large for the channel."""
    upright, source = tmp_path / "upright.mp4", tmp_path / "in.mp4"
    encode(
        upright,
        clock_face(180, 320),
        *("-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", "log-level=none:qp=4"),
        filters="transpose=clock,scale=160:180:flags=area,setsar=2/1",
    )
    ffmpeg("-display_rotation", "90", "-i", upright, "-c", "copy", source)
    limit = 500_000
    env.guild.upload_limit = limit
    env.api.create(ID).complete(Clip(source.read_bytes(), padding=2 * limit))
    async with env.bot():
        await env.track(ID)
        result = await posted(env)

    [file] = result.attachments
    made = tmp_path / "made.mp4"
    made.write_bytes(file.content)
    said = inspect_mp4(made)
    assert file.size <= limit
    assert said.width / said.height == pytest.approx(180 / 320, rel=0.02)
    assert said.plays_in_discord
    assert mean_difference(frame(source, 120, 120), frame(made, 120, 120)) < 6
    assert "Made smaller to fit this server" in result.content
    assert NOTE not in result.content
