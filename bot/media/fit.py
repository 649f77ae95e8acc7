"""Makes an MP4 small enough for a channel: H.264 and AAC, playable from the first byte."""

import asyncio
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media.ffmpeg import Ffmpeg, find_ffmpeg
from bot.media.mp4 import NotAnMp4, inspect_mp4

_TIME_LIMIT = 120.0
# Each has its own frames in memory; more of them would not fit its limit on a large machine.
_THREADS = "4"
# 4K is decoded at some 400 MiB; what asks for more is not a video of eight seconds.
_MEMORY_LIMIT = 2 << 30
# Left free for the database and the logs, as for a download.
_RESERVE = 64 << 20
# Parts of the limit to aim at, for the first and the second try: the rest is for what a rate control misses.
_SHARES = (0.96, 0.75)
_AUDIO_RATE = 128_000
# The buffer over which the rate may vary, in seconds: what it can overshoot in all.
_BUFFER = 0.5
# On the shorter side. What must be encoded anew anyway is never above the first.
_HEIGHTS = (1080, 720, 480, 360)
# Below so many bits for a pixel, fewer pixels look better.
_FEWEST_BITS = 0.05
_LOWEST_RATE = 60_000
# The quality above which nobody sees a difference; simple films stay far below the limit.
_BEST_QUALITY = 17


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came out. `size` in bytes, sides in pixels."""

    size: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Film:
    width: int
    height: int
    rate: float  # frames per second
    seconds: float
    sound: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    width: int
    height: int
    bits: int  # per second, of the picture


class Fitter:
    """One video at a time: it takes every core there is. Without ffmpeg, nothing can be made to fit."""

    def __init__(
        self,
        *,
        ffmpeg: Path | None = None,
        time_limit: float = _TIME_LIMIT,
        memory_limit: int = _MEMORY_LIMIT,
    ) -> None:
        program = ffmpeg or find_ffmpeg()
        self._ffmpeg = (
            None if program is None else Ffmpeg(program, time_limit=time_limit, memory_limit=memory_limit)
        )
        self._turn = asyncio.Lock()

    async def fit(self, source: Path, destination: Path, *, limit: int) -> Fitted:
        """`destination` is whole, checked, and at most `limit` bytes; or it is not there.

        Raises CannotFit, StorageUnavailable.
        """
        if self._ffmpeg is None:
            raise CannotFit("there is no ffmpeg on the bot's machine")
        async with self._turn:
            await asyncio.to_thread(_check_room, destination, limit)
            film = await _look_at(self._ffmpeg, source)
            with _part_of(destination) as part:
                for share in _SHARES:
                    plan = _plan(film, int(limit * share))
                    await _encode(self._ffmpeg, source, part, film, plan)
                    size = await asyncio.to_thread(_checked_size, part)
                    if size <= limit:
                        await asyncio.to_thread(part.replace, destination)
                        return Fitted(size, plan.width, plan.height)
        raise CannotFit("it does not become small enough")


@contextmanager
def _part_of(destination: Path) -> Iterator[Path]:
    """Written beside it; what a crash leaves is swept at the next start, by its ending."""
    part = destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _check_room(destination: Path, limit: int) -> None:
    if shutil.disk_usage(destination.parent).free < limit + _RESERVE:
        raise StorageUnavailable("There is not enough room on the disk for the smaller video.")


def _checked_size(part: Path) -> int:
    try:
        return inspect_mp4(part).size
    except (NotAnMp4, OSError) as error:
        raise CannotFit("ffmpeg did not write a video") from error


# A file with another name than its kind could be a list of other files to read: only MP4 is read, only files.
_READ_AS = ("-protocol_whitelist", "file", "-f", "mov,mp4,m4a,3gp,3g2,mj2")


async def _look_at(ffmpeg: Ffmpeg, source: Path) -> _Film:
    """ffmpeg's own description; without an output it says what it sees and ends with an error code."""
    _, said = await ffmpeg.run(*_READ_AS, "-i", source)
    length = re.search(r"Duration: (\d+):(\d\d):(\d\d\.\d+)", said)
    size = re.search(r"Video: .*?\b(\d{2,5})x(\d{2,5})\b", said)
    rate = re.search(r"([\d.]+) fps", said)
    if length is None or size is None:
        raise CannotFit("ffmpeg sees no video in it")
    hours, minutes, seconds = length.groups()
    return _Film(
        width=int(size[1]),
        height=int(size[2]),
        rate=float(rate[1]) if rate else 30.0,
        seconds=max(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 0.1),
        sound="Audio: " in said,
    )


def _plan(film: _Film, budget: int) -> _Plan:
    """The most pixels that the bits are enough for. `budget` in bytes. Raises CannotFit."""
    bits = int(budget * 8 / (film.seconds + _BUFFER)) - (_AUDIO_RATE if film.sound else 0)
    if bits < _LOWEST_RATE:
        raise CannotFit("it is too long to become small enough")
    shorter = min(film.width, film.height)
    for side in dict.fromkeys(min(shorter, height) for height in _HEIGHTS):
        width, height = (_even(each * side / shorter) for each in (film.width, film.height))
        if bits / (width * height * film.rate) >= _FEWEST_BITS:
            break
    return _Plan(width, height, bits)


def _even(pixels: float) -> int:
    """H.264 with halved colours has no odd sides."""
    return max(2, round(pixels / 2) * 2)


async def _encode(ffmpeg: Ffmpeg, source: Path, part: Path, film: _Film, plan: _Plan) -> None:
    code, said = await ffmpeg.run(
        *("-loglevel", "error", "-y", *_READ_AS, "-i", source),
        *("-threads", _THREADS, "-map", "0:v:0", "-map", "0:a:0?", "-map_metadata", "-1", "-sn", "-dn"),
        *("-vf", f"scale={plan.width}:{plan.height}:flags=bicubic,setsar=1,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", str(_BEST_QUALITY)),
        *("-maxrate", str(plan.bits), "-bufsize", str(int(plan.bits * _BUFFER))),
        *(("-c:a", "aac", "-b:a", str(_AUDIO_RATE)) if film.sound else ()),
        *("-movflags", "+faststart", "-f", "mp4", part),
    )
    if code != 0:
        raise CannotFit(f"ffmpeg failed ({code}): {said.strip()[-200:]}")
