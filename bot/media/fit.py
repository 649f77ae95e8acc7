"""Makes an MP4 small enough for a channel: H.264 and AAC, playable from the first byte."""

import asyncio
import contextlib
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media.ffmpeg import Ffmpeg, find_ffmpeg
from bot.media.mp4 import Mp4, NotAnMp4, inspect_mp4
from bot.media.room import check_room

logger = logging.getLogger(__name__)

_TIME_LIMIT = 120.0
# Each has its own frames in memory; more of them would not fit its limit on a large machine.
_THREADS = ("-threads", "4")
# 4K takes between 600 and 800 MiB; what asks for more than twice that is not a video of eight seconds.
_MEMORY_LIMIT = 2 << 30
# Parts of the limit to aim at, for the first and the second try: the rest is for what a rate control misses.
_SHARES = (0.96, 0.75)
# Sound that is AAC already stays as it is up to the first, and while it is a small part of the whole.
_MOST_AUDIO_COPIED = 192_000
_AUDIO_PART = 8
_AUDIO_RATE = 128_000
# The buffer over which the rate may vary, in seconds: what it can overshoot in all. With a longer one the
# file misses its size; two passes take two fifths longer. Neither looks better (bench/README.md).
_BUFFER = 0.5
# On the shorter side. What must be encoded anew anyway is never above the first: it would take too long.
_SIDES = (1080, 720, 480)
# Below so many bits for a pixel, fewer pixels look better.
_FEWEST_BITS = 0.05
_LOWEST_RATE = 60_000
# The quality above which nobody sees a difference; simple films stay far below the limit.
_BEST_QUALITY = "17"
# Of the film's length: what comes out shorter was damaged, and not only rounded to frames.
_SHORTEST = 0.9


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
    sound: str | None
    sound_rate: int  # bits per second, 0 when it is not said


@dataclass(frozen=True, slots=True)
class _Plan:
    preset: str
    width: int
    height: int
    bits: int  # per second, of the picture
    sound: tuple[str, ...]


class Fitter:
    """One video at a time: it takes every core there is. Without ffmpeg, nothing can be made to fit.

    `time_limit` in seconds is for one video, from its turn on; `memory_limit` in bytes holds on Linux only.
    """

    def __init__(
        self,
        *,
        ffmpeg: Path | None = None,
        time_limit: float = _TIME_LIMIT,
        memory_limit: int = _MEMORY_LIMIT,
    ) -> None:
        program = ffmpeg or find_ffmpeg()
        self._ffmpeg = None if program is None else Ffmpeg(program, memory_limit=memory_limit)
        self._time_limit = time_limit
        self._turn = asyncio.Lock()

    async def fit(self, source: Path, destination: Path, *, limit: int) -> Fitted:
        """`destination` is whole, checked, and at most `limit` bytes; or it is not there.

        Raises CannotFit, StorageUnavailable.
        """
        if self._ffmpeg is None:
            raise CannotFit("there is no ffmpeg on the bot's machine")
        async with self._turn:
            await asyncio.to_thread(check_room, destination.parent, limit)
            try:
                async with asyncio.timeout(self._time_limit):
                    return await _fit(self._ffmpeg, source, destination, limit)
            except TimeoutError as error:
                raise CannotFit(f"making it smaller took longer than {self._time_limit:g} s") from error


async def _fit(ffmpeg: Ffmpeg, source: Path, destination: Path, limit: int) -> Fitted:
    film = await _look_at(ffmpeg, source)
    with _part_of(destination) as part:
        for share in _SHARES:
            plan = _plan(film, int(limit * share))
            await _encode(ffmpeg, source, part, plan, most_written=2 * limit)
            made = await asyncio.to_thread(_checked, part, film)
            if made.size <= limit:
                # Not in a thread, which would go on after a cancellation and keep what nobody wants.
                _rename(part, destination)
                return Fitted(made.size, plan.width, plan.height)
    raise CannotFit("it does not become small enough")


@contextmanager
def _part_of(destination: Path) -> Iterator[Path]:
    """Written beside it; what a crash leaves is swept at the next start, by its ending."""
    part = destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.part")
    try:
        yield part
    finally:
        with contextlib.suppress(OSError):  # as in a download: the error before it matters more
            part.unlink(missing_ok=True)


def _checked(part: Path, film: _Film) -> Mp4:
    """Safe on the disk, an MP4, and the whole film: where damage begins, ffmpeg ends without an error."""
    try:
        with part.open("rb") as file:
            os.fsync(file.fileno())
        made = inspect_mp4(part)
    except NotAnMp4 as error:
        raise CannotFit("ffmpeg did not write a video") from error
    except OSError as error:
        raise StorageUnavailable(f"The video could not be written ({error.strerror}).") from error
    if (made.seconds or 0) < film.seconds * _SHORTEST:
        raise CannotFit("a part of it cannot be read")
    return made


