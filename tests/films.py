"""Real MP4 files for tests, made and decoded by the ffmpeg that the bot finds."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from bot.media.ffmpeg import find_ffmpeg

_RADIUS = "hypot(X-W/2,Y-H/2)"
_RING = f"lt(abs({_RADIUS}-min(W,H)*0.4),min(W,H)*0.04)"
_HAND = f"lt(abs(X-W/2+Y-H/2),min(W,H)*0.04)*lt({_RADIUS},min(W,H)*0.35)*gt(X,W/2)"
_FACE = f"if({_RING}+{_HAND},250,120)"


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return its standard output. Raises CalledProcessError."""
    found = find_ffmpeg()
    assert found is not None
    command = [found.path, "-nostdin", "-v", "error", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def described(path: Path) -> str:
    """ffmpeg's description of a file."""
    found = find_ffmpeg()
    assert found is not None
    return subprocess.run([found.path, "-i", path], capture_output=True, check=False).stderr.decode()


def clock_face(width: int, height: int) -> str:
    """A lavfi source of two equal frames: a coloured clock face whose hand points to half past one.

    Its four corners have four colours, so that every rotation and every mirroring changes it.
    """
    corner = "iw/5:ih/5"
    return (
        f"color=gray:s={width}x{height}:r=8:d=0.25,format=gbrp,geq=r='{_FACE}':g='{_FACE}':b='{_FACE}',"
        f"drawbox=0:0:{corner}:red:fill,drawbox=iw-iw/5:0:{corner}:lime:fill,"
        f"drawbox=0:ih-ih/5:{corner}:blue:fill,drawbox=iw-iw/5:ih-ih/5:{corner}:yellow:fill"
    )


def encode(path: Path, source: str, *arguments: str | Path, filters: str = "null") -> Path:
    """Encode almost without loss, so that a visible difference comes from the bot."""
    ffmpeg(
        *("-f", "lavfi", "-i", source, "-vf", filters),
        *("-c:v", "libx264", "-preset", "ultrafast", "-qp", "4", "-pix_fmt", "yuv420p"),
        *(*arguments, path),
    )
    return path


def frame(path: Path, width: int, height: int, *, matrix: str = "auto") -> bytes:
    """The first frame as a player shows it, in RGB, scaled to this size.

    `matrix` is for a file that does not name its colour matrix.
    """
    shown = f"scale={width}:{height}:flags=area:in_color_matrix={matrix},format=rgb24"
    return ffmpeg("-i", path, "-vf", shown, "-frames:v", "1", "-f", "rawvideo", "-")


def mean_difference(one: Sequence[int], other: Sequence[int]) -> float:
    """On a scale of 0 to 255."""
    assert len(one) == len(other)
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def tiny_film(path: Path, movflags: str) -> Path:
    """About 3 KiB with six frames and a tone. `movflags` determines the order of its boxes."""
    ffmpeg(
        *("-f", "lavfi", "-i", "color=gray:s=32x32:r=10:d=0.6", "-f", "lavfi", "-i", "sine=440:r=8000:d=0.6"),
        *("-c:v", "libx264", "-qp", "40", "-g", "2", "-bf", "0", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "8k", "-movflags", movflags, path),
    )
    return path


def packet_bytes(path: Path) -> int:
    """The total size of all samples of all tracks, as ffmpeg reads them."""
    lines = ffmpeg("-i", path, "-c", "copy", "-f", "framecrc", "-").decode().splitlines()
    return sum(int(line.split(",")[4]) for line in lines if not line.startswith("#"))
