"""Makes an MP4 small enough for a channel: H.264 and AAC, playable from the first byte."""

import asyncio
import contextlib
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.core.errors import CannotFit, StorageUnavailable
from bot.media.disk_space import check_disk_space
from bot.media.ffmpeg import Ffmpeg, find_ffmpeg
from bot.media.mp4 import Mp4, NotAnMp4, inspect_mp4
from bot.media.mp4_tracks import displayed_size
from bot.media.part_file import temporary_path

logger = logging.getLogger(__name__)

_TIME_LIMIT = 120.0
# Each thread keeps frames in memory; on a large machine more threads would exceed the memory limit.
_THREADS = ("-threads", "4")
# 4K takes between 600 and 800 MiB; a file that needs more than twice that is no video of eight seconds.
_MEMORY_LIMIT = 2 << 30
# Shares of the limit to aim at in the first and second try; the rest is a margin for the rate control.
_SHARES = (0.96, 0.75)
# AAC sound is copied up to this rate, if it is at most the eighth part of the whole.
_MAX_COPIED_AUDIO_RATE = 192_000
_AUDIO_PART = 8
_AUDIO_RATE = 128_000
# VBV buffer in seconds. A longer one overshoots the target size; two-pass takes 40 % longer; neither looks
# better (bench/README.md).
_BUFFER = 0.5
# Pixels of the shorter side, tried in this order. Nothing is encoded above the first, because it takes too
# long.
_SIDES = (1080, 720, 480)
# With fewer bits per pixel, a smaller picture looks better.
_MIN_BITS_PER_PIXEL = 0.05
_MIN_VIDEO_RATE = 60_000
# Pixels of the longer side. Hardware decoders take no more, and a film may state any aspect ratio.
_MAX_LONGER_SIDE = 4096
# x264's CRF above which no difference is visible; simple films stay far below the size limit.
_BEST_QUALITY = "17"
# The height in pixels from which Chromium assumes BT.709 for colours that are not named.
_HIGH_DEFINITION = 720
# In ffmpeg's description of a picture, such as "yuv420p(tv, bt709, progressive)".
_KNOWN_COLOURS = r"\([^()]*\b(bt|smpte|fcc|gbr|film|iec|arib|ycgco)\w*[^()]*\)"
# Share of the film's length. A result that is shorter is damaged, not only rounded to frames.
_MIN_KEPT_LENGTH = 0.9


