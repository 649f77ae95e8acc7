"""Making a video smaller: how long it takes, and what is left of it, for one 4K and one 1080p film."""

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bot.media.ffmpeg import find_ffmpeg
from bot.media.fit import Fitter
from bot.media.mp4 import inspect_mp4

_LIMIT = 20 << 20
_SECONDS = 8
_RATE = 24
# Name, width, height, bits per second: about 50 and 30 MB.
_FILMS = (("4K", 3840, 2160, 50_000_000), ("1080p", 1920, 1080, 30_000_000))


@dataclass(frozen=True, slots=True)
class Figures:
    """`source` and `size` in bytes, `picture` as width and height. `load` is how many others wanted the cores
    in the last minute, on average.
    """

    name: str
    source: int
    seconds: float
    load: float
    size: int
    picture: tuple[int, int]


async def measure() -> list[Figures]:
    found = find_ffmpeg()
    if found is None:
        raise RuntimeError("there is no ffmpeg on this machine")
    with tempfile.TemporaryDirectory() as folder:
        return [await _measure(found.path, Path(folder), *film) for film in _FILMS]


async def _measure(program: Path, folder: Path, name: str, width: int, height: int, bits: int) -> Figures:
    source = folder / f"{name}.mp4"
    await _make(program, source, width, height, bits)
    fitted = folder / f"{name}.fitted.mp4"
    load, began = os.getloadavg()[0], time.perf_counter()
    await Fitter(ffmpeg=program).fit(source, fitted, limit=_LIMIT)
    seconds = time.perf_counter() - began
    made = inspect_mp4(fitted)
    return Figures(name, source.stat().st_size, seconds, load, made.size, (made.width, made.height))


async def _make(program: Path, path: Path, width: int, height: int, bits: int) -> None:
    """A moving picture with noise, harder than most films, and a tone."""
    picture = f"testsrc2=s={width}x{height}:r={_RATE}:d={_SECONDS},noise=alls=10:allf=t"
    rate = str(bits)
    maker = await asyncio.create_subprocess_exec(
        *(program, "-nostdin", "-v", "error", "-f", "lavfi", "-i", picture),
        *("-f", "lavfi", "-i", f"sine=440:d={_SECONDS}", "-c:a", "aac", "-b:a", "128k"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
        *("-b:v", rate, "-maxrate", rate, "-bufsize", rate, path),
    )
    if await maker.wait() != 0:
        raise RuntimeError("ffmpeg did not make the film to measure with")


def table(figures: list[Figures]) -> str:
    lines = [f"into {_LIMIT >> 20} MiB     seconds    load         size   picture   (aim: 1080p in 30 s)"]
    for each in figures:
        source = f"{each.name}, {each.source / 1e6:.0f} MB"
        size, side = each.size / (1 << 20), "{}x{}".format(*each.picture)
        lines.append(f"{source:15}{each.seconds:6.1f} s {each.load:7.1f} {size:8.2f} MiB   {side}")
    return "\n".join(lines)


def as_json(figures: list[Figures]) -> dict[str, object]:
    return {
        each.name: {
            "source_bytes": each.source,
            "seconds": each.seconds,
            "load": each.load,
            "bytes": each.size,
            "width": each.picture[0],
            "height": each.picture[1],
        }
        for each in figures
    }