def _rename(part: Path, destination: Path) -> None:
    try:
        part.replace(destination)
    except OSError as error:
        raise StorageUnavailable(f"The video could not be kept ({error.strerror}).") from error


def _read(source: Path) -> tuple[str, ...]:
    """Only an MP4, whatever the name says (a list could name other files to read), and only from the disk."""
    return (*_THREADS, "-protocol_whitelist", "file", "-f", "mov", "-i", f"file:{source}")


async def _look_at(ffmpeg: Ffmpeg, source: Path) -> _Film:
    """ffmpeg's own description; without an output it says what it sees and ends with an error code.

    Whoever made the file chose its titles: only the lines that ffmpeg itself begins are believed.
    """
    _, said = await ffmpeg.run(*_read(source))
    length = re.search(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)", said, re.MULTILINE)
    picture = re.search(r"^  Stream #0:\d.*?: Video: .*?\b(\d{2,5})x(\d{2,5})\b.*", said, re.MULTILINE)
    if length is None or picture is None:
        raise CannotFit("ffmpeg sees no video in it")
    rate = re.search(r"([\d.]+) fps", picture[0])
    sound = re.search(r"^  Stream #0:\d.*?: Audio: (\w+)(?:.* (\d+) kb/s)?", said, re.MULTILINE)
    hours, minutes, seconds = length.groups()
    return _Film(
        width=int(picture[1]),
        height=int(picture[2]),
        rate=(float(rate[1]) if rate else 0) or 30.0,
        seconds=max(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 0.1),
        sound=sound[1] if sound else None,
        sound_rate=int(sound[2] or 0) * 1000 if sound else 0,
    )


def _plan(film: _Film, budget: int) -> _Plan:
    """The most pixels that the bits are enough for. `budget` in bytes. Raises CannotFit."""
    bits = int(budget * 8 / (film.seconds + _BUFFER))
    sound, sound_bits = _plan_sound(film, bits)
    bits -= sound_bits
    if bits < _LOWEST_RATE:
        raise CannotFit("it is too long to become small enough")
    shorter = min(film.width, film.height)
    for side in dict.fromkeys(min(shorter, side) for side in _SIDES):
        width, height = (_even(each * side // shorter) for each in (film.width, film.height))
        if bits / (width * height * film.rate) >= _FEWEST_BITS:
            break
    # Reading 4K alone takes as long as this preset saves, and the picture is no worse for it.
    preset = "superfast" if shorter > _SIDES[0] else "veryfast"
    return _Plan(preset, width, height, bits, sound)


def _plan_sound(film: _Film, bits: int) -> tuple[tuple[str, ...], int]:
    """What to tell ffmpeg of it, and the bits per second that it takes."""
    if film.sound is None:
        return ("-an",), 0
    most = min(_MOST_AUDIO_COPIED, bits // _AUDIO_PART)
    if film.sound == "aac" and 0 < film.sound_rate <= most:
        return ("-c:a", "copy"), film.sound_rate
    return ("-c:a", "aac", "-b:a", str(_AUDIO_RATE)), _AUDIO_RATE


def _even(pixels: int) -> int:
    """H.264 with halved colours has no odd sides; never enlarged."""
    return max(2, pixels // 2 * 2)


async def _encode(ffmpeg: Ffmpeg, source: Path, part: Path, plan: _Plan, *, most_written: int) -> None:
    code, said = await ffmpeg.run(
        *("-loglevel", "error", "-y", *_read(source)),
        *("-map", "0:v:0", "-map", "0:a:0?", "-map_metadata", "-1", "-sn", "-dn", *_THREADS),
        *("-vf", f"scale={plan.width}:{plan.height}:flags=bicubic,setsar=1,format=yuv420p"),
        *("-c:v", "libx264", "-preset", plan.preset, "-profile:v", "high", "-crf", _BEST_QUALITY),
        *("-maxrate", str(plan.bits), "-bufsize", str(int(plan.bits * _BUFFER))),
        *(*plan.sound, "-movflags", "+faststart", "-f", "mp4", f"file:{part}"),
        most_written=most_written,
    )
    if "No space left on device" in said:
        raise StorageUnavailable("The disk was full before the smaller video was whole.")
    if code != 0:
        logger.warning("ffmpeg ended with %d: %r", code, said.strip()[-300:])
        raise CannotFit("ffmpeg could not convert it")