@dataclass(frozen=True, slots=True)
class _Film:
    """A video to convert. `longer` and `shorter` are the sides in square pixels, as a player shows them."""

    longer: int
    shorter: int
    colours_known: bool
    is_high: bool  # 720 lines or more, as they are stored
    rate: float  # frames per second
    seconds: float
    sound: str | None
    sound_rate: int  # bits per second, 0 when it is not stated


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a video is encoded."""

    preset: str
    longer: int
    shorter: int
    colours: str  # a filter that names them
    bits: int  # per second, of the picture
    sound: tuple[str, ...]


class Fitter:
    """Makes videos smaller, one at a time because ffmpeg uses every core. Without ffmpeg it always fails.

    `time_limit` in seconds is for one video, once it starts; `memory_limit` in bytes works on Linux only.
    """

    def __init__(
        self,
        *,
        ffmpeg: Path | None = None,
        time_limit: float = _TIME_LIMIT,
        memory_limit: int = _MEMORY_LIMIT,
    ) -> None:
        self._program = ffmpeg
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._lock = asyncio.Lock()

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        """Write a smaller version to `destination`: whole, checked, at most `limit` bytes; or nothing.

        Raises CannotFit, StorageUnavailable.
        """
        async with self._lock:
            ffmpeg = await self._find_ffmpeg()
            await asyncio.to_thread(check_disk_space, destination.parent, limit)
            try:
                async with asyncio.timeout(self._time_limit):
                    await _fit_video(ffmpeg, source, destination, limit)
            except TimeoutError as error:
                raise CannotFit(f"making it smaller took longer than {self._time_limit:g} s") from error

    async def _find_ffmpeg(self) -> Ffmpeg:
        """Find ffmpeg when a video needs it, because the search takes a moment. Raises CannotFit."""
        if self._program is None:
            found = await asyncio.to_thread(find_ffmpeg)
            if found is None:
                raise CannotFit("there is no ffmpeg on the bot's machine that can encode H.264")
            self._program = found.path
        cpu_limit = math.ceil(self._time_limit * (os.cpu_count() or 1))
        return Ffmpeg(self._program, memory_limit=self._memory_limit, cpu_limit=cpu_limit)


async def _fit_video(ffmpeg: Ffmpeg, source: Path, destination: Path, limit: int) -> None:
    film = await _probe(ffmpeg, source)
    with _temporary_file(destination) as part:
        for share in _SHARES:
            plan = _plan_encoding(film, int(limit * share))
            await _encode(ffmpeg, source, part, plan, max_written=2 * limit)
            made = await asyncio.to_thread(_check_result, part, film)
            if made.size <= limit:
                # Not in a thread, which would go on after a cancellation and keep an unwanted file.
                _rename(part, destination)
                return
    raise CannotFit("it does not become small enough")


@contextmanager
def _temporary_file(destination: Path) -> Iterator[Path]:
    """Yield a path beside `destination`; the file is removed at the end."""
    part = temporary_path(destination)
    try:
        yield part
    finally:
        with contextlib.suppress(OSError):  # the error before it matters more
            part.unlink(missing_ok=True)


def _check_result(part: Path, film: _Film) -> Mp4:
    """Check that the result is on the disk, an MP4, and the whole film.

    At damage ffmpeg ends without an error.
    """
    try:
        with part.open("rb") as file:
            os.fsync(file.fileno())
        made = inspect_mp4(part)
    except NotAnMp4 as error:
        raise CannotFit("ffmpeg did not write a video") from error
    except OSError as error:
        raise StorageUnavailable(f"The video could not be written ({error.strerror}).") from error
    if (made.seconds or 0) < film.seconds * _MIN_KEPT_LENGTH:
        raise CannotFit("a part of it cannot be read")
    return made


def _rename(part: Path, destination: Path) -> None:
    try:
        part.replace(destination)
    except OSError as error:
        raise StorageUnavailable(f"The video could not be kept ({error.strerror}).") from error


def _input_arguments(source: Path) -> tuple[str, ...]:
    """Return arguments to read only an MP4, because a playlist could name other files, and only from disk."""
    return (*_THREADS, "-protocol_whitelist", "file", "-f", "mov", "-i", f"file:{source}")


async def _probe(ffmpeg: Ffmpeg, source: Path) -> _Film:
    """Read ffmpeg's description of the file.

    Without an output file ffmpeg prints it and ends with an error code.

    Titles in the file come from outside, so only lines that begin as ffmpeg's own are read.
    """
    _, output = await ffmpeg.run(*_input_arguments(source))
    length = re.search(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)", output, re.MULTILINE)
    picture = re.search(r"^  Stream #0:\d.*?: Video: .*?\b(\d{2,5})x(\d{2,5})\b.*", output, re.MULTILINE)
    if length is None or picture is None:
        raise CannotFit("ffmpeg sees no video in it")
    rate = re.search(r"([\d.]+) fps", picture[0])
    sound = re.search(r"^  Stream #0:\d.*?: Audio: (\w+)(?:.* (\d+) kb/s)?", output, re.MULTILINE)
    hours, minutes, seconds = length.groups()
    # The last one is the container's. It overrides the codec's.
    aspect = re.findall(r"\bSAR (\d+):(\d+)", picture[0])
    across, down = map(int, aspect[-1]) if aspect else (1, 1)
    size = displayed_size(int(picture[1]), int(picture[2]), across, down)
    return _Film(
        longer=max(size),
        shorter=min(size),
        colours_known=re.search(_KNOWN_COLOURS, picture[0]) is not None,
        is_high=size[1] >= _HIGH_DEFINITION,
        rate=(float(rate[1]) if rate else 0) or 30.0,
        seconds=max(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 0.1),
        sound=sound[1] if sound else None,
        sound_rate=int(sound[2] or 0) * 1000 if sound else 0,
    )


def _plan_encoding(film: _Film, budget: int) -> _Plan:
    """Choose the most pixels for which the bits suffice. `budget` in bytes. Raises CannotFit."""
    bits = int(budget * 8 / (film.seconds + _BUFFER))
    sound, sound_bits = _plan_sound(film, bits)
    bits -= sound_bits
    if bits < _MIN_VIDEO_RATE:
        raise CannotFit("it is too long to become small enough")
    for side in dict.fromkeys(min(film.shorter, side) for side in _SIDES):
        share = min(side / film.shorter, _MAX_LONGER_SIDE / film.longer)
        longer, shorter = _even(film.longer * share), _even(film.shorter * share)
        if bits / (longer * shorter * film.rate) >= _MIN_BITS_PER_PIXEL:
            break
    # A faster preset for 4K saves as much time as decoding 4K takes, and the picture is no worse.
    preset = "superfast" if film.shorter > _SIDES[0] else "veryfast"
    return _Plan(preset, longer, shorter, _colours(film), bits, sound)


def _colours(film: _Film) -> str:
    """Return a filter that names the colours if the film does not.

    It names what Chromium guesses from the film's height, because the result may have another height, from
    which Chromium would guess other colours.
    """
    if film.colours_known:
        return "null"
    name = "bt709" if film.is_high else "smpte170m"
    return f"setparams=color_primaries={name}:color_trc={name}:colorspace={name}"


def _plan_sound(film: _Film, bits: int) -> tuple[tuple[str, ...], int]:
    """Return ffmpeg's arguments for the sound, and the bits per second that it takes."""
    if film.sound is None:
        return ("-an",), 0
    max_rate = min(_MAX_COPIED_AUDIO_RATE, bits // _AUDIO_PART)
    if film.sound == "aac" and 0 < film.sound_rate <= max_rate:
        return ("-c:a", "copy"), film.sound_rate
    return ("-c:a", "aac", "-b:a", str(_AUDIO_RATE)), _AUDIO_RATE


def _even(pixels: float) -> int:
    """Return the nearest even number, the lower one of two: H.264 with halved colours has no odd sides."""
    return max(2, math.ceil(pixels / 2 - 0.5) * 2)


def _scale(plan: _Plan) -> str:
    """Return the scale filter. ffmpeg turns the picture before it, so the filter compares the sides."""
    is_wide = "gt(iw*sar,ih)"
    width = f"if({is_wide},{plan.longer},{plan.shorter})"
    height = f"if({is_wide},{plan.shorter},{plan.longer})"
    return f"scale=w='{width}':h='{height}':flags=bicubic"


async def _encode(ffmpeg: Ffmpeg, source: Path, part: Path, plan: _Plan, *, max_written: int) -> None:
    code, output = await ffmpeg.run(
        *("-loglevel", "error", "-y", *_input_arguments(source)),
        *("-map", "0:V:0", "-map", "0:a:0?", "-map_metadata", "-1", "-sn", "-dn", *_THREADS),
        *("-vf", f"{_scale(plan)},setsar=1,format=yuv420p,{plan.colours}"),
        *("-c:v", "libx264", "-preset", plan.preset, "-profile:v", "high", "-crf", _BEST_QUALITY),
        *("-maxrate", str(plan.bits), "-bufsize", str(int(plan.bits * _BUFFER))),
        *(*plan.sound, "-movflags", "+faststart", "-f", "mp4", f"file:{part}"),
        max_written=max_written,
    )
    if "No space left on device" in output:
        raise StorageUnavailable("The disk was full before the smaller video was whole.")
    if code != 0:
        logger.warning("ffmpeg ended with %d: %r", code, output.strip()[-300:])
        raise CannotFit("ffmpeg could not convert it")
